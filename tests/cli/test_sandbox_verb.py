"""``favsync sandbox``: how it says where it is, and how it ends."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from etl.cli import main

Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def started() -> Iterator[Started]:
    running: list[subprocess.Popen[str]] = []

    def start(*argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "etl", "sandbox", "--tracks", "3", *argv]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    return process.wait(), process.communicate()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_settings_and_a_signal_ends_it(started: Started, number: signal.Signals) -> None:
    process = started("--scenario", "empty_page")
    assert process.stdout is not None
    words = [shlex.split(process.stdout.readline()) for _ in range(4)]
    assert all(first == "export" for first, _ in words)
    variables = dict(assignment.split("=", 1) for _, assignment in words)
    assert list(variables) == ["BOOMPLAY_API_URL", "BOOMPLAY_APP_ID", "BOOMPLAY_APP_SECRET", "BOOMPLAY_ACCESS_TOKEN"]
    headers = {
        "Authorization": f"Bearer {variables['BOOMPLAY_ACCESS_TOKEN']}",
        "app_id": variables["BOOMPLAY_APP_ID"],
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(f"{variables['BOOMPLAY_API_URL']}/favourite/v1/tracks?limit=50", headers=headers)
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["code"] == 0
    code, err = ended(process, number)
    assert code == 0
    assert "scenario empty_page: " in err
    assert f"{variables['BOOMPLAY_API_URL']}/_sandbox/" in err


def test_json_has_the_same_settings(started: Started) -> None:
    process = started("--json", "--seed", "7", "--latency-ms", "1")
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while lines[-1] != "}\n":
        lines.append(process.stdout.readline())
    answer = json.loads("".join(lines))
    assert answer["scenario"] == "quiet"
    assert answer["environment"]["BOOMPLAY_API_URL"] == answer["url"]
    with urllib.request.urlopen(answer["control"]) as about:
        assert about.status == 200
    assert ended(process, signal.SIGINT)[0] == 0


def test_an_unknown_scenario_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--scenario", "empty-page"]) == 2
    assert "did you mean empty_page" in capsys.readouterr().err


def test_a_port_in_use_is_an_error_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["sandbox", "--tracks", "1", "--port", str(taken.getsockname()[1])]) == 2
    err = capsys.readouterr().err
    assert "Address already in use" in err
    assert "--port" in err


@pytest.mark.parametrize(
    "argv", [("--host", "0.0.0.0"), ("--port", "70000"), ("--tracks", "-1"), ("--latency-ms", "x")]
)
def test_invalid_options_are_refused(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", *argv]) == 2
    assert argv[0] in capsys.readouterr().err


def test_its_help_lists_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    from etl.sandbox import SCENARIOS

    assert main(["sandbox", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SCENARIOS)


def test_each_of_several_users_has_a_token_variable(started: Started) -> None:
    process = started("--user", "ada", "--user", "ben", "--json")
    assert process.stdout is not None
    printed = ""
    while not printed.endswith("\n}\n"):
        printed += process.stdout.readline()
    variables = json.loads(printed)["environment"]
    assert variables["TOKEN_OF_ADA"] == variables["BOOMPLAY_ACCESS_TOKEN"] != variables["TOKEN_OF_BEN"]
    assert ended(process, signal.SIGTERM)[0] == 0


def test_a_name_that_is_no_variable_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--user", "a b"]) == 2
    assert "'a b' cannot be a user name" in capsys.readouterr().err

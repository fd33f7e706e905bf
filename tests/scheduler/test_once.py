"""`favsync schedule --once`: who is due is synced, once, and then it ends. On both engines."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta

import pytest
from werkzeug import Response

from etl import clock, logs
from etl.cli import main
from etl.db.engine import write_transaction
from etl.errors import RunInProgress
from etl.load.run_lock import run_lock
from etl.scheduler.queue import call_soon, set_next_run
from etl.scheduler.service import Service
from tests.scheduler.test_service import engine, move, sandbox, serving, tick
from tests.support.sandbox_accounts import KEY, add, number, outcomes, settings

__all__ = ["engine", "move", "sandbox", "serving"]


def once(service: Service) -> bool:
    return service.run_once(threading.Event())


def test_it_syncs_those_that_are_due_however_few_places_there_are_and_then_ends(
    database_url, engine, sandbox, serving, move
):
    add(settings(database_url, sandbox), engine, sandbox)
    assert once(serving(workers=1))
    assert [outcomes(engine, name) for name in ("ada", "ben", "cy")] == [["succeeded"]] * 3
    assert once(serving(workers=1))
    move(hours=1)
    assert once(serving(workers=1))
    assert [outcomes(engine, name) for name in ("ada", "ben", "cy")] == [["succeeded", "unchanged"]] * 3


def test_an_account_that_becomes_due_meanwhile_is_left_to_the_next_time(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    service = serving(workers=1)
    service.after_run.append(lambda _ran: move(hours=2))
    assert once(service)
    assert (outcomes(engine, "ada"), outcomes(engine, "ben")) == (["succeeded"], ["succeeded"])


def test_an_account_that_was_sent_away_stays_away(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    until = clock.now() + timedelta(hours=5)
    with write_transaction(engine) as connection:
        set_next_run(
            connection, number(engine, "ada"), schedule="every 1h", next_run_at=until, failures_in_a_row=1,
            parked_until=until, now=clock.now(),
        )  # fmt: skip
    move(hours=2)
    assert once(serving())
    assert (outcomes(engine, "ada"), outcomes(engine, "ben")) == ([], ["succeeded"])


def test_beside_a_scheduler_at_work_it_does_nothing_and_says_so(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    first = serving()
    tick(first)
    move(hours=2)
    with pytest.raises(RunInProgress, match="another scheduler"):
        once(serving())
    assert outcomes(engine, "ada") == ["succeeded"]


@pytest.fixture
def environment(database_url, sandbox, monkeypatch):
    for name, value in {
        "FAVSYNC_DATABASE_URL": database_url,
        "FAVSYNC_ENCRYPTION_KEY": KEY,
        "FAVSYNC_LOG_FORMAT": "json",
        "FAVSYNC_MAX_RETRIES": "0",
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
    }.items():
        monkeypatch.setenv(name, value)
    yield monkeypatch
    logs.configure("text", "warning")


def test_the_exit_code_is_that_of_the_worst_run_and_every_line_is_json(
    database_url, engine, sandbox, environment, capsys
):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    sandbox.revoke_token("ada")
    assert main(["schedule", "--once", "--http", "127.0.0.1:0"]) == 4
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = {line["account"]: line["outcome"] for line in lines if "account" in line}
    assert told == {"ada": "failed", "ben": "succeeded"}
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    assert all("run_id" in line for line in lines if "account" in line)
    assert any("/metrics" in line["event"] for line in lines)


def test_what_is_wrong_from_the_start_is_json_too_and_named_by_its_own_setting(engine, environment, capsys):
    environment.setenv("FAVSYNC_SCHEDULE", "every now and then")
    assert main(["schedule"]) == 2
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["exit_code"]) == ("error", 2)
    assert line["error"].startswith("FAVSYNC_SCHEDULE: ")
    assert "every 15m" in line["remedy"]
    environment.delenv("FAVSYNC_SCHEDULE")
    environment.setenv("FAVSYNC_PING_URL", "ftp://x.example")
    assert main(["schedule"]) == 2
    assert "FAVSYNC_SCHEDULE" not in capsys.readouterr().err


def test_a_database_without_accounts_is_no_riddle(engine, environment, capsys):
    assert main(["schedule", "--once"]) == 0
    assert "favsync accounts add NAME" in capsys.readouterr().err


@pytest.fixture
def pings(httpserver, environment):
    """What a dead man's switch was told, by path and words."""
    got: list[tuple[str, str]] = []

    def answer(request):
        got.append((request.path, request.get_data(as_text=True)))
        return Response("OK")

    httpserver.expect_request(re.compile("/.*")).respond_with_handler(answer)
    environment.setenv("FAVSYNC_PING_URL", httpserver.url_for("/uuid"))
    return got


@pytest.mark.parametrize("words", [("sync",), ("schedule", "--once")])
def test_a_round_tells_the_dead_mans_switch_how_it_went(words, database_url, engine, sandbox, pings, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    assert main(list(words)) == 0
    assert [path for path, _ in pings] == ["/uuid/start", "/uuid"]
    sandbox.revoke_token("ben")
    with write_transaction(engine) as connection:
        call_soon(connection, number(engine, "ben"))
    assert main(list(words)) == 4
    assert [path for path, _ in pings[2:]] == ["/uuid/start", "/uuid/fail"]
    assert pings[-1][1].startswith("ben: ")


def test_a_round_without_an_account_that_fails_and_waits_is_no_success(database_url, engine, sandbox, pings, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    sandbox.revoke_token("ben")
    assert main(["schedule", "--once"]) == 4
    assert main(["schedule", "--once"]) == 0
    assert [path for path, _ in pings[2:]] == ["/uuid/start", "/uuid/fail"]
    assert pings[-1][1].startswith("ben: failed 1 times in a row")


@pytest.mark.parametrize("words", [("sync",), ("schedule", "--once")])
def test_a_round_that_is_another_runs_is_neither_a_success_nor_a_failure(
    words, database_url, engine, sandbox, serving, pings, capsys
):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    scheduler = serving()
    tick(scheduler)
    with run_lock(engine, number(engine, "ada"), "ada"):
        assert main(list(words)) == 75
    assert [path for path, _ in pings] == ["/uuid/start"]


def test_a_sync_of_one_account_or_a_plan_is_no_sign_of_life(database_url, engine, sandbox, pings, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    assert main(["sync", "ada"]) == main(["sync", "--plan"]) == 0
    assert pings == []


def test_a_round_that_never_began_is_a_failure(engine, pings, environment, capsys):
    environment.setenv("FAVSYNC_DATABASE_URL", "sqlite:////dev/null/favsync.db")
    environment.setenv("BOOMPLAY_ACCESS_TOKEN", "x" * 20)
    assert main(["sync"]) == 5
    assert [path for path, _ in pings] == ["/uuid/start", "/uuid/fail"]

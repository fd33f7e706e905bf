"""Exit codes and messages of every way in which a command can end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
import pytest

from etl import errors
from etl.cli.commands import Verb, VerbGroup
from etl.cli.errors import run
from tests.support.commands import run_command

Ended = tuple[int, str, str]
End = Callable[..., Ended]


@pytest.fixture
def end(capsys: pytest.CaptureFixture[str]) -> End:
    """Run a command with the given body, and return exit code, stdout and stderr."""

    def ended(what: Callable[[], object], *argv: str) -> Ended:
        group = VerbGroup("favsync")

        @group.command("act", cls=Verb, has_json=True)
        @click.option("--count", type=int)
        def act(count: int | None) -> object:
            return what()

        code = run(group, argv or ("act",))
        out, err = capsys.readouterr()
        return code, out, err

    return ended


def raising(error: BaseException) -> Callable[[], object]:
    def raises() -> object:
        raise error

    return raises


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.FavsyncError("x"), 70),
        (errors.UsageError("x"), 2),
        (errors.SettingsError("x"), 2),
        (errors.ApiUnreachable("x"), 3),
        (errors.RateLimited("x", retry_at=datetime.now(UTC)), 3),
        (errors.WrongUser("x"), 4),
        (errors.SchemaOutdated("x"), 5),
        (errors.RunInProgress("x"), 75),
    ],
)
def test_a_known_error_is_two_lines_and_its_own_exit_code(end: End, error: Exception, code: int) -> None:
    error.remedy = "do y"  # type: ignore[attr-defined]
    assert end(raising(error)) == (code, "", "error: x\n  what to do: do y\n")


def test_an_error_without_remedy_is_one_line(end: End) -> None:
    assert end(raising(errors.UsageError("x"))) == (2, "", "error: x\n")


def test_a_bug_is_reported_with_its_place_and_no_traceback(end: End) -> None:
    code, out, err = end(raising(KeyError("no such key")))
    assert (code, out) == (70, "")
    assert err.startswith("error: KeyError: 'no such key'\n  what to do: this is a bug in favsync (etl/cli/errors.py:")
    assert "--debug" in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback_and_no_values_of_variables(end: End) -> None:
    def fails() -> object:
        local = "LOCAL" + "VALUE"
        raise ValueError(len(local))

    code, _, err = end(fails, "--debug", "act")
    assert code == 70
    assert "Traceback" in err
    assert "LOCALVALUE" not in err


@pytest.mark.parametrize("argv", [("act",), ("act", "--debug")])
def test_no_secret_is_in_the_message_of_an_error(end: End, argv: tuple[str, ...]) -> None:
    from etl import logs

    logs.mask("MARKER-TOKEN")
    cause = ValueError("inner MARKER-TOKEN")
    for error in (errors.ApiRefused("refused MARKER-TOKEN"), RuntimeError("MARKER-TOKEN postgresql://u:MARKER@h/d")):
        error.__cause__ = cause
        _, _, err = end(raising(error), *argv)
        assert "MARKER" not in err
        assert "***" in err


def test_a_hostile_error_message_is_one_harmless_line(end: End) -> None:
    for error in (errors.ApiRefused("a\nerror: forged\x1b[2J\u202e" + "x" * 100_000), ValueError("a\rb\nc\x1b[2J")):
        _, _, err = end(raising(error))
        assert len(err.splitlines()) <= 2
        assert len(err) < 3_000
        assert not set(err) & set("\x1b\u202e\r")


def test_an_interrupt_is_one_line_and_130(end: End) -> None:
    assert end(raising(KeyboardInterrupt())) == (130, "", "interrupted\n")
    assert end(raising(click.Abort())) == (130, "", "interrupted\n")
    assert end(raising(KeyboardInterrupt()), "act", "--debug") == (130, "", "interrupted\n")


def test_a_verb_returns_its_exit_code_and_nothing_for_success(end: End) -> None:
    assert end(lambda: 7)[0] == 7
    assert end(lambda: None)[0] == 0
    assert end(lambda: click.get_current_context().exit(6))[0] == 6


@pytest.mark.parametrize(
    ("argv", "message", "remedy"),
    [
        (("act", "--cuont", "1"), "there is no option --cuont", "did you mean --count"),
        (("act", "--jsn"), "there is no option --jsn", "did you mean --json?"),
        (("act", "--log-lvl", "x"), "there is no option --log-lvl", "did you mean --log-level"),
        (("act", "--zzz"), "there is no option --zzz", "`favsync act --help`"),
        (("atc",), "there is no verb 'atc'", "did you mean act?"),
        (("xyzzy",), "there is no verb 'xyzzy'", "`favsync --help`"),
        (("act", "--count", "many"), "'many' is not a valid integer", "`favsync act --help`"),
        (("act", "more"), "unexpected extra argument", "`favsync act --help`"),
        (("act", "--count"), "requires an argument", "`favsync act --help`"),
    ],
)
def test_a_wrong_command_ends_with_2_and_a_way_on(end: End, argv: tuple[str, ...], message: str, remedy: str) -> None:
    code, out, err = end(lambda: None, *argv)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert remedy in second


def test_no_verb_at_all_shows_the_help_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    from etl.cli import main

    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Verbs:" in err


def test_a_broken_connection_is_not_a_closed_output(end: End) -> None:
    code, _, err = end(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert code == 70
    assert "BrokenPipeError" in err


# Real pipes and files.

VERB = """
import sys, click
from etl.cli.errors import run
from tests.support.commands import run_command
from etl.cli.commands import Verb, pass_context

@click.command(cls=Verb)
@pass_context
def act(context):
    context.exit_code = {code}
    for _ in range({lines}):
        click.echo("a line of the result that is long enough to fill some buffer") if {echo} else print("line " * 20)

sys.exit(run(act, []))
"""


def started(script: str, stdout: int | IO[str]) -> subprocess.CompletedProcess[str]:
    """Run a script with buffered output, as for users, whatever the environment of the tests."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, env=environ)


@pytest.mark.parametrize(("echo", "lines", "code"), [(True, 1, 0), (False, 1, 7), (True, 5000, 7), (False, 5000, 0)])
def test_a_closed_output_pipe_is_silent_and_keeps_the_exit_code(echo: bool, lines: int, code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    script = VERB.format(code=code, lines=lines, echo=echo)
    done = started(script, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("lines", [1, 5000])
def test_a_full_disk_is_an_error(lines: int) -> None:
    script = VERB.format(code=0, lines=lines, echo=False)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = started(script, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\n")


def test_a_closed_stderr_does_not_stop_a_verb() -> None:
    script = (
        "import sys; from etl.cli.context import Context\nc = Context()\n"
        "for _ in range(5000): c.say('talk ' * 20)\nprint('done')"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=writer, text=True, check=False)
    os.close(writer)
    assert done.stdout == "done\n"


def test_a_pipe_gets_utf_8_in_any_locale() -> None:
    script = "import sys; from etl.cli.errors import prepare_stdout as p; p(); print('\\u1ecdj \\u65e5\\u672c \\ud800')"
    environ = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "latin-1",
    }
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environ, check=True)
    assert done.stdout.decode() == "ọj 日本 \\ud800\n"


@pytest.mark.parametrize(
    "argv",
    [
        ("config", "1>&-"),
        ("accounts", "add", "ada", "<&-"),
        ("accounts", "add", "ada", "<bytes"),
        ("prune", "--keep-daily", "<&-"),
    ],
)
def test_no_stream_of_a_user_is_a_bug(tmp_path: Path, argv: tuple[str, ...]) -> None:
    environ = {**os.environ, "FAVSYNC_DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "BOOMPLAY_APP_ID": "a"}
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x80")
    command = f"{sys.executable} -m etl {' '.join(argv)}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environ, capture_output=True, check=False)
    assert done.returncode in {0, 2, 3, 4, 5}, done.stderr


@pytest.mark.parametrize("argv", [("demo", "--keep", "/dev/null/x"), ("export", "--to", "/dev/null/x")])
def test_a_folder_that_cannot_be_made_is_no_bug(tmp_path: Path, argv: tuple[str, ...]) -> None:
    environ = {**os.environ, "FAVSYNC_DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}
    assert run_command({**environ, "BOOMPLAY_APP_ID": "a"}, *argv).returncode in {2, 5}


def test_an_unusable_path_is_a_usage_error(end: End) -> None:
    code, _, err = end(raising(PermissionError(errno.EACCES, "Permission denied", "/x")))
    assert code == 2
    assert err.startswith("error: /x: Permission denied\n")

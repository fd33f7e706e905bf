"""The command line as a whole: its table of verbs, the options that all have, and the verb ``config``."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
import pytest

from etl import __version__
from etl.cli import EXIT_CODES, VERBS, app, main
from etl.cli.commands import Verb, VerbGroup, pass_context
from etl.cli.context import Context
from etl.cli.options import GlobalOption, Invocation, account_argument, accounts_argument
from etl.config import SETTINGS

RunVerb = Callable[..., tuple[int, str, str]]
HEAVY = {
    "alembic", "apscheduler", "cryptography", "httpx", "msgspec", "prometheus_client", "psycopg", "rich", "sqlalchemy", "stamina",
    "structlog",
}  # fmt: skip


@pytest.fixture
def run_verb(capsys: pytest.CaptureFixture[str]) -> RunVerb:
    def tell(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return tell


def imported_by(*argv: str) -> set[str]:
    code = (
        "import sys; from etl.cli import main\n"
        f"code = main({list(argv)!r}); sys.stdout.flush()\n"
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    first, *modules = done.stderr.split()
    assert first == "0"
    return set(modules)


# The table of verbs.


@pytest.mark.parametrize("argv", [("--help",), ("-h",), ("--version",)])
def test_help_and_version_import_little_besides_click(argv: tuple[str, ...]) -> None:
    modules = imported_by(*argv)
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    assert not {"etl.config", "etl.logs", "etl.sync", "etl.db", "asyncio", "logging", "json"} & modules


def test_config_imports_no_database_and_no_network() -> None:
    modules = {name.partition(".")[0] for name in imported_by("config")}
    assert HEAVY & modules <= {"msgspec", "structlog", "rich"}


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_of_the_table_exists_and_has_help(name: str, run_verb: RunVerb) -> None:
    command = app.get_command(click.Context(app), name)
    assert isinstance(command, Verb | VerbGroup)
    assert command.name == name
    assert command.help
    assert VERBS[name][2].endswith(".")
    code, out, _ = run_verb(name, "--help")
    assert code == 0
    assert "Global options:" in out
    assert "--database-url" in out


@pytest.mark.parametrize("argv", [("sync",), ("runs", "approve"), ("history",)])
def test_no_argument_is_listed_among_the_options(argv: tuple[str, ...], run_verb: RunVerb) -> None:
    options = run_verb(*argv, "--help")[1].partition("\nOptions:\n")[2]
    assert options
    assert [line for line in options.splitlines() if re.match(r"  \S", line) and not line.startswith("  -")] == []


def test_the_help_lists_every_verb_and_every_exit_code(run_verb: RunVerb) -> None:
    code, out, _ = run_verb("--help")
    assert code == 0
    for name in VERBS:
        assert re.search(rf"^  {name} ", out, re.MULTILINE)
    for number, _meaning in EXIT_CODES:
        assert re.search(rf"^  {number} ", out, re.MULTILINE)
    assert out.count("-h, --help") == 1


def test_every_global_option_names_its_variable_and_its_default() -> None:
    variables = {setting.variable for setting in SETTINGS} | {"FAVSYNC_CONFIG"}
    options = [param for param in app.params if isinstance(param, GlobalOption) and not param.is_flag]
    assert len(options) == 5
    for option in options:
        found = re.search(r"\[env: (\w+); default: (.+)\]$", option.help or "")
        assert found, option.name
        assert found[1] in variables
        default = next((setting.default for setting in SETTINGS if setting.variable == found[1]), None)
        assert default in {None, found[2]}


def test_a_mistyped_verb_suggests_the_nearest(run_verb: RunVerb) -> None:
    assert run_verb("sandbx") == (
        2,
        "",
        "error: there is no verb 'sandbx'\n  what to do: did you mean sandbox? see `favsync --help`\n",
    )


def test_python_m_etl_is_favsync(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "etl", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout == f"favsync {__version__}\n"


def test_shells_can_complete_verbs_and_options(tmp_path: Path) -> None:
    environ = {**os.environ, "_FAVSYNC_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    for words, expected in (("favsync sand", "plain,sandbox"), ("favsync config --js", "plain,--json")):
        environ |= {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run([sys.executable, "-m", "etl"], check=True, capture_output=True, text=True, env=environ)
        assert done.stdout.strip() == expected


# The options that all verbs have.


@pytest.mark.parametrize(
    ("argv", "level"),
    [
        (("--log-level", "debug", "act"), "debug"),
        (("act", "--log-level", "debug"), "debug"),
        (("--log-level", "error", "act", "--log-level", "debug"), "debug"),
        (("act",), "info"),
    ],
)
def test_a_global_option_works_before_and_after_the_verb(argv: tuple[str, ...], level: str) -> None:
    seen = []
    group = VerbGroup("favsync")

    @group.command("act")
    @pass_context
    def act(context: Context) -> None:
        seen.append(context.config.log_level)

    group.main(argv, standalone_mode=False, obj=Invocation())
    assert seen == [level]


def test_a_nested_verb_takes_global_options_and_accounts() -> None:
    seen: list[object] = []
    group, runs = VerbGroup("favsync"), VerbGroup("runs")
    group.add_command(runs)

    @runs.command("list")
    @accounts_argument
    @pass_context
    def many(context: Context, accounts: tuple[str, ...]) -> None:
        seen.extend((context.options, accounts))

    @runs.command("one")
    @account_argument
    def one(account: str | None) -> None:
        seen.append(account)

    line = ["--api-url", "https://a", "runs", "--debug", "list", "ada", "bob", "--database-url", "sqlite:///x"]
    group.main(line, standalone_mode=False)
    assert seen == [{"api_url": "https://a", "debug": True, "database_url": "sqlite:///x"}, ("ada", "bob")]
    group.main(["runs", "one"], standalone_mode=False)
    assert seen[-1] is None


def test_version_may_stand_after_the_verb(run_verb: RunVerb) -> None:
    assert run_verb("config", "--version") == (0, f"favsync {__version__}\n", "")


# favsync config.


def test_config_lists_settings_with_source_and_no_secret(run_verb: RunVerb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", "MARKER-TOKEN")
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", "postgresql://u:MARKER@h/d")
    code, out, err = run_verb("config", "--log-level", "debug")
    assert (code, err) == (0, "")
    assert "MARKER" not in out
    assert [line.split()[0] for line in out.splitlines()] == ["setting", *(setting.name for setting in SETTINGS)]
    assert re.search(r"^log_level +debug +flag --log-level +FAVSYNC_LOG_LEVEL$", out, re.MULTILINE)
    assert re.search(r"^access_token +\*\*\* +environment BOOMPLAY_ACCESS_TOKEN ", out, re.MULTILINE)
    assert "postgresql://u:***@h/d" in out


@pytest.mark.parametrize("width", [30, 120])
def test_config_fits_a_real_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOMPLAY_API_URL", "https://" + "a-very-long-name." * 12 + "example")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    process = subprocess.Popen([sys.executable, "-m", "etl", "config"], stdout=theirs)
    os.close(theirs)
    written = b""
    with suppress(OSError):  # the end of a terminal is an error, on Linux
        while piece := os.read(ours, 4096):
            written += piece
    os.close(ours)
    assert process.wait() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).replace("\r\n", "\n").splitlines()
    assert max(map(len, lines)) <= width
    assert any("…" in line for line in lines)
    assert lines[0].split()[0] == "setting"
    assert len(lines) == (len(SETTINGS) * 4 - 1 if width == 30 else len(SETTINGS) + 1)


def test_config_as_json_has_numbers_and_null(run_verb: RunVerb) -> None:
    code, out, _ = run_verb("config", "--json")
    assert code == 0
    rows = {row["setting"]: row for row in json.loads(out)}
    assert rows["page_concurrency"] == {
        "setting": "page_concurrency", "value": 4, "source": "default", "variable": "FAVSYNC_PAGE_CONCURRENCY",
    }  # fmt: skip
    assert rows["access_token"]["value"] is None


def test_the_file_of_settings_is_read(run_verb: RunVerb, tmp_path: Path) -> None:
    file = tmp_path / "favsync.toml"
    file.write_text("max_retries = 2\n")
    _, out, _ = run_verb("config", "--config", str(file))
    assert re.search(rf"^max_retries +2 +file {file} ", out, re.MULTILINE)


def test_a_wrong_setting_ends_with_2_and_names_its_source(run_verb: RunVerb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAVSYNC_MAX_RETRIES", "many")
    code, out, err = run_verb("config")
    assert (code, out) == (2, "")
    assert err == (
        "error: max_retries (environment FAVSYNC_MAX_RETRIES) 'many' is not a whole number from 0 to 100\n"
        "  what to do: set FAVSYNC_MAX_RETRIES to a whole number from 0 to 100\n"
    )


def test_risky_settings_are_warned_about_on_stderr(run_verb: RunVerb) -> None:
    code, _, err = run_verb("config", "--database-url", "postgresql://u:MARKER@h/d")
    assert code == 0
    assert err.startswith("warning: the password in --database-url is visible in the process list")
    assert "MARKER" not in err


def test_reading_the_settings_registers_secrets_to_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    from etl import logs

    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", "MARKER-TOKEN")
    assert Context().config.access_token is not None
    assert "MARKER" not in logs.masked("sent MARKER-TOKEN")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_and_dumb_terminals_are_honoured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    from etl import logs

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for is_coloured in (True, False):
        assert Context().config.log_format == "text"
        logs.get("etl.x").warning("a line")
        assert ("\x1b[" in capsys.readouterr().err) is is_coloured
        monkeypatch.setenv(name, value)


# The console of a verb.


def test_output_for_people_escapes_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    context = Context()
    context.show("a\x1b[2J\nb\u202e")
    context.say("c\x1b[2J\npostgresql://u:MARKER@h/d")
    assert capsys.readouterr() == ("a\\x1b[2J\nb\\u202e\n", "c\\x1b[2J\npostgresql://u:***@h/d\n")


def test_rows_are_json_with_the_json_option(capsys: pytest.CaptureFixture[str]) -> None:
    context = Context({"json": True})
    context.show_rows(["a"], [(1,)], "csv")
    context.show_json({"b": None})
    assert capsys.readouterr().out == '[\n  {"a": 1}\n]\n{\n  "b": null\n}\n'


@pytest.mark.parametrize(
    ("is_terminal", "kind", "json", "expected"),
    [
        (True, "xterm", False, True),
        (True, "xterm", True, False),
        (True, "dumb", False, False),
        (False, "xterm", False, False),
    ],
)
def test_progress_is_for_a_person_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, kind: str, json: bool, expected: bool
) -> None:
    context = Context({"json": json})
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    assert context.has_progress is expected


@pytest.mark.parametrize("group", ["accounts", "runs", "db"])
def test_a_group_lists_each_verb_with_a_whole_sentence(run_verb: RunVerb, group: str) -> None:
    code, out, _ = run_verb(group, "--help")
    verbs = out.partition("Verbs:\n")[2].partition("\n\n")[0]
    sentences = re.split(r"\n  (?=\S)", verbs)
    assert (code, len(sentences) >= 3) == (0, True)
    assert [each for each in sentences if "..." in each or not each.rstrip().endswith(".")] == []


def test_config_schema_prints_a_json_schema(run_verb: RunVerb) -> None:
    code, out, err = run_verb("config", "schema")
    assert (code, err) == (0, "")
    properties = json.loads(out)["$defs"]["Settings"]["properties"]
    assert list(properties) == [setting.name for setting in SETTINGS]
    assert run_verb("config", "schema", "--json")[1] == out


@pytest.mark.parametrize(
    ("rows", "is_limited", "format_", "shown", "has_hint"),
    [
        (200, True, "table", 200, False),
        (201, True, "table", 200, True),
        (201, False, "table", 201, False),
        (201, True, "csv", 201, False),
    ],
)
def test_a_terminal_shows_200_rows_of_a_table(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: int,
    is_limited: bool,
    format_: str,
    shown: int,
    has_hint: bool,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Context().show_rows(["n"], ([number] for number in range(rows)), format_, is_limited=is_limited)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == shown + 1
    assert ("--limit 0" in err) is has_hint


def test_completion_of_verbs_imports_no_verb() -> None:
    code = (
        "import sys, click; from etl.cli import app\n"
        "found = [each.value for each in app.shell_complete(click.Context(app), 's')]\n"
        "assert found == ['sync', 'schedule', 'status', 'sandbox'], found\n"
        "assert 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", VERBS)
def test_every_help_fits_80_columns(name: str, run_verb: RunVerb) -> None:
    assert max(map(len, run_verb(name, "--help")[1].splitlines())) <= 80

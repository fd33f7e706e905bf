"""What a new user meets: a new database, names and paths as people type them, completion, many accounts at once."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from etl import config
from etl.accounts.manage import numbered_accounts
from etl.cli import main
from etl.db.engine import open_engine, write_transaction
from etl.db.tables import accounts
from etl.errors import UsageError
from etl.load.accounts import enabled_accounts, ensure_account, every_account, find_account
from etl.sandbox import Sandbox
from etl.settings import SETTINGS
from tests.conftest import NewDatabase
from tests.monitor.test_status import NOW
from tests.support.sandbox_accounts import KEY

RunVerb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_verb(capsys: pytest.CaptureFixture[str]) -> RunVerb:
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(tracks=60, seed=3, users=("ada", "ben", "cy")) as running:
        monkeypatch.setenv("BOOMPLAY_API_URL", running.url)
        monkeypatch.setenv("BOOMPLAY_APP_ID", running.app_id)
        monkeypatch.setenv("FAVSYNC_ENCRYPTION_KEY", KEY)
        monkeypatch.setenv("FAVSYNC_REQUESTS_PER_SECOND", "0")
        yield running


def filled(url: str, *names: str) -> str:
    """Add accounts with these names to the database."""
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        for name in names:
            ensure_account(connection, name, NOW)
    return url


# A new database.


def test_the_first_sync_names_the_new_database(
    run_verb: RunVerb, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", sandbox.users["ada"].access_token)
    path = tmp_path / "mistyped.db"
    assert f"NEW DATABASE: {path} did not exist" in run_verb("sync", "--database-url", str(path))[2]
    assert "NEW DATABASE" not in run_verb("sync", "--database-url", str(path))[2]


def test_settings_without_an_app_id_make_no_database(
    run_verb: RunVerb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", "token")
    code, _, err = run_verb("sync", "--database-url", f"{tmp_path}/x.db")
    assert (code, "there is no app id" in err) == (2, True)
    assert not (tmp_path / "x.db").exists()


def test_db_upgrade_names_a_database_that_it_creates(run_verb: RunVerb, tmp_path: Path) -> None:
    assert f"NEW DATABASE: {tmp_path}/x.db" in run_verb("db", "upgrade", "--database-url", f"{tmp_path}/x.db")[1]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("favsync.db", "sqlite:///favsync.db"),
        ("./old/list", "sqlite:///old/list"),
        ("/var/lib/x.sqlite3", "sqlite:////var/lib/x.sqlite3"),
    ],
)
def test_a_plain_path_names_a_sqlite_file(text: str, url: str) -> None:
    assert config.load({"database_url": text}, {}, None).database_url.reveal() == url


@pytest.mark.parametrize("text", ["favsync", "postgresql:host/db", "user@host/db", "./a?b.db"])
def test_a_word_that_is_no_path_names_no_new_file(text: str) -> None:
    with pytest.raises(config.SettingsError, match="neither a URL nor a path|question mark"):
        config.load({"database_url": text}, {}, None)


def test_export_writes_csv_where_pyarrow_is_missing(
    run_verb: RunVerb, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    url = new_database("sqlite")
    code, _, err = run_verb("export", "--to", str(tmp_path / "out"), "--database-url", url)
    assert code == 0
    assert "writing CSV, as pyarrow is not installed" in err
    assert (tmp_path / "out" / "report_artists.csv").exists()
    assert run_verb("export", "--to", str(tmp_path / "two"), "--format", "parquet", "--database-url", url)[0] == 2


# Help, versions, settings.


def test_help_of_a_verb_is_that_of_its_help_option(run_verb: RunVerb) -> None:
    for words in ((), ("sync",), ("accounts", "add")):
        assert run_verb("help", *words)[:2] == run_verb(*words, "--help")[:2]
    assert "did you mean accounts?" in run_verb("help", "acounts")[2]


def test_the_short_version_option_prints_the_version(run_verb: RunVerb) -> None:
    assert run_verb("-V") == run_verb("--version")


@pytest.mark.parametrize("option", ["-n", "--dry-run", "--plan"])
def test_a_dry_run_is_a_plan(run_verb: RunVerb, sandbox: Sandbox, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", sandbox.users["ada"].access_token)
    code, out, _ = run_verb("sync", option)
    assert code == 0
    assert "nothing was written" in out


def test_config_init_writes_every_setting_at_its_default(run_verb: RunVerb, tmp_path: Path) -> None:
    file = tmp_path / "favsync.toml"
    code, out, err = run_verb("config", "init", str(file))
    assert (code, out) == (0, f"{file} is written\n")
    assert f"FAVSYNC_CONFIG={file}" in err
    assert file.stat().st_mode & 0o777 == 0o600
    assert config.load({}, {}, file).sources["page_concurrency"].kind == "default"
    file.write_text(re.sub(r"(?m)^#(\w+ = )", r"\1", file.read_text()))
    loaded, default = config.load({}, {}, file), config.load({}, {}, None)
    assert [name for name in (each.name for each in SETTINGS) if getattr(loaded, name) != getattr(default, name)] == []
    assert loaded.sources["page_concurrency"].kind == "file"
    assert run_verb("config", "init", str(file))[0] == 2


# Completion.


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_of_the_shell(run_verb: RunVerb, shell: str) -> None:
    code, out, _ = run_verb("completion", shell)
    assert code == 0
    assert f"_FAVSYNC_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("favsync sync u", {"plain,u1", "plain,u2"}),
        ("favsync accounts set u1", {"plain,u1"}),
        ("favsync runs list --account v", {"plain,v1"}),
        ("favsync report favourite-c", {"plain,favourite-changes"}),
        ("favsync runs show 9", set()),
    ],
)
def test_a_tab_offers_names_of_the_database(words: str, expected: set[str], new_database: NewDatabase) -> None:
    url = filled(new_database("sqlite"), "u1", "u2", "v1")
    environ = os.environ | {"FAVSYNC_DATABASE_URL": url, "_FAVSYNC_COMPLETE": "bash_complete"}
    environ |= {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([sys.executable, "-m", "etl"], check=True, capture_output=True, text=True, env=environ)
    assert (set(done.stdout.split()), done.stderr) == (expected, "")


def test_a_tab_without_a_database_offers_nothing(tmp_path: Path) -> None:
    environ = os.environ | {"FAVSYNC_DATABASE_URL": f"{tmp_path}/none.db", "_FAVSYNC_COMPLETE": "bash_complete"}
    environ |= {"COMP_WORDS": "favsync sync ", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-m", "etl"], check=True, capture_output=True, text=True, env=environ)
    assert (done.stdout.strip(), done.stderr) == ("", "")
    assert not (tmp_path / "none.db").exists()


# Accounts.


def test_a_report_is_about_disabled_accounts_too(database_url: str) -> None:
    engine = open_engine(filled(database_url, "u1", "u2"))
    with write_transaction(engine) as connection:
        connection.execute(update(accounts).where(accounts.c.name == "u2").values(enabled=False))
        assert [each.name for each in enabled_accounts(connection)] == ["u1"]
        assert [each.name for each in every_account(connection)] == ["u1", "u2"]
        assert [each.name for each in every_account(connection, ["u2", "u1", "u2"])] == ["u2", "u1"]
        assert [each.name for each in every_account(connection, ["u*"])] == ["u1"]
        with pytest.raises(UsageError, match="there is no account 'u3'"):
            every_account(connection, ["u1", "u3"])
    engine.dispose()


def test_a_pattern_means_the_enabled_accounts_that_match(database_url: str) -> None:
    engine = open_engine(filled(database_url, "u1", "u2", "v1"))
    with write_transaction(engine) as connection:
        assert [each.name for each in enabled_accounts(connection, ["u*"])] == ["u1", "u2"]
        assert [each.name for each in enabled_accounts(connection, ["v1", "u?"])] == ["v1", "u1", "u2"]
        with pytest.raises(UsageError, match="no enabled account matches 'x\\*'"):
            enabled_accounts(connection, ["x*"])
        with pytest.raises(UsageError, match="'u\\*' is a pattern, and one account is wanted"):
            find_account(connection, "u*")
    engine.dispose()


def test_many_accounts_are_added_from_a_file(run_verb: RunVerb, sandbox: Sandbox, tmp_path: Path) -> None:
    tokens = {name: user.access_token for name, user in sandbox.users.items()}
    file, url = tmp_path / "accounts.csv", f"{tmp_path}/x.db"
    lines = [
        "name,access_token,schedule,region",
        f"ada,{tokens['ada']},every 6h,Kenya",
        f"ben,{tokens['ben']},,XX",
        "cy,bad,,",
    ]
    file.write_text("\n".join(lines))
    code, out, err = run_verb("accounts", "add", "--from", str(file), "--database-url", url)
    assert code == 2  # the worst of both
    assert re.search(r"^ada: added: .*region KE$", out, re.MULTILINE)
    assert "ben: not added: 'XX' is not a market" in out
    assert "cy: not added:" in out
    assert "what to do" in err
    assert not [token for token in tokens.values() if token in out + err]
    file.write_text("\n".join(lines).replace("XX", "ng").replace("bad", tokens["cy"]))
    code, out, _ = run_verb("accounts", "add", "--from", str(file), "--database-url", url, "--json")
    assert [each["done"] for each in json.loads(out)] == ["exists already", "added", "added"]
    assert code == 0
    assert [name for _, name in numbered_accounts(open_engine(f"sqlite:///{url}"))] == ["ada", "ben", "cy"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name,tokn\na,b", "has the column 'tokn'"),
        ("access_token\nx", "no column 'name'"),
        ("name\na,b", "line 2: more"),
    ],
)
def test_a_file_of_accounts_with_a_mistake_adds_nothing(
    run_verb: RunVerb, tmp_path: Path, text: str, error: str
) -> None:
    (tmp_path / "a.csv").write_text(text)
    code, _, err = run_verb("accounts", "add", "--from", str(tmp_path / "a.csv"), "--database-url", f"{tmp_path}/x.db")
    assert code == 2
    assert error in err
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(("region", "code"), [("XX", 2), ("Nigeria", 0), ("ng", 0)])
def test_only_a_region_that_exists_is_accepted(
    run_verb: RunVerb, new_database: NewDatabase, region: str, code: int
) -> None:
    url = filled(new_database("sqlite"), "ada")
    assert run_verb("accounts", "set", "ada", "--region", region, "--database-url", url)[0] == code


def test_status_of_a_new_account_leads_to_its_first_sync(run_verb: RunVerb, new_database: NewDatabase) -> None:
    url = filled(new_database("sqlite"), "ada")
    assert "1 account never synced: `favsync sync`" in run_verb("status", "--database-url", url)[2]


# Files.


@pytest.mark.parametrize("argv", [("artists", "-o", "a.xlsx"), ("artists", "-o", "noending"), ("html", "-o", "a.pdf")])
def test_an_unknown_ending_of_a_file_is_refused(
    run_verb: RunVerb, new_database: NewDatabase, argv: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run_verb("report", *argv, "--database-url", new_database("sqlite"))
    assert code == 2
    assert "end its name with ." in err
    assert not Path(argv[-1]).exists()


def test_an_unknown_ending_is_accepted_with_a_format(
    run_verb: RunVerb, new_database: NewDatabase, tmp_path: Path
) -> None:
    argv = ("report", "artists", "-o", str(tmp_path / "a.dat"), "--format", "csv")
    assert run_verb(*argv, "--database-url", new_database("sqlite"))[0] == 0


def test_hints_quote_a_name_for_the_shell(run_verb: RunVerb, new_database: NewDatabase) -> None:
    url = filled(new_database("sqlite"), "ada o'neil")
    err = run_verb("accounts", "remove", "ada o'neil", "--database-url", url)[2]
    command = re.search(r"`favsync (.*)`", err)
    assert command is not None
    assert shlex.split(command[1]) == ["accounts", "remove", "ada o'neil", "--erase"]

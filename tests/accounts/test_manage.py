"""Accounts: adding, renaming, checking, disabling, and other tokens. On both engines."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from etl import clock
from etl.accounts import manage
from etl.accounts.session import connect
from etl.accounts.token_input import TokenInput
from etl.accounts.token_rows import TokenLocation
from etl.boomplay.payloads import Token
from etl.cli import main
from etl.db.engine import read_transaction, write_transaction
from etl.errors import CredentialsError, UsageError, WrongUser
from etl.load.accounts import ensure_account, find_account
from etl.monitor.status import statuses
from etl.sync import RunOptions, sync_account
from tests.accounts.conftest import reads, token_table
from tests.support.sandbox_accounts import KEY, add, new_key, outcomes, settings, token_row


@pytest.fixture
def environment(database_url, sandbox, monkeypatch):
    """The settings, for commands that are run here."""
    for name, value in {
        "FAVSYNC_DATABASE_URL": database_url,
        "FAVSYNC_ENCRYPTION_KEY": KEY,
        "FAVSYNC_MAX_RETRIES": "0",
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def dead(database_url, engine, sandbox, instant):
    """Settings, and the account ada with a dead token."""
    config = settings(database_url, sandbox, BOOMPLAY_APP_SECRET="")
    add(config, engine, sandbox, "ada")
    sandbox.revoke_token("ada")
    for _ in range(2):
        with pytest.raises(CredentialsError):
            reads(config, engine)
        instant(timedelta(minutes=6))
    return config


def given(token: str) -> TokenInput:
    return TokenInput(Token(token), TokenLocation.DATABASE)


def test_a_check_revives_a_dead_token_that_works_again(dead, engine, sandbox):
    assert manage.check_account(dead, engine, "ada").state == "dead"
    sandbox.tokens.grants[sandbox.users["ada"].access_token].is_revoked = False
    checked = manage.check_account(dead, engine, "ada")
    assert (checked.state, checked.error) == ("valid", None)
    assert reads(dead, engine) == 20


def test_another_token_of_the_same_user_replaces_a_dead_one(dead, engine, sandbox):
    with pytest.raises(WrongUser):
        manage.give_token(dead, engine, "ada", given(sandbox.users["ben"].access_token))
    assert token_row(engine, "ada").state == "dead"
    manage.give_token(dead, engine, "ada", given(sandbox.new_token("ada")))
    assert token_row(engine, "ada").state == "valid"
    assert reads(dead, engine) == 20


def test_a_second_account_of_a_user_is_refused(database_url, engine, sandbox):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada")
    same = given(sandbox.new_token("ada"))
    with pytest.raises(UsageError, match="user of account ada"):
        manage.add_account(config, engine, "another", same, {})
    with pytest.raises(UsageError, match="already"):
        manage.add_account(config, engine, "ada", same, {})


def test_an_account_is_not_added_with_a_bad_token(database_url, engine, sandbox):
    config = settings(database_url, sandbox)
    with pytest.raises(CredentialsError):
        manage.add_account(config, engine, "ada", given("nonsense"), {})
    assert manage.list_accounts(engine) == []


def test_a_disabled_account_loses_its_token_not_its_history(database_url, engine, sandbox):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada")
    with read_transaction(engine) as connection:
        account = find_account(connection, "ada")
    with connect(config, engine, "ada") as client:
        sync_account(engine, account, client, RunOptions())
        manage.disable_account(engine, "ada")
        sandbox.expire_token("ada")
    assert token_row(engine, "ada") is None
    assert outcomes(engine, "ada") == ["succeeded"]
    with pytest.raises(CredentialsError, match="no token"):
        reads(config, engine)


def test_list_and_status_agree_on_the_settings_token(engine, sandbox, environment, monkeypatch, tmp_path):
    def shown():
        (listed,), (status,) = manage.list_accounts(engine), statuses(engine, "every 1h")
        return [(listed["token"], listed["token_place"]), (status.token, status.token_place)]

    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", sandbox.users["ada"].access_token)
    with write_transaction(engine) as connection:
        ensure_account(connection, "default", clock.now())
    assert shown() == [("unknown", "environment")] * 2
    (tmp_path / "2025-11-03.json").write_text(json.dumps(sandbox.favourites("ada")))
    assert main(["backfill", "--from", str(tmp_path / "2025-11-03.json"), "--complete"]) == 0
    assert shown() == [("unknown", "environment")] * 2, "an import takes no token"
    assert main(["sync"]) == 0
    assert shown() == [("valid", "environment")] * 2


def test_a_renamed_default_account_keeps_its_token(database_url, engine, sandbox):
    config = settings(database_url, sandbox, BOOMPLAY_ACCESS_TOKEN=sandbox.users["ada"].access_token)
    with write_transaction(engine) as connection:
        ensure_account(connection, "default", clock.now())
    manage.set_account(config, engine, "default", {"name": "ada"})
    assert reads(config, engine) == 20
    assert sandbox.users["ada"].access_token not in token_table(engine)


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("name", ["", "-x", "a\nb", "x" * 65, "a/b", " a"])
def test_a_name_that_is_hard_to_type_is_refused(database_url, engine, name):
    with pytest.raises(UsageError, match="cannot be the name"):
        manage.require_new(engine, name)


def test_an_unwritable_token_file_is_named(database_url, engine, sandbox, tmp_path: Path):
    config = settings(database_url, sandbox)
    (tmp_path / "taken").write_text("")
    token = Token(sandbox.users["ada"].access_token)
    with pytest.raises(CredentialsError, match="taken/ada"):
        manage.add_account(
            config, engine, "ada", TokenInput(token, TokenLocation.FILE, str(tmp_path / "taken" / "ada")), {}
        )
    assert manage.list_accounts(engine) == []


def test_a_removed_account_comes_back_with_its_history(database_url, engine, sandbox, environment, capsys, monkeypatch):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    assert main(["sync"]) == 0
    manage.disable_account(engine, "ada")
    monkeypatch.setenv("TOKEN", sandbox.users["ada"].access_token)
    for name in ("ada", "again"):
        assert main(["accounts", "add", name, "--token-env", "TOKEN"]) == 2
        assert "`favsync accounts set ada --enable --token`" in capsys.readouterr().err
    assert main(["accounts", "set", "ada", "--token-env", "TOKEN"]) == 0
    assert "ada is disabled: `favsync accounts set ada --enable`" in capsys.readouterr().err
    assert main(["accounts", "set", "ada", "--enable", "--token-env", "TOKEN"]) == 0
    assert "disabled" not in capsys.readouterr().err
    assert main(["sync"]) == 0
    assert outcomes(engine, "ada") == ["succeeded", "unchanged"]


def test_the_doctor_names_the_account_with_a_bad_token(engine, sandbox, environment, database_url, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    sandbox.revoke_token("ben")
    main(["doctor", "--json"])
    found = [each for each in json.loads(capsys.readouterr().out) if each["subject"] == "tokens"]
    assert [(each["level"], each["finding"].partition(": ")[0]) for each in found] == [
        ("ok", "the token of ada works"),
        ("bad", "account ben"),
    ]


def test_an_undecryptable_token_stops_only_its_account(database_url, engine, sandbox, environment, capsys):
    add(settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY=new_key()), engine, sandbox, "ada")
    add(settings(database_url, sandbox), engine, sandbox, "ben")
    assert main(["sync"]) == 4
    assert (outcomes(engine, "ada"), outcomes(engine, "ben")) == ([], ["succeeded"])
    assert "no key of FAVSYNC_ENCRYPTION_KEY decrypts the stored token of account ada" in capsys.readouterr().err
    assert main(["accounts", "check", "--json"]) == 4
    assert [each["works"] for each in json.loads(capsys.readouterr().out)] == [False, True]
    main(["doctor", "--json"])
    found = [each for each in json.loads(capsys.readouterr().out) if each["subject"] == "tokens"]
    assert [(each["level"], each["exit_code"]) for each in found] == [("look", 0), ("bad", 4), ("ok", 0)]
    assert "favsync accounts login ada" in found[1]["remedy"]

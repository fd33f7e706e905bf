"""Tokens of accounts: their places, their renewal, and the effect of a refusal. On both engines."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

from etl import clock
from etl.accounts import manage
from etl.accounts.session import connect
from etl.accounts.token_input import TokenInput, read_token
from etl.accounts.token_rows import TokenLocation
from etl.boomplay.payloads import Token
from etl.db.engine import write_transaction
from etl.db.migrate import ready_engine
from etl.errors import ApiUnreachable, CredentialsError, FavsyncError, SettingsError
from etl.load.accounts import ensure_account
from tests.accounts.conftest import reads, token_table
from tests.support.sandbox_accounts import KEY, add, new_key, settings, token_row


def test_a_token_in_the_database_is_encrypted(database_url, engine, sandbox):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada")
    assert reads(config, engine) == 20
    assert sandbox.users["ada"].access_token not in token_table(engine)
    assert sandbox.users["ada"].refresh_token not in token_table(engine)
    assert sandbox.users["ada"].access_token not in repr(token_row(engine, "ada"))


def test_without_the_key_the_account_fails_with_the_cause(database_url, engine, sandbox):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    with pytest.raises(CredentialsError, match="ada is encrypted, and no FAVSYNC_ENCRYPTION_KEY"):
        reads(settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY=""), engine)
    with pytest.raises(CredentialsError, match="no key .* account ada"):
        reads(settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY=new_key()), engine)


def test_after_rekey_only_a_token_of_an_unknown_key_is_lost(database_url, engine, sandbox):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    new = new_key()
    both = settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY=f"{new},{KEY}")
    assert manage.rekey(both, engine) == 2
    assert manage.rekey(both, engine) == 0
    assert reads(settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY=new), engine) == 20
    add(settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY=new_key()), engine, sandbox, "cy")
    add(settings(database_url, sandbox), engine, sandbox, "dee")
    with pytest.raises(CredentialsError, match="token of cy; re-encrypted 1"):
        manage.rekey(both, engine)
    assert reads(settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY=new), engine, "dee") == 20


def test_a_renewed_token_is_stored_before_its_first_use(database_url, engine, sandbox, instant, monkeypatch):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada")
    before = token_row(engine, "ada").secret
    instant(timedelta(hours=3))
    used_with: list[bytes] = []
    sandbox.before_request = lambda _record: used_with.append(token_row(engine, "ada").secret)
    assert reads(config, engine) == 20
    assert used_with[-1] != before
    assert token_row(engine, "ada").expires_at == clock.now() + timedelta(seconds=7200)
    instant(timedelta(hours=3))
    assert reads(config, engine) == 20


def test_four_processes_use_a_refresh_token_once(database_url, engine, sandbox, instant):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada")
    instant(timedelta(hours=3))
    gate, counts, failed = threading.Barrier(4), [], []

    def read() -> None:
        own = ready_engine(database_url)
        try:
            with connect(config, own, "ada") as client:
                gate.wait()
                counts.append(len(client.favourite_tracks(0).items))
        except FavsyncError as error:
            failed.append(error)
        finally:
            own.dispose()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counts, failed) == ([20] * 4, [])
    assert sum(record.path == "/oauth/token" for record in sandbox.requests) == 1


def test_a_renewed_token_that_was_not_stored_is_not_used(database_url, engine, sandbox, instant, monkeypatch):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada")
    instant(timedelta(hours=3))

    def fail(*_args: object) -> None:
        raise ApiUnreachable("the disk is full")

    monkeypatch.setattr("etl.accounts.token_rows.put_token_row", fail)
    with pytest.raises(ApiUnreachable, match="disk"):
        reads(config, engine)
    paths = [record.path for record in sandbox.requests]
    assert paths[-1] == "/oauth/token"


def test_a_token_in_a_file_is_renewed_in_the_file(database_url, engine, sandbox, instant, tmp_path):
    config = settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY="")
    file = tmp_path / "folder" / "ada.json"
    user = sandbox.users["ada"]
    token = Token(user.access_token, refresh_token=user.refresh_token)
    manage.add_account(config, engine, "ada", TokenInput(token, TokenLocation.FILE, str(file)), {})
    assert file.stat().st_mode & 0o777 == 0o600
    instant(timedelta(hours=3))
    assert reads(config, engine) == 20
    assert json.loads(file.read_text())["access_token"] == sandbox.users["ada"].access_token
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["ada.json"]
    assert token_row(engine, "ada").secret is None


def test_an_existing_token_file_is_not_rewritten(database_url, engine, sandbox, tmp_path):
    config = settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY="")
    file = tmp_path / "token"
    file.write_text(f"{sandbox.users['ada'].access_token}\n")
    file.chmod(0o444)
    given = read_token(config, lambda: pytest.fail("standard input was read"), file=str(file))
    manage.add_account(config, engine, "ada", given, {})
    assert "Other users may read" in given.note
    assert reads(config, engine) == 20
    file.chmod(0o600)
    file.write_text(sandbox.users["ben"].access_token)
    with connect(config, engine, "ada") as client:
        assert client.user().user_name == "ben"


def test_without_a_key_an_environment_token_stays_there(database_url, engine, sandbox, monkeypatch):
    config = settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY="")
    monkeypatch.setenv("TOKEN_OF_ADA", sandbox.users["ada"].access_token)
    given = read_token(config, str, variable="TOKEN_OF_ADA")
    manage.add_account(config, engine, "ada", given, {})
    assert reads(config, engine) == 20
    assert sandbox.users["ada"].access_token not in token_table(engine)
    monkeypatch.delenv("TOKEN_OF_ADA")
    with pytest.raises(CredentialsError, match="TOKEN_OF_ADA"):
        reads(config, engine)


def test_without_a_key_a_typed_token_is_refused(database_url, engine, sandbox):
    config = settings(database_url, sandbox, FAVSYNC_ENCRYPTION_KEY="")
    with pytest.raises(SettingsError, match="cannot be kept in the database") as refused:
        read_token(config, lambda: "token")
    assert "--token-env" in refused.value.remedy


def test_the_settings_token_is_renewed_in_the_database(database_url, engine, sandbox, instant):
    user = sandbox.users["ada"]
    environ = {"BOOMPLAY_ACCESS_TOKEN": user.access_token, "BOOMPLAY_REFRESH_TOKEN": user.refresh_token}
    config = settings(database_url, sandbox, **environ)
    with write_transaction(engine) as connection:
        ensure_account(connection, "default", clock.now())
    assert reads(config, engine, "default") == 20
    assert token_row(engine, "default") is None
    instant(timedelta(hours=3))
    assert reads(config, engine, "default") == 20
    assert token_row(engine, "default").place is TokenLocation.DATABASE
    refreshed = sum(record.path == "/oauth/token" for record in sandbox.requests)
    assert reads(config, engine, "default") == 20
    assert sum(record.path == "/oauth/token" for record in sandbox.requests) == refreshed
    other = settings(database_url, sandbox, BOOMPLAY_ACCESS_TOKEN=sandbox.new_token("ben"))
    with connect(other, engine, "default") as client:
        assert client.user().user_name == "ben"


def test_a_refused_token_is_suspect_then_dead_and_not_sent(database_url, engine, sandbox, instant):
    config = settings(database_url, sandbox, BOOMPLAY_APP_SECRET="")
    add(config, engine, sandbox, "ada", "ben", "cy", "dee")
    sandbox.revoke_token("ada")
    for state in ("suspect", "dead"):
        with pytest.raises(CredentialsError):
            reads(config, engine)
        assert token_row(engine, "ada").state == state
        instant(timedelta(minutes=6))
    sent = len(sandbox.requests)
    with pytest.raises(CredentialsError, match="dead") as dead:
        reads(config, engine)
    assert len(sandbox.requests) == sent
    assert "accounts login ada" in dead.value.remedy
    assert dead.value.exit_code == 4
    assert reads(config, engine, "ben") == 20


def test_a_suspect_token_that_is_accepted_is_valid(database_url, engine, sandbox, instant):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada", "ben")
    sandbox.expire_token("ada")
    with pytest.raises(CredentialsError):
        reads(settings(database_url, sandbox, BOOMPLAY_APP_SECRET=""), engine)
    assert token_row(engine, "ada").state == "suspect"
    assert reads(config, engine) == 20
    assert token_row(engine, "ada").state == "valid"


def test_a_widespread_refusal_makes_no_token_dead(database_url, engine, sandbox, instant):
    config = settings(database_url, sandbox, BOOMPLAY_APP_SECRET="")
    add(config, engine, sandbox)
    for name in sandbox.users:
        sandbox.revoke_token(name)
    for _ in range(3):
        for name in sandbox.users:
            with pytest.raises(CredentialsError):
                reads(config, engine, name)
        instant(timedelta(hours=1))
    assert {token_row(engine, name).state for name in sandbox.users} == {"suspect"}
    grant = sandbox.tokens.grants[sandbox.users["ada"].access_token]
    grant.is_revoked, grant.expires_at = False, clock.now() + timedelta(hours=1)
    assert reads(config, engine) == 20

"""The stored state of a token is true: every place of a token, from every state. On both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from etl import clock
from etl.accounts import manage
from etl.accounts.credentials import CredentialStore
from etl.accounts.session import connect
from etl.accounts.token_input import TokenInput, read_token
from etl.accounts.token_rows import TokenLocation, TokenRow, TokenStatus, put_token_row
from etl.boomplay.payloads import Token
from etl.db.engine import write_transaction
from etl.errors import CredentialsError
from etl.load.accounts import ensure_account
from tests.accounts.conftest import reads
from tests.support.sandbox_accounts import add, number, settings, token_row

PLACES = ("database", "variable", "file", "settings")


class Account:
    """The account ``default`` with a token in one place, which tests replace."""

    def __init__(self, place: str, database_url, engine, sandbox, tmp_path: Path, monkeypatch) -> None:
        self.place, self.engine, self.monkeypatch = place, engine, monkeypatch
        self.file = tmp_path / "token"
        self._options = {"BOOMPLAY_APP_SECRET": ""}
        if place == "variable":
            self._options["FAVSYNC_ENCRYPTION_KEY"] = ""
        self._config: Callable[..., object] = lambda **more: settings(database_url, sandbox, **self._options, **more)
        self.config = self._config()
        token = sandbox.users["ada"].access_token
        if place == "settings":
            with write_transaction(engine) as connection:
                ensure_account(connection, "default", clock.now())
            self.replace(token)
            with connect(self.config, engine, "default"):
                pass
            self.store(replace(CredentialStore(self.config, engine, self.id, "default").load().row))
        else:
            self.monkeypatch.setenv("OTHER_TOKEN", token)
            given = self.given(token)
            manage.add_account(self.config, engine, "default", given, {})

    @property
    def id(self) -> int:
        return number(self.engine, "default")

    def given(self, token: str) -> TokenInput:
        if self.place == "file":
            self.file.write_text(token)
            return read_token(self.config, str, file=str(self.file))
        if self.place == "variable":
            return read_token(self.config, str, variable="OTHER_TOKEN")
        return TokenInput(Token(token), TokenLocation.DATABASE)

    def replace(self, token: str) -> None:
        """Put another token into the place, as a person does."""
        if self.place == "database":
            manage.give_token(self.config, self.engine, "default", self.given(token))
        elif self.place == "variable":
            self.monkeypatch.setenv("OTHER_TOKEN", token)
        elif self.place == "file":
            self.file.write_text(token)
        else:
            self.config = self._config(BOOMPLAY_ACCESS_TOKEN=token)

    def store(self, row: TokenRow) -> None:
        with write_transaction(self.engine) as connection:
            put_token_row(connection, row)

    def set_state(self, state: TokenStatus) -> None:
        reason, since = ("refused", clock.now()) if state is not TokenStatus.VALID else (None, None)
        self.store(replace(token_row(self.engine, "default"), state=state, reason=reason, suspect_since=since))


@pytest.fixture(params=PLACES)
def account(request, database_url, engine, sandbox, tmp_path, monkeypatch) -> Account:
    return Account(request.param, database_url, engine, sandbox, tmp_path, monkeypatch)


def is_valid(row: TokenRow) -> bool:
    return (row.state, row.reason, row.suspect_since) == (TokenStatus.VALID, None, None)


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("state", list(TokenStatus))
def test_a_replaced_token_that_works_is_valid(account, state, engine, sandbox):
    account.set_state(state)
    account.replace(sandbox.new_token("ada"))
    assert reads(account.config, engine, "default") == 20
    assert is_valid(token_row(engine, "default"))
    assert manage.list_accounts(engine)[0]["token"] == "valid"


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("state", list(TokenStatus))
def test_the_same_token_that_works_is_valid(account, state, engine, sandbox):
    account.set_state(state)
    assert manage.check_account(account.config, engine, "default").state == "valid"
    assert is_valid(token_row(engine, "default"))


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("state", list(TokenStatus))
@pytest.mark.parametrize("account", PLACES[1:], indirect=True)  # a token is checked before it enters the database
def test_a_replaced_token_that_is_refused_is_suspect(account, state, engine, sandbox, instant):
    account.set_state(state)
    instant(timedelta(hours=1))
    account.replace("refused-token")
    assert manage.check_account(account.config, engine, "default").state == "suspect"
    assert token_row(engine, "default").suspect_since == clock.now()


REMEDIES = {
    "database": "run `favsync accounts login default` or `favsync accounts set default --token`",
    "variable": "set OTHER_TOKEN to another token",
    "file": "write another token into {file}: `favsync accounts login default --token-file {file}`",
    "settings": "set BOOMPLAY_ACCESS_TOKEN to another token, or run `favsync accounts login default`",
}


@pytest.mark.once_on_postgresql
def test_a_refused_token_has_the_remedy_of_its_place(account, engine, sandbox, instant):
    sandbox.revoke_token("ada")
    remedy = REMEDIES[account.place].format(file=account.file)
    for _ in range(3):  # suspect, then dead, then not sent
        with pytest.raises(CredentialsError) as refused:
            reads(account.config, engine, "default")
        assert refused.value.remedy.startswith(remedy)
        instant(timedelta(minutes=6))
    assert token_row(engine, "default").state is TokenStatus.DEAD


@pytest.mark.parametrize(
    "wrong", [{"BOOMPLAY_APP_ID": "mistyped"}, {"BOOMPLAY_APP_SECRET": "wrong"}], ids=["app id", "secret"]
)
def test_a_refused_app_leaves_the_token_valid(wrong, database_url, engine, sandbox, instant):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    sandbox.expire_token("ada")
    for _ in range(3):
        with pytest.raises(CredentialsError) as refused:
            reads(settings(database_url, sandbox, **wrong), engine)
        assert refused.value.remedy.startswith("check BOOMPLAY_APP_ID and BOOMPLAY_APP_SECRET")
        instant(timedelta(minutes=6))
    assert is_valid(token_row(engine, "ada"))
    assert reads(settings(database_url, sandbox), engine) == 20


def test_a_settings_token_that_works_replaces_a_dead_one(database_url, engine, sandbox, tmp_path, monkeypatch):
    account = Account("database", database_url, engine, sandbox, tmp_path, monkeypatch)
    account.set_state(TokenStatus.DEAD)
    config = settings(database_url, sandbox, BOOMPLAY_ACCESS_TOKEN=sandbox.new_token("ada"))
    assert reads(config, engine, "default") == 20
    row = token_row(engine, "default")
    assert (row.place, row.state) == (TokenLocation.ENVIRONMENT, TokenStatus.VALID)


def test_a_token_stored_meanwhile_keeps_its_row(account, engine, sandbox):
    account.set_state(TokenStatus.SUSPECT)
    config = account.config
    with connect(config, engine, "default", even_dead=True) as client:
        client.user()
        other = TokenRow(account_id=account.id, place=TokenLocation.FILE, reference="/other", updated_at=clock.now())
        other = replace(other, fingerprint=b"other", state=TokenStatus.DEAD)
        account.store(other)
    assert token_row(engine, "default") == other


def test_a_success_without_a_stored_row_writes_nothing(database_url, engine, sandbox):
    with write_transaction(engine) as connection:
        ensure_account(connection, "default", clock.now())
    config = settings(database_url, sandbox, BOOMPLAY_ACCESS_TOKEN=sandbox.users["ada"].access_token)
    assert reads(config, engine, "default") == 20
    assert token_row(engine, "default") is None

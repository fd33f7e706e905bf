"""Adds, changes, checks and disables accounts. The functions raise UsageError for a wrong name, and DatabaseError.

Invariants: before anything is written, the service is asked whose token it is. A user has one account. A disabled account
keeps its history.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, func, insert, or_, select, update

from etl import clock
from etl.accounts.credentials import (
    APP_REMEDY,
    DEFAULT_ACCOUNT,
    RENEWAL_SECONDS,
    CredentialStore,
    is_app_refused,
    stored_row,
)
from etl.accounts.encryption import TokenCipher
from etl.accounts.session import connect, http_options
from etl.accounts.token_input import TokenInput
from etl.accounts.token_rows import (
    TokenLocation,
    delete_token_row,
    displayed_status,
    put_token_row,
    token_row,
    token_states,
)
from etl.boomplay.client import Boomplay
from etl.boomplay.payloads import User
from etl.boomplay.tokens import StaticToken
from etl.config import Config
from etl.db.engine import read_transaction, write_transaction
from etl.db.locks import LockKind, lock
from etl.db.tables import accounts, markets, runs
from etl.errors import CredentialsError, FavsyncError, UsageError, WrongUser
from etl.load import calendar
from etl.load.accounts import Account, every_account, find_account

_SHOWN = ("schedule", "user_name", "boomplay_user_id", "region", "plan")
NAME = re.compile(r"[^\W_][\w.@+ -]{0,62}[\w.@+]|[^\W_]")


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """The result of a check: the token's user and state. ``error``: why it does not work."""

    account: str
    user: User | None
    state: str
    expires_at: datetime | None
    place: str
    error: FavsyncError | None


def fetch_user(config: Config, token: str, again: str) -> User:
    """Return the user whose token this is. ``again``: the command that takes another token.

    Raises: CredentialsError, ApiError, SettingsError.
    """
    with Boomplay(StaticToken(token), http_options(config)) as client:
        try:
            return client.user()
        except CredentialsError as error:
            error.remedy = (
                f"copy the token again and repeat {again}; if a new token is refused too, check BOOMPLAY_APP_ID"
            )
            if is_app_refused(error.message):
                error.remedy = APP_REMEDY
            raise


def require_new(engine: Engine, name: str) -> None:
    """Check that a new account may have this name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:64]!r} cannot be the name of an account",
            remedy="use up to 64 letters and digits; spaces and . @ + - _ may be between them",
        )
    with read_transaction(engine) as connection:
        other = connection.execute(select(accounts.c.name, accounts.c.enabled).where(accounts.c.name == name)).first()
    if other is not None:
        raise UsageError(f"there is an account {name} already", remedy=_existing_account_remedy(other))


def add_account(
    config: Config, engine: Engine, name: str, given: TokenInput, settings: Mapping[str, str | None]
) -> tuple[int, User]:
    """Add the account ``name`` for the token's user, who must have none yet. Returns its id and the user.

    ``settings``: ``schedule`` and ``region``, if they are not the default.

    Raises: UsageError; CredentialsError, ApiError, SettingsError, DatabaseError.
    """
    require_new(engine, name)
    quoted = shlex.quote(name)
    again = f"`favsync accounts add {quoted}`, or sign in with `favsync accounts login {quoted}`"
    user = fetch_user(config, given.token.access_token, again)
    with write_transaction(engine) as connection:
        _require_no_other(connection, user, None)
        values = {
            **_user_columns(user),
            "name": name,
            "schedule": settings.get("schedule"),
            "region": settings.get("region") or user.region,
            "enabled": True,
            "created_at": clock.now(),
        }
        account_id = connection.execute(insert(accounts).values(**values).returning(accounts.c.account_id)).scalar_one()
        calendar.add_missing_rows(connection, clock.now(), accounts.c.account_id == account_id)
        put_token_row(connection, stored_row(config, account_id, given))
    return account_id, user


def give_token(config: Config, engine: Engine, name: str, given: TokenInput) -> User:
    """Replace the account's token with another one of the same user, and make the account due.

    Raises: WrongUser, UsageError, CredentialsError, ApiError, SettingsError, DatabaseError.
    """
    account = _find(engine, name)
    account_id = account.account_id
    user = fetch_user(config, given.token.access_token, f"`favsync accounts set {shlex.quote(name)} --token`")
    _require_same(account, user)
    with lock(engine, LockKind.TOKEN, account_id, RENEWAL_SECONDS), write_transaction(engine) as connection:
        _require_no_other(connection, user, account_id)
        put_token_row(connection, stored_row(config, account_id, given))
        connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**_user_columns(user)))
        if account.enabled:
            calendar.set_due(connection, account_id, clock.now())
    return user


def set_account(config: Config, engine: Engine, name: str, values: Mapping[str, Any]) -> None:
    """Change ``schedule``, ``enabled``, ``region`` or ``name`` of an account."""
    account = _find(engine, name)
    account_id = account.account_id
    new_name = values.get("name")
    if new_name is not None and new_name != name:
        require_new(engine, new_name)
    with write_transaction(engine) as connection:
        if new_name is not None and name == DEFAULT_ACCOUNT and token_row(connection, account_id) is None:
            # Under another name, only a row connects the account with the token of the settings.
            stored = CredentialStore(config, None, account_id, name).load()
            if stored is not None:
                put_token_row(connection, stored.row)
        connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**values))
        if values.get("enabled", account.enabled) != account.enabled:
            calendar.set_due(connection, account_id, clock.now() if values["enabled"] else calendar.NEVER)


def check_account(config: Config, engine: Engine, name: str) -> CheckedToken:
    """Try the account's token, even a dead one, and return what the service says."""
    account = _find(engine, name)
    user, error = None, None
    try:
        with connect(config, engine, name, even_dead=True) as client:
            user = client.user()
        _require_same(account, user)
    except UsageError:
        raise
    except FavsyncError as fault:
        error = fault
    with read_transaction(engine) as connection:
        row = token_row(connection, account.account_id)
    if row is None:
        state = "valid" if user is not None or error is None else "unknown"
        return CheckedToken(name, user, state, None, str(TokenLocation.ENVIRONMENT), error)
    return CheckedToken(name, user, displayed_status(row, clock.now()), row.expires_at, str(row.place), error)


def market_code(engine: Engine, text: str) -> str:
    """Return the code of the market with this code or name. Raises UsageError."""
    wanted = text.strip().lower()
    query = select(markets.c.market_code).where(
        or_(func.lower(markets.c.market_code) == wanted, func.lower(markets.c.name) == wanted)
    )
    with read_transaction(engine) as connection:
        found = connection.execute(query).scalar()
    if found is None:
        raise UsageError(f"{text!r} is not a market", remedy="use the two-letter code of a country, such as NG")
    return str(found)


def disable_account(engine: Engine, name: str) -> None:
    """Disable the account and delete its token. Its history stays."""
    account_id = _find(engine, name).account_id
    with write_transaction(engine) as connection:
        connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(enabled=False))
        calendar.set_due(connection, account_id, calendar.NEVER)
        delete_token_row(connection, account_id)


def rekey(config: Config, engine: Engine) -> int:
    """Encrypt every stored token with the first key. Returns how many were encrypted with another one.

    Raises: CredentialsError, after the others are done, if no key decrypts some of them; SettingsError, if there is no key.
    """
    cipher = TokenCipher([key.reveal() for key in config.encryption_keys])
    count, failed = 0, []
    for account_id, name in numbered_accounts(engine):
        with lock(engine, LockKind.TOKEN, account_id, RENEWAL_SECONDS), write_transaction(engine) as connection:
            row = token_row(connection, account_id)
            if row is None or row.secret is None or cipher.opens_first(row.secret):
                continue
            try:
                secret = cipher.encrypted(cipher.decrypted(row.secret, name))
            except CredentialsError:
                failed.append(name)
                continue
            put_token_row(connection, replace(row, secret=secret))
            count += 1
    if failed:
        raise CredentialsError(
            f"no key of FAVSYNC_ENCRYPTION_KEY decrypts the stored token of {', '.join(failed)}; "
            f"re-encrypted {count} of the others",
            remedy="add the former key after the new one, separated by a comma; or sign in to these accounts again",
        )
    return count


def list_accounts(engine: Engine) -> list[dict[str, Any]]:
    """Return every account as `favsync accounts list` shows it, by name."""
    proven = (
        select(runs.c.requests)
        .join(accounts, accounts.c.account_id == runs.c.account_id)
        .where(accounts.c.name == DEFAULT_ACCOUNT, runs.c.proven)
        .where(runs.c.retracted_at.is_(None), runs.c.observed_at.is_not(None))
        .order_by(runs.c.observed_at.desc())
    )
    with read_transaction(engine) as connection:
        found = connection.execute(select(accounts).order_by(accounts.c.name)).all()
        rows = token_states(connection)
        # The settings' token has no row until it is refused; it works if it has read a list.
        default_state = "valid" if connection.execute(proven.limit(1)).scalar() else "unknown"
    shown = []
    for account in found:
        token, state, place = rows.get(account.account_id), "none", None
        if token is not None:
            state, place = displayed_status(token, clock.now()), str(token.place)
        elif account.name == DEFAULT_ACCOUNT:
            state, place = default_state, str(TokenLocation.ENVIRONMENT)
        shown.append(
            {
                "account": account.name,
                "enabled": bool(account.enabled),
                **{column: getattr(account, column) for column in _SHOWN},
                "token": state,
                "token_place": place,
                "token_expires_at": token.expires_at if token else None,
                "created_at": account.created_at,
            }
        )
    return shown


def is_enabled(engine: Engine, name: str) -> bool:
    """True if the account is synced."""
    return _find(engine, name).enabled


def numbered_accounts(engine: Engine) -> list[tuple[int, str]]:
    """Return id and name of every account."""
    with read_transaction(engine) as connection:
        return [(account.account_id, account.name) for account in every_account(connection)]


def _find(engine: Engine, name: str) -> Account:
    with read_transaction(engine) as connection:
        return find_account(connection, name)


def _user_columns(user: User) -> dict[str, str | None]:
    return {"boomplay_user_id": user.user_id, "user_name": user.user_name, "plan": user.plan}


def _require_same(account: Account, user: User) -> None:
    if account.boomplay_user_id not in (None, user.user_id):
        raise WrongUser(
            f"the token belongs to another Boomplay user than account {account.name}",
            remedy=f"`favsync accounts login {shlex.quote(account.name)}` as the right user, or add another account for this one",
        )


def _require_no_other(connection: Connection, user: User, account_id: int | None) -> None:
    columns = accounts.c.account_id, accounts.c.name, accounts.c.enabled
    other = connection.execute(select(*columns).where(accounts.c.boomplay_user_id == user.user_id)).first()
    if other is not None and other.account_id != account_id:
        raise UsageError(
            f"that is the Boomplay user of account {other.name}, and a user has one account",
            remedy=_existing_account_remedy(other),
        )


def _existing_account_remedy(account: Any) -> str:
    if account.enabled:
        return f"`favsync accounts set {shlex.quote(account.name)} --token` replaces the token of that account"
    return f"it was removed or disabled: `favsync accounts set {shlex.quote(account.name)} --enable --token` brings it back"

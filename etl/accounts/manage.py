"""Adding, changing, checking and removing accounts.

Invariants: a token is asked whose it is before anything is written; one Boomplay user is one account; removing an account
keeps its history.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from etl import clock
from etl.accounts import token_rows
from etl.accounts.credentials import DEFAULT_ACCOUNT, DEFAULT_VARIABLE, CredentialStore, stored_row
from etl.accounts.encryption import TokenCipher
from etl.accounts.session import connect, http_options
from etl.accounts.token_input import TokenInput
from etl.accounts.token_rows import TokenLocation, TokenRow
from etl.accounts.token_source import RENEWAL_SECONDS
from etl.accounts.token_state import displayed_status
from etl.boomplay.client import Boomplay
from etl.boomplay.payloads import User
from etl.boomplay.tokens import StaticToken
from etl.config import Config
from etl.db.engine import read_transaction, write_transaction
from etl.db.locks import LockKind, lock
from etl.db.tables import accounts, runs, schedules
from etl.errors import CredentialsError, FavsyncError, UsageError, WrongUser

NAME = re.compile(r"[^\W_][\w.@+ -]{0,62}[\w.@+]|[^\W_]")


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """What a check found: whose token it is and how it stands. ``error``: why it could not be told."""

    account: str
    user: User | None
    state: str
    expires_at: datetime | None
    place: str
    error: FavsyncError | None


def fetch_user(config: Config, token: str) -> User:
    """Ask the service whose token it is.

    Raises: CredentialsError, ApiError, SettingsError.
    """
    with Boomplay(StaticToken(token), http_options(config)) as client:
        return client.user()


def require_new(engine: Engine, name: str) -> None:
    """Make sure that an account can be called so.

    Raises: UsageError.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"an account cannot be called {name[:64]!r}",
            remedy="use up to 64 letters and digits, and between them blanks and . @ + - _",
        )
    with read_transaction(engine) as connection:
        other = connection.execute(select(accounts.c.name, accounts.c.enabled).where(accounts.c.name == name)).first()
    if other is not None:
        raise UsageError(f"there is an account {name} already", remedy=_way_in(other.name, is_enabled=other.enabled))


def add_account(
    config: Config, engine: Engine, name: str, given: TokenInput, settings: Mapping[str, str | None]
) -> tuple[int, User]:
    """Add the account ``name`` for the user whose token is given, and return its id and that user.

    ``settings``: ``schedule`` and ``region``, where they are not the default.

    Raises: UsageError, where the name or the user has an account already; CredentialsError, ApiError, SettingsError,
    DatabaseError.
    """
    require_new(engine, name)
    user = fetch_user(config, given.token.access_token)
    with read_transaction(engine) as connection:
        _require_no_other(connection, user, None)
    with write_transaction(engine) as connection:
        _require_no_other(connection, user, None)
        values = {
            **_known_as(user),
            "name": name,
            "schedule": settings.get("schedule"),
            "region": settings.get("region") or user.region,
            "enabled": True,
            "created_at": clock.now(),
        }
        account_id = connection.execute(insert(accounts).values(**values).returning(accounts.c.account_id)).scalar_one()
        token_rows.put_token_row(connection, stored_row(config, account_id, given.token, given.place, given.reference))
    return account_id, user


def give_token(config: Config, engine: Engine, name: str, given: TokenInput) -> User:
    """Give the account another token, which must be the same user's, and let it be synced soon.

    Raises: WrongUser, UsageError, CredentialsError, ApiError, SettingsError, DatabaseError.
    """
    account_id, user_id = _found(engine, name)
    user = fetch_user(config, given.token.access_token)
    if user_id not in (None, user.user_id):
        raise WrongUser(
            f"the token belongs to another Boomplay user than account {name}",
            remedy="give the token of the right user, or add another account for this one",
        )
    with read_transaction(engine) as connection:
        _require_no_other(connection, user, account_id)
    with lock(engine, LockKind.TOKEN, account_id, RENEWAL_SECONDS):
        CredentialStore(config, engine, account_id, name).give(given.token, given.place, given.reference)
    with write_transaction(engine) as connection:
        connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**_known_as(user)))
        connection.execute(delete(schedules).where(schedules.c.account_id == account_id))
    return user


def set_account(config: Config, engine: Engine, name: str, values: Mapping[str, Any]) -> None:
    """Change ``schedule``, ``enabled``, ``region`` or ``name`` of an account.

    Raises: UsageError, DatabaseError.
    """
    account_id, _ = _found(engine, name)
    new_name = values.get("name")
    if new_name is not None and new_name != name:
        require_new(engine, new_name)
    with write_transaction(engine) as connection:
        is_bare = token_rows.token_row(connection, account_id) is None
        if new_name is not None and name == DEFAULT_ACCOUNT and is_bare:
            keeper = CredentialStore(config, None, account_id, name)
            kept = keeper.load()
            if kept is not None:
                row = stored_row(config, account_id, kept.token, TokenLocation.ENVIRONMENT, DEFAULT_VARIABLE)
                token_rows.put_token_row(connection, row)
        connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**values))


def check_account(config: Config, engine: Engine, name: str) -> CheckedToken:
    """Try the account's token, a dead one too, and return what the service says.

    Raises: UsageError, where there is no such account; DatabaseError.
    """
    account_id, user_id = _found(engine, name)
    user, failure = None, None
    try:
        with connect(config, engine, name, even_dead=True) as client:
            user = client.user()
        if user_id not in (None, user.user_id):
            raise WrongUser(
                f"the token belongs to another Boomplay user than account {name}",
                remedy=f"give it the right user's token: `favsync accounts login {name}`",
            )
    except UsageError:
        raise
    except FavsyncError as error:
        failure = error
    with read_transaction(engine) as connection:
        row = token_rows.token_row(connection, account_id)
    if row is None:
        is_there = not isinstance(failure, FavsyncError) or user is not None
        return CheckedToken(
            name, user, "valid" if is_there else "unknown", None, str(TokenLocation.ENVIRONMENT), failure
        )
    return CheckedToken(name, user, displayed_status(row, clock.now()), row.expires_at, str(row.place), failure)


def disable_account(engine: Engine, name: str) -> None:
    """Disable the account and forget its token; its history stays.

    Raises: UsageError, DatabaseError.
    """
    account_id, _ = _found(engine, name)
    with write_transaction(engine) as connection:
        connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(enabled=False))
        connection.execute(delete(schedules).where(schedules.c.account_id == account_id))
        token_rows.delete_token_row(connection, account_id)


def rekey(config: Config, engine: Engine) -> int:
    """Encrypt every stored token that a key opens with the first key, and return how many were not.

    Raises: CredentialsError, after the others are done, where no key opens some of them; SettingsError, where there is no key;
    DatabaseError.
    """
    vault = TokenCipher([key.reveal() for key in config.encryption_keys])
    count, closed = 0, []
    for account_id, name in numbered_accounts(engine):
        try:
            count += _rekeyed(engine, vault, account_id, name)
        except CredentialsError:
            closed.append(name)
    if closed:
        raise CredentialsError(
            f"no key of FAVSYNC_ENCRYPTION_KEY opens the stored token of {', '.join(closed)}; "
            f"encrypted anew: {count} of the others",
            remedy="add the former key after the new one, with a comma between; or sign these accounts in again",
        )
    return count


def _rekeyed(engine: Engine, vault: TokenCipher, account_id: int, name: str) -> bool:
    from msgspec.structs import replace

    with lock(engine, LockKind.TOKEN, account_id, RENEWAL_SECONDS), write_transaction(engine) as connection:
        row = token_rows.token_row(connection, account_id)
        if row is None or row.secret is None or vault.opens_first(row.secret):
            return False
        secret = vault.encrypted(vault.decrypted(row.secret, name))
        token_rows.put_token_row(connection, replace(row, secret=secret))
    return True


def _known_as(user: User) -> dict[str, str | None]:
    return {"boomplay_user_id": user.user_id, "user_name": user.user_name, "plan": user.plan}


def _found(engine: Engine, name: str) -> tuple[int, str | None]:
    from etl.load.accounts import find_accounts

    with read_transaction(engine) as connection:
        account = find_accounts(connection, [name])[0]
    return account.account_id, account.boomplay_user_id


def _require_no_other(connection: Connection, user: User, account_id: int | None) -> None:
    columns = accounts.c.account_id, accounts.c.name, accounts.c.enabled
    other = connection.execute(select(*columns).where(accounts.c.boomplay_user_id == user.user_id)).first()
    if other is not None and other.account_id != account_id:
        raise UsageError(
            f"that is the Boomplay user of account {other.name}: one user is one account",
            remedy=_way_in(other.name, is_enabled=other.enabled),
        )


def _way_in(name: str, *, is_enabled: bool) -> str:
    """Return how an account that is there gets a token; one that was removed is brought back with its history."""
    if is_enabled:
        return f"`favsync accounts set {name} --token` gives that account another token"
    return f"it was removed or disabled: `favsync accounts set {name} --enable --token` brings it back"


def list_accounts(engine: Engine) -> list[dict[str, Any]]:
    """Return every account as `favsync accounts list` shows it, by name.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        found = connection.execute(select(accounts).order_by(accounts.c.name)).all()
        rows = token_rows.token_rows(connection)
        works = _default_works(connection)
    now = clock.now()
    return [_listed(account, rows.get(account.account_id), now, default_works=works) for account in found]


def _default_works(connection: Connection) -> bool:
    """Say whether the settings' token, which has no row before it is refused, has read a list (as `favsync status` does)."""
    query = (
        select(runs.c.requests)
        .join(accounts, accounts.c.account_id == runs.c.account_id)
        .where(accounts.c.name == DEFAULT_ACCOUNT, runs.c.proven)
        .where(runs.c.retracted_at.is_(None), runs.c.observed_at.is_not(None))
        .order_by(runs.c.observed_at.desc())
    )
    return bool(connection.execute(query.limit(1)).scalar())


def is_enabled(engine: Engine, name: str) -> bool:
    """Say whether the account is synced.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        return bool(connection.execute(select(accounts.c.enabled).where(accounts.c.name == name)).scalar())


def numbered_accounts(engine: Engine) -> list[tuple[int, str]]:
    """Return id and name of every account.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        found = connection.execute(select(accounts.c.account_id, accounts.c.name).order_by(accounts.c.account_id))
        return [(row.account_id, row.name) for row in found]


def _listed(account: Any, token: TokenRow | None, now: datetime, *, default_works: bool) -> dict[str, Any]:
    is_default = account.name == DEFAULT_ACCOUNT
    unmarked = "none" if not is_default else "valid" if default_works else "unknown"
    return {
        "account": account.name,
        "enabled": bool(account.enabled),
        "schedule": account.schedule,
        "user_name": account.user_name,
        "boomplay_user_id": account.boomplay_user_id,
        "region": account.region,
        "plan": account.plan,
        "token": displayed_status(token, now) if token else unmarked,
        "token_place": str(token.place) if token else (str(TokenLocation.ENVIRONMENT) if is_default else None),
        "token_expires_at": token.expires_at if token else None,
        "created_at": account.created_at,
    }

"""Accounts: find them, create them, store who their Boomplay user is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

import msgspec
from sqlalchemy import ColumnElement, Connection, select, true, update

from etl.db import bulk
from etl.db.tables import accounts
from etl.errors import UsageError, WrongUser, did_you_mean
from etl.load import calendar

SHOWN_NAMES = 10


class Account(msgspec.Struct, frozen=True):
    """A Boomplay user whose favourites are copied."""

    account_id: int
    name: str
    boomplay_user_id: str | None
    region: str | None
    enabled: bool
    schedule: str | None = None
    user_checked_at: datetime | None = None


def find_account(connection: Connection, name: str) -> Account:
    """Return the account with this name. Raises: UsageError, if there is none; a pattern is no name."""
    if is_pattern(name):
        raise UsageError(f"{name!r} is a pattern, and one account is wanted", remedy="write the name of one account")
    return _chosen(connection, [name])[0]


def every_account(connection: Connection, names: Sequence[str] = ()) -> list[Account]:
    """Return all accounts by name, disabled ones too; if ``names`` are given, those that they choose, in that order.

    A name with ``*``, ``?`` or ``[`` is a pattern of enabled accounts' names.

    Raises: UsageError, for a name or a pattern that no account has.
    """
    return _chosen(connection, names) if names else _read(connection, true())


def enabled_accounts(connection: Connection, names: Sequence[str] = ()) -> list[Account]:
    """Return all enabled accounts by name; if ``names`` are given, those that they choose, as `every_account`.

    Raises: UsageError, for a name or a pattern that no account has.
    """
    return _chosen(connection, names) if names else _read(connection, accounts.c.enabled)


def is_pattern(name: str) -> bool:
    """True if the name is a pattern; the name of an account has none of these characters."""
    return not set("*?[").isdisjoint(name)


def _chosen(connection: Connection, names: Sequence[str]) -> list[Account]:
    enabled = enabled_accounts(connection) if any(map(is_pattern, names)) else []
    exact = accounts.c.name.in_([name for name in names if not is_pattern(name)])
    known = {account.name: account for account in _read(connection, exact)}
    chosen: dict[str, Account] = {}
    for name in names:
        if is_pattern(name):
            matching = [each for each in enabled if fnmatchcase(each.name, name)]
        else:
            matching = [known[name]] if name in known else []
        if not matching:
            raise _unknown(connection, name)
        chosen |= {account.name: account for account in matching}
    return list(chosen.values())


def _read(connection: Connection, condition: ColumnElement[bool]) -> list[Account]:
    query = select(*accounts.c[Account.__struct_fields__]).where(condition).order_by(accounts.c.name)
    return [Account(*row) for row in connection.execute(query)]


def _unknown(connection: Connection, name: str) -> UsageError:
    """Return the error for a name or a pattern that no account has; its remedy names those like it."""
    known = [account.name for account in every_account(connection)]
    listed = f"accounts are: {', '.join(known) or 'none yet'}; see `favsync accounts list`"
    if len(known) > SHOWN_NAMES:
        listed = f"`favsync accounts list` lists the {len(known):,} accounts"
    found = "no enabled account matches" if is_pattern(name) else "there is no account"
    return UsageError(f"{found} {name!r}", remedy=did_you_mean(name, known) + listed)


def ensure_account(connection: Connection, name: str, now: datetime) -> None:
    """Create the account ``name``, due now, if it does not exist."""
    row = (name, True, bulk.instants(connection)(now))
    bulk.insert(connection, accounts, ("name", "enabled", "created_at"), [row], key=("name",))
    calendar.add_missing_rows(connection, now, accounts.c.name == name)


def require_own_user(connection: Connection, account_id: int, boomplay_user_id: str) -> None:
    """Check that no other account copies this Boomplay user's list.

    Raises: WrongUser, naming the other account.
    """
    query = select(accounts.c.name).where(
        accounts.c.boomplay_user_id == boomplay_user_id, accounts.c.account_id != account_id
    )
    other = connection.execute(query).scalar()
    if other is not None:
        raise WrongUser(
            f"the token belongs to the Boomplay user whose list account {other} copies already",
            remedy=f"sync account {other} instead, or set the token of another user",
        )


def remember_user(
    connection: Connection, account_id: int, user: Mapping[str, str | None], checked_at: datetime
) -> None:
    """Store the account's Boomplay user, whom the service confirmed at ``checked_at``."""
    known = {**user, "user_checked_at": checked_at}
    connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**known))

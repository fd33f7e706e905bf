"""Accounts: find them, create them, store who their Boomplay user is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

import msgspec
from sqlalchemy import Connection, select, update

from etl.db import bulk
from etl.db.tables import accounts
from etl.errors import UsageError, WrongUser
from etl.load import calendar
from etl.setting_values import nearest

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


def find_accounts(connection: Connection, names: Collection[str] = ()) -> list[Account]:
    """Return the accounts with these names, in that order; all enabled ones, by name, if none is given.

    Raises: UsageError, for a name that does not exist.
    """
    found = {account.name: account for account in every_account(connection)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise UsageError(f"there is no account {unknown[0]!r}", remedy=_listed(unknown[0], list(found)))
    return [found[name] for name in dict.fromkeys(names)] or [each for each in found.values() if each.enabled]


def named_accounts(connection: Connection, names: Collection[str]) -> list[Account]:
    """Return the accounts with these names; all, disabled ones too, if none is given. Raises: UsageError, as `find_accounts`."""
    return find_accounts(connection, names) if names else every_account(connection)


def is_pattern(name: str) -> bool:
    """True if the name is a pattern; the name of an account has none of these characters."""
    return not set("*?[").isdisjoint(name)


def match_accounts(connection: Connection, names: Collection[str] = ()) -> list[Account]:
    """Return the accounts with these names; a name with ``*``, ``?`` or ``[`` is a pattern of enabled accounts' names.

    All enabled accounts if no name is given. Raises: UsageError, for a name or a pattern that no account has.
    """
    patterns = [name for name in names if is_pattern(name)]
    enabled = [each.name for each in every_account(connection) if each.enabled] if patterns else []
    chosen: list[str] = []
    for name in names:
        matching = [each for each in enabled if fnmatchcase(each, name)] if name in patterns else [name]
        if not matching:
            raise UsageError(f"no enabled account matches {name!r}", remedy=_listed(name, enabled))
        chosen += matching
    return find_accounts(connection, chosen)


def matching_names(connection: Connection, names: Collection[str]) -> list[str]:
    """Return the names, with the names of the accounts in place of the patterns among them.

    Raises: UsageError, for a pattern that no account has, and beside a pattern for such a name.
    """
    has_pattern = any(map(is_pattern, names))
    return [each.name for each in match_accounts(connection, names)] if has_pattern else list(names)


def _listed(name: str, known: Sequence[str]) -> str:
    """Return which accounts there are; of many, the one most like ``name``."""
    if len(known) > SHOWN_NAMES:
        return f"{nearest(name, known)} `favsync accounts list` lists the {len(known):,} accounts".strip()
    return f"accounts are: {', '.join(known) or 'none yet'}; see `favsync accounts list`"


def every_account(connection: Connection) -> list[Account]:
    """Return all accounts by name, disabled ones too."""
    rows = connection.execute(select(*accounts.c[Account.__struct_fields__]).order_by(accounts.c.name))
    return [Account(*row) for row in rows]


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

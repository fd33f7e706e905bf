"""Accounts, past observations and syncs for tests of time travel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, select

from etl.db.engine import reading, writing
from etl.db.tables import favourites
from etl.load import runs as run_rows
from etl.load.baseline import Account, find_accounts
from etl.model.records import Decision, Item
from etl.model.threshold import Brake
from etl.replay.favourites import membership_difference, refold_facts
from etl.replay.import_snapshots import Imported, Past, land_past
from tests.support.lists import START, item

LATER = START + timedelta(days=3650)


def at(day: float) -> datetime:
    """Return an instant so many days after the start."""
    return START + timedelta(days=day)


def account_in(engine: Engine, name: str = "ada") -> Account:
    """Return the account, made if need be."""
    with writing(engine) as connection:
        run_rows.ensure_account(connection, name, START)
    with reading(engine) as connection:
        return find_accounts(connection, [name])[0]


def seen(
    day: float, items: Iterable[int | Item], *, whole: bool = True, hours: float = 0, word: str | None = None
) -> Past:
    """Return an observation of a day; ids stand for items with facts. A whole one is approved, unless it took time."""
    listed = tuple(item(each) if isinstance(each, int) else each for each in items)
    decision = Decision(word) if word else Decision.APPROVED if whole and not hours else None
    proves = whole and all(each.track_id is not None for each in listed)
    return Past(f"day {day}", at(day) - timedelta(hours=hours), at(day), listed, whole, proves, decision)


def land(
    engine: Engine, account: Account, *pasts: Past, brake: Brake | None = None, keep_bodies: bool = True
) -> Imported:
    """Import observations, as `favsync backfill --from` does."""
    with writing(engine) as connection:
        return land_past(
            connection, account.account_id, pasts, brake=brake or Brake(), now=LATER, keep_bodies=keep_bodies
        )


def stays(engine: Engine, account: Account) -> set[tuple[object, ...]]:
    """Return every stored interval without its runs."""
    columns = favourites.c["track_id", "valid_from", "added_after", "valid_to", "removed_after"]
    with reading(engine) as connection:
        query = select(*columns).where(favourites.c.account_id == account.account_id)
        return {tuple(row) for row in connection.execute(query)}


def assert_rebuilt(engine: Engine, accounts: Account | Sequence[Account], brake: Brake | None = None) -> None:
    """Make sure that the history is what a fold from the start gives, facts and counts too."""
    with reading(engine) as connection:
        for account in [accounts] if isinstance(accounts, Account) else accounts:
            difference, _ = membership_difference(connection, account.account_id, brake or Brake())
            assert not difference, difference
        found = refold_facts(connection, write=False)
        assert not found, found

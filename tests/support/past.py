"""Accounts, past observations and syncs for tests of time travel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, select

from etl.db.engine import read_transaction, write_transaction
from etl.db.tables import favourites, metadata, track_versions
from etl.load.accounts import Account, ensure_account, find_account
from etl.model.records import Item, RemovalThreshold, Review
from etl.replay.favourites import diff_favourites
from etl.replay.import_snapshots import ImportResult, ImportTerms, PastSnapshot, import_snapshots
from etl.replay.tracks import replay_tracks
from tests.support.lists import START, item

LATER = START + timedelta(days=3650)
STORAGE = {("tracks", "facts"), ("tracks", "sighted_at"), ("albums", "first_title"), ("artists", "first_name")}
"""Columns that say how something is stored: they depend on the order in which it was observed."""


def columns_of(name: str) -> list[ColumnElement[object]]:
    """Return the columns of a table, or of the view `track_versions`, apart from those of `STORAGE`."""
    table = track_versions if name == "track_versions" else metadata.tables[name]
    return [column for column in table.columns if (name, column.name) not in STORAGE]


def at(day: float) -> datetime:
    """Return an instant so many days after the start."""
    return START + timedelta(days=day)


def account_in(engine: Engine, name: str = "ada") -> Account:
    """Return the account, made if need be."""
    with write_transaction(engine) as connection:
        ensure_account(connection, name, START)
    with read_transaction(engine) as connection:
        return find_account(connection, name)


def past_snapshot(
    day: float, items: Iterable[int | Item], *, whole: bool = True, hours: float = 0, word: str | None = None
) -> PastSnapshot:
    """Return an observation of a day; ids stand for items with facts. A whole one is approved, unless it took time."""
    listed = tuple(item(each) if isinstance(each, int) else each for each in items)
    decision = Review(word) if word else Review.APPROVED if whole and not hours else None
    proves = whole and all(each.track_id is not None for each in listed)
    return PastSnapshot(f"day {day}", at(day) - timedelta(hours=hours), at(day), listed, whole, proves, decision)


def import_past(
    engine: Engine,
    account: Account,
    *pasts: PastSnapshot,
    threshold: RemovalThreshold | None = None,
    keep_bodies: bool = True,
) -> ImportResult:
    """Import observations, as `favsync backfill --from` does."""
    terms = ImportTerms(account.account_id, threshold or RemovalThreshold(), LATER, keep_bodies)
    with write_transaction(engine) as connection:
        return import_snapshots(connection, pasts, terms)


def stored_intervals(engine: Engine, account: Account) -> set[tuple[object, ...]]:
    """Return every stored interval without its runs."""
    columns = favourites.c["track_id", "valid_from", "added_after", "valid_to", "removed_after"]
    with read_transaction(engine) as connection:
        query = select(*columns).where(favourites.c.account_id == account.account_id)
        return {tuple(row) for row in connection.execute(query)}


def assert_rebuilt(
    engine: Engine, accounts: Account | Sequence[Account], threshold: RemovalThreshold | None = None
) -> None:
    """Make sure that the history is what a fold from the start gives, facts and counts too."""
    with read_transaction(engine) as connection:
        for account in [accounts] if isinstance(accounts, Account) else accounts:
            difference, _ = diff_favourites(connection, account.account_id, threshold or RemovalThreshold())
            assert not difference, difference
        found = replay_tracks(connection, write=False)
        assert not found, found

"""`favsync rebuild`: compares or rewrites whole accounts, and the attributes of all tracks.

Accounts share tracks, so tracks are replayed over all accounts; if accounts are named, only the tracks that these saw.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, select

from etl.db import bulk
from etl.db.engine import in_transaction, read_transaction
from etl.db.tables import raw_items, runs
from etl.load.accounts import Account, every_account
from etl.load.baseline import is_observation
from etl.load.run_lock import run_locks
from etl.load.stored_tracks import damaged_market_sets
from etl.model.records import RemovalThreshold
from etl.replay.favourites import FavouriteDiff, diff_favourites, replay_favourites
from etl.replay.snapshots import SnapshotReader
from etl.replay.tracks import TrackDiff, replay_tracks


@dataclass(slots=True)
class RebuildResult:
    """Differences between tables and snapshots. ``market_sets``: sets whose members do not match their digest."""

    accounts: list[tuple[str, FavouriteDiff]] = field(default_factory=list)
    facts: TrackDiff = field(default_factory=TrackDiff)
    market_sets: list[int] = field(default_factory=list)
    observations: int = 0

    def __bool__(self) -> bool:
        """True if there is any difference."""
        return any(difference for _, difference in self.accounts) or bool(self.facts) or bool(self.market_sets)


def compare(engine: Engine, names: Sequence[str], threshold: RemovalThreshold) -> RebuildResult:
    """Compare the tables with a replay of these accounts, or of all; write nothing.

    Raises: UsageError, for an account that does not exist; DatabaseError.
    """
    with read_transaction(engine) as connection:
        accounts = every_account(connection, names)
        found = RebuildResult(
            market_sets=damaged_market_sets(connection), observations=_observations(connection, accounts)
        )
        for account in accounts:
            difference, _ = diff_favourites(connection, account.account_id, threshold)
            found.accounts.append((account.name, difference))
        found.facts = replay_tracks(connection, _tracks(connection, accounts, names), write=False)
    return found


def rewrite(engine: Engine, names: Sequence[str], threshold: RemovalThreshold) -> RebuildResult:
    """Rewrite the history from the snapshots, in one transaction, while no run of these accounts is in progress.

    Raises: UsageError, RunInProgress, DatabaseError.
    """
    with read_transaction(engine) as connection:
        accounts = every_account(connection, names)

    def work(connection: Connection) -> RebuildResult:
        bulk.lock_track_tables(connection)
        done = RebuildResult(observations=_observations(connection, accounts))
        for account in accounts:
            done.accounts.append((account.name, replay_favourites(connection, account.account_id, threshold)))
        done.facts = replay_tracks(connection, _tracks(connection, accounts, names))
        return done

    with run_locks(engine, [(account.account_id, account.name) for account in accounts]):
        return in_transaction(engine, work)


def _observations(connection: Connection, accounts: Sequence[Account]) -> int:
    ids = [account.account_id for account in accounts]
    query = select(runs.c.run_id).where(is_observation, runs.c.account_id.in_(ids))
    return len(connection.execute(query).all())


def _tracks(connection: Connection, accounts: Sequence[Account], names: Sequence[str]) -> Collection[int] | None:
    """Return the tracks that the accounts ever saw; None for all accounts."""
    if not names:
        return None
    lists = SnapshotReader(connection)
    ids = [account.account_id for account in accounts]
    query = select(runs.c.snapshot_id).where(is_observation, runs.c.account_id.in_(ids)).distinct()
    seen: set[int] = set()
    for snapshot_id in connection.execute(query).scalars().all():
        seen.update(lists.items(snapshot_id))
    rows = bulk.select_in(connection, "track_id", raw_items, "raw_item_id", seen)
    return {row[0] for row in rows if row[0] is not None}

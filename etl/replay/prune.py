"""Prunes snapshots and raw bodies without changing one interval.

Prune only if the history matches a replay, before and after; otherwise it rolls back. Without raw bodies, a fix in the
normaliser cannot be applied to old items (their stored attributes stay). Without the snapshots, nothing shows that the list
was read at those times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from etl.db import bulk
from etl.db.engine import BUSY_TIMEOUT_MS, database_errors, in_transaction, read_transaction
from etl.db.tables import raw_items, runs
from etl.errors import DatabaseError, FavsyncError, UsageError
from etl.load.accounts import every_account
from etl.load.baseline import is_observation
from etl.load.run_lock import run_locks
from etl.model.records import RemovalThreshold, Review
from etl.replay.favourites import diff_favourites
from etl.replay.garbage import Garbage, block_bytes, delete_garbage, drop_bodies, garbage_without
from etl.replay.snapshots import SnapshotReader, snapshot_refs
from etl.replay.track_events import track_events
from etl.replay.tracks import replay_tracks
from etl.transform.favourite_history import replay_sorted
from etl.transform.retention import RetainedSnapshot, removable

CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
PATIENCE_MS = 5_000


@dataclass(frozen=True, slots=True)
class PrunePolicy:
    """What to delete: bodies of items last seen before ``raw_before``, idle snapshots before ``daily_before``."""

    raw_before: datetime | None = None
    daily_before: datetime | None = None


@dataclass(slots=True)
class PrunePlan:
    """What is deleted. ``bytes_freed``: an estimate in a plan; exact for bodies afterwards."""

    runs: list[int] = field(default_factory=list)
    observations: int = 0
    bodies: set[int] = field(default_factory=set)
    bodies_kept: int = 0
    orphans: Garbage = field(default_factory=Garbage)
    bytes_freed: int = 0

    def __bool__(self) -> bool:
        """True if anything is deleted."""
        return bool(self.runs or self.bodies or self.orphans.snapshots or self.orphans.items)


def plan(engine: Engine, limits: PrunePolicy, threshold: RemovalThreshold) -> PrunePlan:
    """Return what `prune` would delete; write nothing.

    Raises: UsageError, if the history does not match its snapshots; DatabaseError.
    """
    with read_transaction(engine) as connection:
        _require_sound(connection, threshold)
        return _plan(connection, limits, threshold)


def prune(engine: Engine, limits: PrunePolicy, threshold: RemovalThreshold) -> PrunePlan:
    """Delete what `limits` say, in one transaction, while no run is in progress.

    Raises: UsageError, if the history does not match its snapshots; RunInProgress; DatabaseError.
    """

    def work(connection: Connection) -> PrunePlan:
        bulk.lock_everything(connection)
        _require_sound(connection, threshold)
        before = track_events(connection)
        done = _plan(connection, limits, threshold)
        bulk.delete_in(connection, runs, "run_id", done.runs)
        done.bytes_freed = drop_bodies(connection, done.bodies) + done.orphans.snapshot_bytes
        delete_garbage(connection, done.orphans)
        if before != track_events(connection) or not _is_sound(connection, threshold):
            raise FavsyncError("pruning would have changed the history, so nothing was deleted")
        return done

    with read_transaction(engine) as connection:
        accounts = [(account.account_id, account.name) for account in every_account(connection)]
    with run_locks(engine, accounts):
        return in_transaction(engine, work)


def compact(engine: Engine) -> tuple[int, int] | None:
    """Return a SQLite file's free pages to the disk; return its size in bytes before and after, None on PostgreSQL.

    Raises: DatabaseError, where somebody else uses the file, or there is no space for a copy of it.
    """
    if engine.dialect.name != "sqlite" or engine.url.database is None:
        return None
    files = [Path(engine.url.database), Path(f"{engine.url.database}-wal")]
    before = _size(files)
    with database_errors(engine):
        driver = engine.raw_connection()
        try:
            driver.cursor().execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
            for statement in (CHECKPOINT, "VACUUM", CHECKPOINT):
                (is_busy, *_), *_ = driver.cursor().execute(statement).fetchall() or [(0,)]
        finally:
            driver.cursor().execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            driver.close()
    if is_busy:  # what was deleted is still in the file, until the write-ahead log has been copied over it
        raise DatabaseError("somebody else is reading the database", remedy="close it there, and try again")
    return before, _size(files)


def _size(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files if path.exists())


def _plan(connection: Connection, limits: PrunePolicy, threshold: RemovalThreshold) -> PrunePlan:
    found = PrunePlan()
    for account in every_account(connection):
        ordered = list(_seen(connection, account.account_id))
        found.observations += len(ordered)
        if limits.daily_before is not None:
            history = replay_sorted(snapshot_refs(connection, account.account_id), threshold)
            found.runs += removable(ordered, history.by_run, limits.daily_before)
    found.orphans = garbage_without(connection, found.runs)
    if limits.raw_before is not None:
        found.bodies, found.bodies_kept = _old_bodies(connection, limits.raw_before, found.orphans.items)
    found.bytes_freed = block_bytes(connection, found.bodies | found.orphans.items) + found.orphans.snapshot_bytes
    return found


def _seen(connection: Connection, account_id: int) -> Iterable[RetainedSnapshot]:
    """Yield the snapshots; consecutive ones with the same items share a number."""
    lists = SnapshotReader(connection)
    query = select(runs).where(runs.c.account_id == account_id, is_observation)
    snapshot_id, items, number = 0, frozenset[int](), 0
    total: tuple[object, object] = (None, None)
    for row in connection.execute(query.order_by(runs.c.observed_at, runs.c.run_id)).all():
        if row.snapshot_id != snapshot_id:
            before, items = items, frozenset(lists.items(row.snapshot_id))
            snapshot_id, number = row.snapshot_id, number + (items != before)
        if total != (row.total, row.page_size):  # later decisions compare the totals of neighbours
            total, number = (row.total, row.page_size), number + 1
        decision = Review(row.decision) if row.decision else None
        yield RetainedSnapshot(row.run_id, row.started_at, row.observed_at, number, bool(row.proves_absence), decision)


def _old_bodies(connection: Connection, before: datetime, orphaned: set[int]) -> tuple[set[int], int]:
    """Return the items whose bodies are deleted, and the number of those that stay: seen since, or in a newest list."""
    lists = SnapshotReader(connection)
    query = select(runs).where(runs.c.snapshot_id.is_not(None)).order_by(runs.c.observed_at, runs.c.run_id)
    newest: dict[int, int] = {}
    recent: set[int] = set()
    for row in connection.execute(query).all():
        newest[row.account_id] = row.snapshot_id
        if row.observed_at >= before:
            recent.add(row.snapshot_id)
    kept: set[int] = set()
    for snapshot_id in sorted(recent | set(newest.values())):
        kept.update(lists.items(snapshot_id))
    stored = select(raw_items.c.raw_item_id).where(raw_items.c.raw_block_id.is_not(None))
    there = set(connection.execute(stored).scalars()) - orphaned
    return there - kept, len(there & kept)


def _require_sound(connection: Connection, threshold: RemovalThreshold) -> None:
    if not _is_sound(connection, threshold):
        raise UsageError(
            "the stored history does not match its snapshots; nothing was pruned",
            remedy="look at `favsync rebuild --plan`, then run `favsync rebuild`",
        )


def _is_sound(connection: Connection, threshold: RemovalThreshold) -> bool:
    if any(diff_favourites(connection, account.account_id, threshold)[0] for account in every_account(connection)):
        return False
    return not replay_tracks(connection, write=False)

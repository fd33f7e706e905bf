"""The operator's word on a held run: approve or reject its removals.

Only the newest proven observation can be decided on: a later one has seen the list again, and speaks for itself.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, select, update

from etl.db.engine import in_transaction, read_transaction
from etl.db.tables import runs
from etl.errors import UsageError
from etl.load import raw
from etl.load.baseline import is_observation, read_baseline, read_open_favourites
from etl.load.favourites import write_changes
from etl.load.run_lock import run_lock
from etl.load.runs import find_run
from etl.model.records import FavouriteChanges, FavouriteInterval, Outcome, Review, SnapshotRef
from etl.model.threshold import RemovalThreshold
from etl.replay.favourites import replay_favourites
from etl.transform.favourite_history import decide_changes


def review_run(engine: Engine, run_id: int, decision: Review, brake: RemovalThreshold) -> int:
    """Approve or reject the removals that run ``run_id`` holds, and return how many they are.

    Raises: UsageError, where there is no such run, or nothing of it is held (any more); RunInProgress; DatabaseError.
    """
    with read_transaction(engine) as connection:
        run = find_run(connection, run_id)

    def work(connection: Connection) -> int:
        row = find_run(connection, run_id)
        _require_held(connection, row)
        return _decide(connection, row, decision, brake)

    with run_lock(engine, run.account_id, run.account):
        return in_transaction(engine, work)


def superseding_run(connection: Connection, row: Any) -> int | None:
    """Return the later proven run of the same account that made the held run ``row`` a thing of the past."""
    query = (
        select(runs.c.run_id)
        .where(runs.c.account_id == row.account_id, is_observation, runs.c.proven, runs.c.observed_at > row.observed_at)
        .order_by(runs.c.observed_at)
    )
    return connection.execute(query.limit(1)).scalar()


def _require_held(connection: Connection, row: Any) -> None:
    if row.retracted_at is not None:
        raise UsageError(
            f"run {row.run_id} is retracted", remedy=f"`favsync runs retract {row.run_id} --undo` brings it back"
        )
    if row.decision is not None:
        raise UsageError(
            f"run {row.run_id} was {row.decision} already", remedy=f"`favsync runs show {row.run_id}` tells"
        )
    if row.outcome != Outcome.HELD:
        raise UsageError(
            f"run {row.run_id} is not held but {row.outcome or 'in progress'}",
            remedy="`favsync runs list --outcome held` shows those that are",
        )
    later = superseding_run(connection, row)
    if later is not None:
        raise UsageError(
            f"run {row.run_id} is no longer held: run {later} read the list after it",
            remedy=f"`favsync runs show {later}` tells what that one found",
        )


def _decide(connection: Connection, row: Any, decision: Review, brake: RemovalThreshold) -> int:
    connection.execute(update(runs).where(runs.c.run_id == row.run_id).values(decision=decision))
    newest = read_baseline(connection, row.account_id)
    if newest is None or newest.run_id != row.run_id:
        replay_favourites(connection, row.account_id, brake)
        _note(connection, row, decision)
        return int(row.held)
    change = FavouriteChanges(favourites=row.favourites)
    if decision is Review.APPROVED:
        seen = _observation(connection, row)
        before = read_open_favourites(connection, row.account_id, seen.present)
        change = decide_changes(replace(before, observed_at=None), seen, brake)  # the run itself is in that state
        write_changes(connection, row.account_id, change)
    outcome = Outcome.SUCCEEDED if decision is Review.APPROVED else Outcome.PARTIAL
    counts = {"held": 0, "removed": len(change.closed), "favourites": change.favourites, "outcome": outcome}
    connection.execute(update(runs).where(runs.c.run_id == row.run_id).values(**counts))
    _note(connection, row, decision)
    return int(row.held)


def _note(connection: Connection, row: Any, decision: Review) -> None:
    reason = f"{row.held} held removals were {decision} by the operator"
    connection.execute(update(runs).where(runs.c.run_id == row.run_id).values(reason=reason))


def _observation(connection: Connection, row: Any) -> SnapshotRef:
    items = raw.items_of(connection, row.snapshot_id)
    return SnapshotRef(
        run_id=row.run_id,
        started_at=row.started_at,
        observed_at=row.observed_at,
        present=tuple(item.track_id for item in items if item.track_id is not None),
        proves_absence=bool(row.proves_absence),
        decision=Review.APPROVED,
    )


def held_intervals(connection: Connection, row: Any) -> list[FavouriteInterval]:
    """Return the favourites whose removal run ``row`` holds, as long as it does."""
    if row.outcome != Outcome.HELD or superseding_run(connection, row) is not None:
        return []
    present = set(_observation(connection, row).present)
    state = read_open_favourites(connection, row.account_id, present)
    return [state.intervals[track_id] for track_id in sorted(state.open - present)]


def mark_superseded(connection: Connection, account_id: int, run_id: int) -> None:
    """Say on held runs of the account that the proven run ``run_id`` has read the list after them."""
    connection.execute(
        update(runs)
        .where(
            runs.c.account_id == account_id,
            runs.c.outcome == Outcome.HELD,
            runs.c.decision.is_(None),
            runs.c.run_id != run_id,
            runs.c.reason.not_like("superseded%"),
        )
        .values(reason=f"superseded by run {run_id}, which read the list after it")
    )

"""The operator's word on a held run: approve or reject its removals.

Only the newest proven observation can be decided on: a later one has seen the list again, and speaks for itself.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, select, update

from etl.db.engine import reading, retrying
from etl.db.tables import runs
from etl.errors import UsageError
from etl.load import raw
from etl.load.baseline import is_observation, newest_observation, state_of
from etl.load.favourites import apply_membership
from etl.load.run_lock import lease
from etl.load.runs import find_run
from etl.model.records import ChangeSet, Decision, Interval, Observation, Outcome
from etl.model.threshold import Brake
from etl.replay.favourites import refold_membership
from etl.transform.favourite_history import changes


def decide(engine: Engine, run_id: int, decision: Decision, brake: Brake) -> int:
    """Approve or reject the removals that run ``run_id`` holds, and return how many they are.

    Raises: UsageError, where there is no such run, or nothing of it is held (any more); RunInProgress; DatabaseError.
    """
    with reading(engine) as connection:
        run = find_run(connection, run_id)

    def work(connection: Connection) -> int:
        row = find_run(connection, run_id)
        _require_held(connection, row)
        return _decide(connection, row, decision, brake)

    with lease(engine, run.account_id, run.account):
        return retrying(engine, work)


def superseding(connection: Connection, row: Any) -> int | None:
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
    later = superseding(connection, row)
    if later is not None:
        raise UsageError(
            f"run {row.run_id} is no longer held: run {later} read the list after it",
            remedy=f"`favsync runs show {later}` tells what that one found",
        )


def _decide(connection: Connection, row: Any, decision: Decision, brake: Brake) -> int:
    connection.execute(update(runs).where(runs.c.run_id == row.run_id).values(decision=decision))
    newest = newest_observation(connection, row.account_id)
    if newest is None or newest.run_id != row.run_id:
        refold_membership(connection, row.account_id, brake)
        _note(connection, row, decision)
        return int(row.held)
    change = ChangeSet(favourites=row.favourites)
    if decision is Decision.APPROVED:
        seen = _observation(connection, row)
        before = state_of(connection, row.account_id, seen.present)
        change = changes(replace(before, observed_at=None), seen, brake)  # the run itself is in that state
        apply_membership(connection, row.account_id, change)
    outcome = Outcome.SUCCEEDED if decision is Decision.APPROVED else Outcome.PARTIAL
    counts = {"held": 0, "removed": len(change.closed), "favourites": change.favourites, "outcome": outcome}
    connection.execute(update(runs).where(runs.c.run_id == row.run_id).values(**counts))
    _note(connection, row, decision)
    return int(row.held)


def _note(connection: Connection, row: Any, decision: Decision) -> None:
    reason = f"{row.held} held removals were {decision} by the operator"
    connection.execute(update(runs).where(runs.c.run_id == row.run_id).values(reason=reason))


def _observation(connection: Connection, row: Any) -> Observation:
    items = raw.items_of(connection, row.snapshot_id)
    return Observation(
        run_id=row.run_id,
        started_at=row.started_at,
        observed_at=row.observed_at,
        present=tuple(item.track_id for item in items if item.track_id is not None),
        proves_absence=bool(row.proves_absence),
        decision=Decision.APPROVED,
    )


def held_intervals(connection: Connection, row: Any) -> list[Interval]:
    """Return the favourites whose removal run ``row`` holds, as long as it does."""
    if row.outcome != Outcome.HELD or superseding(connection, row) is not None:
        return []
    present = set(_observation(connection, row).present)
    state = state_of(connection, row.account_id, present)
    return [state.intervals[track_id] for track_id in sorted(state.open - present)]


def supersede(connection: Connection, account_id: int, run_id: int) -> None:
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

"""Reviews of held runs: the operator approves or rejects their removals.

Only the newest proven run can be reviewed. A later one has read the list again and decides for itself.
"""

from __future__ import annotations

import shlex
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from etl.db.engine import in_transaction, read_transaction
from etl.db.tables import runs
from etl.errors import UsageError, counted
from etl.load import raw
from etl.load.accounts import Account
from etl.load.baseline import is_observation, read_open_favourites
from etl.load.run_lock import run_lock
from etl.load.runs import find_run
from etl.model.records import FavouriteInterval, Outcome, RemovalThreshold, Review
from etl.replay.favourites import replay_favourites

VERBS = {Review.APPROVED: "approve", Review.REJECTED: "reject"}


def review_run(engine: Engine, run_id: int, decision: Review, threshold: RemovalThreshold) -> int:
    """Approve or reject the removals that run ``run_id`` holds, and return their number.

    An approval also records what is only missing. If later runs held the same list again, the decision applies to the newest.

    Raises: UsageError, if there is no such run, or it holds nothing (any more); RunInProgress; DatabaseError.
    """
    with read_transaction(engine) as connection:
        run = find_run(connection, run_id)

    def work(connection: Connection) -> int:
        row = find_run(connection, run_id)
        newest = _newest_proven(connection, row.account_id)
        if newest is not None and (newest.snapshot_id, newest.outcome) == (row.snapshot_id, Outcome.HELD):
            row = newest
        _require_held(connection, row, f"`favsync runs {VERBS[decision]} --account {shlex.quote(run.account)}`")
        return _decide(connection, row, decision, threshold)

    with run_lock(engine, run.account_id, run.account):
        return in_transaction(engine, work)


def review_account(engine: Engine, account: Account, decision: Review, threshold: RemovalThreshold) -> tuple[int, int]:
    """Approve or reject what the account's newest proven run holds or misses; return the run and the number of removals.

    Raises: UsageError, if nothing is held or missing; RunInProgress; DatabaseError.
    """

    def work(connection: Connection) -> tuple[int, int]:
        row = _newest_proven(connection, account.account_id)
        if not _waits(row):
            raise UsageError(
                f"no removal of account {account.name} waits for a decision",
                remedy=f"`favsync runs list --account {shlex.quote(account.name)}` shows its runs",
            )
        return row.run_id, _decide(connection, row, decision, threshold)

    with run_lock(engine, account.account_id, account.name):
        return in_transaction(engine, work)


def _newest_proven(connection: Connection, account_id: int) -> Any:
    query = (
        select(runs)
        .where(runs.c.account_id == account_id, is_observation, runs.c.proves_absence)
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
    )
    return connection.execute(query.limit(1)).first()


def _waits(row: Any) -> bool:
    """True if the operator can decide about removals of the newest proven run ``row``."""
    return row is not None and row.decision is None and bool(row.held or row.missing)


def superseding_run(connection: Connection, row: Any) -> int | None:
    """Return the later proven run of the account that replaced the held run ``row``, if there is one."""
    query = (
        select(runs.c.run_id)
        .where(
            runs.c.account_id == row.account_id,
            is_observation,
            runs.c.proves_absence,
            runs.c.observed_at > row.observed_at,
        )
        .order_by(runs.c.observed_at)
    )
    return connection.execute(query.limit(1)).scalar()


def _require_held(connection: Connection, row: Any, command: str) -> None:
    """Check that ``row`` holds removals. ``command``: the one that decides about the newest proven run instead.

    Raises: UsageError.
    """
    newest = _newest_proven(connection, row.account_id)
    if row.retracted_at is not None:
        raise UsageError(
            f"run {row.run_id} is retracted", remedy=f"`favsync runs retract {row.run_id} --undo` brings it back"
        )
    if row.decision is not None:
        raise UsageError(
            f"run {row.run_id} was {row.decision} already", remedy=f"`favsync runs show {row.run_id}` shows it"
        )
    if row.outcome != Outcome.HELD:
        raise UsageError(
            f"run {row.run_id} is not held but {row.outcome or 'in progress'}",
            remedy=f"{command} decides about what is missing from the list"
            if _waits(newest)
            else "`favsync runs list --outcome held` shows those that are",
        )
    later = superseding_run(connection, row)
    if later is not None:
        raise UsageError(
            f"run {row.run_id} is no longer held: run {later} read the list after it",
            remedy=f"{command} decides about the newest list"
            if _waits(newest)
            else f"nothing waits for a decision now: `favsync runs show {newest.run_id}` shows what the newest list has",
        )


def _decide(connection: Connection, row: Any, decision: Review, threshold: RemovalThreshold) -> int:
    """Store the decision and replay the account; return how many removals it was about."""
    count = int(row.held or row.missing)
    this = runs.c.run_id == row.run_id
    connection.execute(update(runs).where(this).values(decision=decision))
    replay_favourites(connection, row.account_id, threshold)
    if decision is Review.APPROVED:  # what was only missing is recorded too
        count = connection.execute(select(runs.c.removed).where(this)).scalar_one() - row.removed
    if row.held:
        what = counted(count, "held removal", "held removals")
    else:
        what = counted(count, "removal of a missing favourite", "removals of missing favourites")
    reason = f"the operator {decision} {what}"
    connection.execute(update(runs).where(this).values(reason=reason))
    return count


def held_intervals(connection: Connection, row: Any) -> list[FavouriteInterval]:
    """Return the favourites whose removal run ``row`` holds, as long as it does."""
    if row.outcome != Outcome.HELD or superseding_run(connection, row) is not None:
        return []
    present = {item.track_id for item in raw.items_of(connection, row.snapshot_id) if item.track_id is not None}
    state = read_open_favourites(connection, row.account_id, present)
    return [state.intervals[track_id] for track_id in sorted(set(state.open) - present)]


def mark_superseded(connection: Connection, account_id: int, run_id: int) -> None:
    """Write into held runs of the account that the proven run ``run_id`` read the list after them."""
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

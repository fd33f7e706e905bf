"""The rows of ``schedules``: when each account runs next."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select

from etl.db.tables import accounts, favourites, runs, schedules
from etl.load.accounts import Account
from etl.load.baseline import is_observation
from etl.scheduler.next_run import NextRun

CLOCK_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DueAccount:
    """An account and its place in the queue. ``next_run_at`` is None if it was never scheduled."""

    account: Account
    schedule: str
    next_run_at: datetime | None
    failures_in_a_row: int


def due(
    connection: Connection, default_schedule: str, now: datetime, *, busy: Collection[int], limit: int
) -> list[DueAccount]:
    """Return enabled accounts that are due, the longest wait first, without those that are ``busy``."""
    is_due = or_(schedules.c.account_id.is_(None), schedules.c.next_run_at <= now)
    found = _find(connection, default_schedule, is_due, limit + len(busy))
    return [each for each in found if each.account.account_id not in busy][:limit]


def moved(connection: Connection, default_schedule: str) -> list[DueAccount]:
    """Return enabled accounts whose schedule changed since their next run was computed."""
    wanted = func.coalesce(accounts.c.schedule, default_schedule)
    return _find(
        connection, default_schedule, and_(schedules.c.account_id.is_not(None), schedules.c.schedule != wanted)
    )


def recovered(connection: Connection, default_schedule: str) -> list[DueAccount]:
    """Return enabled accounts whose last scheduled run failed and that a manual run has read completely since."""
    proven_since = (
        select(runs.c.run_id)
        .where(runs.c.account_id == accounts.c.account_id, runs.c.observed_at > schedules.c.updated_at, runs.c.proven)
        .correlate(accounts, schedules)
        .exists()
    )
    return _find(connection, default_schedule, and_(schedules.c.failures_in_a_row > 0, proven_since))


def too_far_ahead(
    connection: Connection, default_schedule: str, now: datetime, latest: Callable[[str], datetime]
) -> list[DueAccount]:
    """Return enabled accounts whose next run is later than their schedule allows.

    ``latest`` returns the last time that a schedule allows. A back-off may exceed it, unless its row was written in the future:
    then the clock of the machine that wrote it was wrong.
    """
    wanted = func.coalesce(accounts.c.schedule, default_schedule)
    newest = select(wanted.label("wanted"), func.max(schedules.c.next_run_at).label("at")).join_from(
        accounts, schedules
    )
    too_late = [
        and_(wanted == row.wanted, schedules.c.next_run_at > limit)
        for row in connection.execute(newest.group_by("wanted"))
        if row.at > (limit := latest(row.wanted) + CLOCK_TOLERANCE)
    ]
    if not too_late:
        return []
    is_wrong = or_(schedules.c.failures_in_a_row == 0, schedules.c.updated_at > now + CLOCK_TOLERANCE)
    return _find(connection, default_schedule, and_(is_wrong, or_(*too_late)))


def late_looks(connection: Connection, default_schedule: str, latest: datetime) -> list[DueAccount]:
    """Return enabled accounts that run after ``latest`` although favourites are missing and wait for their grace.

    A manual run found them, or the schedule changed. A back-off after failures keeps its time.
    """
    missed = select(favourites.c.account_id).where(
        favourites.c.valid_to.is_(None), favourites.c.last_seen_at.is_not(None)
    )
    waiting = (
        select(runs.c.missing - runs.c.held)
        .where(runs.c.account_id == accounts.c.account_id, is_observation)
        .correlate(accounts)
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    is_late = (schedules.c.next_run_at > latest) & (schedules.c.failures_in_a_row == 0)
    return _find(connection, default_schedule, and_(is_late, accounts.c.account_id.in_(missed), waiting > 0))


def failing(connection: Connection) -> list[tuple[str, int]]:
    """Return name and number of failures in a row of the enabled accounts whose last run failed."""
    query = select(accounts.c.name, schedules.c.failures_in_a_row).join_from(accounts, schedules)
    found = connection.execute(query.where(accounts.c.enabled, schedules.c.failures_in_a_row > 0))
    return [(row.name, row.failures_in_a_row) for row in found]


def set_next_run(connection: Connection, account_id: int, schedule: str, run: NextRun, now: datetime) -> None:
    """Write the account's next run, unless the account was removed."""
    connection.execute(delete(schedules).where(schedules.c.account_id == account_id))
    if connection.execute(select(accounts.c.account_id).where(accounts.c.account_id == account_id)).first() is not None:
        values = {"account_id": account_id, "schedule": schedule, "updated_at": now, **asdict(run)}
        connection.execute(insert(schedules).values(**values))


def _find(
    connection: Connection, default_schedule: str, condition: ColumnElement[bool], limit: int | None = None
) -> list[DueAccount]:
    query = (
        select(
            accounts,
            func.coalesce(accounts.c.schedule, default_schedule).label("wanted"),
            schedules.c.next_run_at,
            func.coalesce(schedules.c.failures_in_a_row, 0).label("failures"),
        )
        .select_from(accounts.outerjoin(schedules, schedules.c.account_id == accounts.c.account_id))
        .where(accounts.c.enabled, condition)
        .order_by(func.coalesce(schedules.c.next_run_at, accounts.c.created_at), accounts.c.account_id)
        .limit(limit)
    )
    return [
        DueAccount(
            Account(
                account_id=row.account_id,
                name=row.name,
                boomplay_user_id=row.boomplay_user_id,
                region=row.region,
                enabled=bool(row.enabled),
                schedule=row.schedule,
            ),
            row.wanted,
            row.next_run_at,
            row.failures,
        )
        for row in connection.execute(query)
    ]

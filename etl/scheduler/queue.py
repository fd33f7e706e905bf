"""The rows of ``schedules``: who is due, who works on it, and when each account runs next.

An account is due from its ``next_run_at`` on, found by an index. A worker claims it: the row is then due again only after the
lease, unless the worker writes the next run first. So a lost worker delays an account, and never loses it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, or_, select, type_coerce, update

from etl import clock
from etl.accounts.token_rows import TokenRow, joined_token
from etl.db.tables import accounts, runs, schedules, tokens
from etl.db.types import Instant
from etl.load.accounts import Account
from etl.load.baseline import is_observation
from etl.load.calendar import NEVER, last_reads
from etl.scheduler.next_run import NextRun

CLOCK_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DueAccount:
    """An account, its place in the calendar and its token's row.

    ``clock_offset``: how far the database's clock is ahead of this machine's, where the database's counts. ``computed_from``:
    the schedule that ``next_run_at`` was computed from, empty if it was set by hand. ``proven_at``: the newest proven read,
    or the creation of an account without one.
    """

    account: Account
    schedule: str
    next_run_at: datetime
    failures_in_a_row: int
    token: TokenRow | None = None
    clock_offset: timedelta = timedelta()
    computed_from: str = ""
    proven_at: datetime | None = None


def due(
    connection: Connection, default_schedule: str, now: datetime, *, busy: Collection[int], limit: int
) -> list[DueAccount]:
    """Return enabled accounts that are due, the longest wait first, without those that are ``busy``."""
    query = _calendar(default_schedule).where(accounts.c.enabled, schedules.c.next_run_at <= now)
    found = connection.execute(query.order_by(schedules.c.next_run_at).limit(limit + len(busy)))
    return [_due_account(row) for row in found if row.account_id not in busy][:limit]


def claim(
    connection: Connection, limit: int, lease: timedelta, is_waiting: ColumnElement[bool] | None = None
) -> list[int]:
    """Claim at most ``limit`` due accounts for ``lease``, by the database's clock, and return their ids.

    ``is_waiting``: a condition on ``schedules``; accounts that meet it have a job already. Concurrent callers never claim
    the same account, and never wait for each other.
    """
    found = (
        select(schedules.c.account_id)
        .join(accounts, accounts.c.account_id == schedules.c.account_id)
        .where(accounts.c.enabled, schedules.c.next_run_at <= database_time(connection))
        .order_by(schedules.c.next_run_at)
        .limit(limit)
        .with_for_update(of=schedules, skip_locked=True)
    )
    if is_waiting is not None:
        found = found.where(~is_waiting)
    ids = list(connection.execute(found).scalars())
    if ids:
        until = database_time(connection, lease)
        mine = update(schedules).where(schedules.c.account_id.in_(ids))
        connection.execute(mine.values(next_run_at=until, claimed_until=until))
    return ids


def claimed(connection: Connection, default_schedule: str, account_id: int) -> DueAccount | None:
    """Return an enabled account that is claimed or due, None if there is nothing to do: the job was delivered twice."""
    now = func.clock_timestamp(type_=Instant) if connection.dialect.name == "postgresql" else literal(None, Instant)
    query = (
        _calendar(default_schedule)
        .add_columns(now.label("now"))
        .where(
            accounts.c.enabled,
            schedules.c.account_id == account_id,
            or_(schedules.c.claimed_until.is_not(None), schedules.c.next_run_at <= database_time(connection)),
        )
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    return _due_account(row, row.now - clock.now() if row.now else timedelta())


def release(connection: Connection, account_id: int) -> None:
    """Make a claimed account due again: its run was abandoned."""
    mine = (schedules.c.account_id == account_id) & schedules.c.claimed_until.is_not(None)
    connection.execute(update(schedules).where(mine).values(next_run_at=database_time(connection), claimed_until=None))


def make_due(connection: Connection, account_id: int, delay: timedelta) -> None:
    """Make an enabled account due after ``delay``, by the database's clock, unless a worker has it."""
    waiting = (schedules.c.account_id == account_id) & schedules.c.claimed_until.is_(None)
    at = database_time(connection, delay)
    connection.execute(update(schedules).where(waiting, schedules.c.next_run_at < NEVER).values(next_run_at=at))


def outdated(connection: Connection, default_schedule: str) -> list[DueAccount]:
    """Return enabled accounts whose next run was computed from another schedule. It reads all: call it once at the start."""
    wanted = func.coalesce(accounts.c.schedule, default_schedule)
    query = _calendar(default_schedule).where(accounts.c.enabled, schedules.c.schedule.not_in(["", wanted]))
    return [_due_account(row) for row in connection.execute(query)]


def dated_ahead(connection: Connection, default_schedule: str, now: datetime) -> list[DueAccount]:
    """Return enabled accounts whose row was written in the future: the clock of that machine was wrong."""
    is_ahead = schedules.c.updated_at > now + CLOCK_TOLERANCE
    query = _calendar(default_schedule).where(accounts.c.enabled, is_ahead, schedules.c.claimed_until.is_(None))
    return [_due_account(row) for row in connection.execute(query)]


def calendar_row(connection: Connection, default_schedule: str, account_id: int) -> DueAccount | None:
    """Return an account with its place in the calendar, None if it was removed."""
    row = connection.execute(_calendar(default_schedule).where(schedules.c.account_id == account_id)).first()
    return None if row is None else _due_account(row)


def waiting_favourites(connection: Connection, account_id: int) -> int:
    """Return how many favourites were missing in the newest snapshot and wait for their grace."""
    query = (
        select(runs.c.missing - runs.c.held)
        .where(runs.c.account_id == account_id, is_observation)
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
    )
    return connection.execute(query.limit(1)).scalar() or 0


def failing(connection: Connection) -> list[tuple[str, int]]:
    """Return name and number of failures in a row of the enabled accounts whose last run failed."""
    query = select(accounts.c.name, schedules.c.failures_in_a_row).join_from(accounts, schedules)
    found = connection.execute(query.where(accounts.c.enabled, schedules.c.failures_in_a_row > 0))
    return [(row.name, row.failures_in_a_row) for row in found]


def set_next_run(connection: Connection, account_id: int, schedule: str, run: NextRun, now: datetime) -> None:
    """Write the account's next run and how it is now, and end its claim.

    An account that was removed or disabled meanwhile stays so.
    """
    is_enabled = select(accounts.c.enabled).where(accounts.c.account_id == account_id).scalar_subquery()
    values: dict[str, Any] = {
        "schedule": schedule,
        "next_run_at": run.next_run_at,
        "failures_in_a_row": run.failures_in_a_row,
        "parked_until": run.parked_until,
        "updated_at": now,
        "claimed_until": None,
        **last_reads(),
    }
    if run.stale_at is not None:
        values["stale_at"] = run.stale_at
    connection.execute(update(schedules).where(schedules.c.account_id == account_id, is_enabled).values(**values))


def database_time(connection: Connection, later: timedelta = timedelta()) -> ColumnElement[datetime]:
    """Return the present and ``later`` by the database's clock, which all workers share. SQLite has this machine's."""
    if connection.dialect.name == "postgresql":
        return type_coerce(func.now() + later, Instant)
    return literal(clock.now() + later, Instant)


def _calendar(default_schedule: str) -> Select[Any]:
    return (
        select(
            accounts,
            func.coalesce(accounts.c.schedule, default_schedule).label("wanted"),
            schedules.c.next_run_at,
            schedules.c.failures_in_a_row,
            schedules.c.schedule.label("computed_from"),
            func.coalesce(schedules.c.proven_at, accounts.c.created_at, type_=Instant).label("proven_at"),
            *joined_token(),
        )
        .join_from(accounts, schedules, schedules.c.account_id == accounts.c.account_id)
        .outerjoin(tokens, tokens.c.account_id == accounts.c.account_id)
    )


def _due_account(row: Row[Any], clock_offset: timedelta = timedelta()) -> DueAccount:
    account = Account(
        account_id=row.account_id,
        name=row.name,
        boomplay_user_id=row.boomplay_user_id,
        region=row.region,
        enabled=bool(row.enabled),
        schedule=row.schedule,
        user_checked_at=row.user_checked_at,
    )
    return DueAccount(
        account,
        row.wanted,
        row.next_run_at,
        row.failures_in_a_row,
        TokenRow.joined(row),
        clock_offset,
        row.computed_from,
        row.proven_at,
    )

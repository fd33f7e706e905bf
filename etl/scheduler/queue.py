"""The rows of ``schedules``: when each account is synced next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, or_, select

from etl.db.tables import accounts, runs, schedules
from etl.load.accounts import Account


@dataclass(frozen=True, slots=True)
class DueAccount:
    """An account that is due. ``next_run_at`` None: it was never scheduled."""

    account: Account
    schedule: str
    next_run_at: datetime | None
    failures_in_a_row: int


def due(
    connection: Connection, default_schedule: str, now: datetime, *, busy: Collection[int], limit: int
) -> list[DueAccount]:
    """Return enabled accounts whose time has come, those that wait longest first, but none that is ``busy``."""
    waiting_since = func.coalesce(schedules.c.next_run_at, accounts.c.created_at)
    query = (
        _joined(default_schedule)
        .where(accounts.c.enabled, or_(schedules.c.account_id.is_(None), schedules.c.next_run_at <= now))
        .order_by(waiting_since, accounts.c.account_id)
        .limit(limit + len(busy))
    )
    found = [_appointment(row) for row in connection.execute(query)]
    return [each for each in found if each.account.account_id not in busy][:limit]


def moved(connection: Connection, default_schedule: str) -> list[DueAccount]:
    """Return enabled accounts whose schedule is another one than their next turn was worked out with."""
    wanted = func.coalesce(accounts.c.schedule, default_schedule)
    query = _joined(default_schedule).where(
        and_(accounts.c.enabled, schedules.c.account_id.is_not(None), schedules.c.schedule != wanted)
    )
    return [_appointment(row) for row in connection.execute(query)]


def recovered(connection: Connection, default_schedule: str) -> list[DueAccount]:
    """Return enabled accounts that failed in their last turn, and were proven since by a run that somebody started by hand."""
    proven_since = (
        select(runs.c.run_id)
        .where(runs.c.account_id == accounts.c.account_id, runs.c.observed_at > schedules.c.updated_at, runs.c.proven)
        .correlate(accounts, schedules)
        .exists()
    )
    query = _joined(default_schedule).where(accounts.c.enabled, schedules.c.failures_in_a_row > 0, proven_since)
    return [_appointment(row) for row in connection.execute(query)]


def failing(connection: Connection) -> list[tuple[str, int]]:
    """Return the enabled accounts that failed in their last turn, and how often in a row."""
    query = select(accounts.c.name, schedules.c.failures_in_a_row).join_from(accounts, schedules)
    found = connection.execute(query.where(accounts.c.enabled, schedules.c.failures_in_a_row > 0))
    return [(row.name, row.failures_in_a_row) for row in found]


def set_next_run(
    connection: Connection,
    account_id: int,
    *,
    schedule: str,
    next_run_at: datetime,
    failures_in_a_row: int,
    parked_until: datetime | None,
    now: datetime,
) -> None:
    """Write the account's next turn; an account that is gone has none."""
    connection.execute(delete(schedules).where(schedules.c.account_id == account_id))
    is_there = connection.execute(select(accounts.c.account_id).where(accounts.c.account_id == account_id)).first()
    if is_there is not None:
        values = {
            "account_id": account_id,
            "schedule": schedule,
            "next_run_at": next_run_at,
            "failures_in_a_row": failures_in_a_row,
            "parked_until": parked_until,
            "updated_at": now,
        }
        connection.execute(insert(schedules).values(**values))


def call_soon(connection: Connection, account_id: int) -> None:
    """Make the account due, as if it had never been scheduled."""
    connection.execute(delete(schedules).where(schedules.c.account_id == account_id))


def _joined(default_schedule: str) -> Select[Any]:
    columns = (
        accounts,
        func.coalesce(accounts.c.schedule, default_schedule).label("wanted"),
        schedules.c.next_run_at,
        func.coalesce(schedules.c.failures_in_a_row, 0).label("failures"),
    )
    return select(*columns).select_from(accounts.outerjoin(schedules, schedules.c.account_id == accounts.c.account_id))


def _appointment(row: Row[Any]) -> DueAccount:
    account = Account(
        account_id=row.account_id,
        name=row.name,
        boomplay_user_id=row.boomplay_user_id,
        region=row.region,
        enabled=bool(row.enabled),
        schedule=row.schedule,
    )
    return DueAccount(account, row.wanted, row.next_run_at, row.failures)

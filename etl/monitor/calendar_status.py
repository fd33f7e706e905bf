"""How far the schedule is behind: what is due, what is in work, and how full the budget of requests is. By indexes only."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from etl.db.budget import budget_waits
from etl.db.engine import read_transaction
from etl.db.tables import schedules
from etl.db.types import Instant
from etl.scheduler.queue import database_time


@dataclass(frozen=True, slots=True)
class CalendarStatus:
    """``due``: accounts that wait for a run; ``oldest_due_seconds``: for how long the first one has waited.

    ``in_work``: accounts that workers have claimed. ``budgets``: for each app id, requests a second and seconds until the next
    free turn; a long wait means that the budget is full.
    """

    due: int
    oldest_due_seconds: float
    in_work: int
    budgets: tuple[tuple[float, float], ...] = ()


def calendar_status(connection: Connection) -> CalendarStatus:
    """Return the status without the budgets, by the database's clock."""
    now = database_time(connection)
    is_due = schedules.c.next_run_at <= now
    query = select(func.count(), func.min(schedules.c.next_run_at, type_=Instant), now).where(is_due)
    due, oldest, at = connection.execute(query).one()
    in_work = select(func.count()).select_from(schedules).where(schedules.c.claimed_until > now)
    waited = (at - oldest).total_seconds() if oldest else 0.0
    return CalendarStatus(due, max(waited, 0.0), connection.execute(in_work).scalar_one())


def calendar_and_budgets(engine: Engine) -> CalendarStatus:
    """Return the status with the budgets, which only PostgreSQL has.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        status = calendar_status(connection)
    waits = tuple(budget_waits(engine)) if engine.dialect.name == "postgresql" else ()
    return CalendarStatus(status.due, status.oldest_due_seconds, status.in_work, waits)

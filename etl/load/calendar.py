"""The calendar: the rows of ``schedules``, which say when each account is due.

Every account has a row. A disabled account is due `NEVER`. ``schedule`` is the text that the time was computed from; it is
empty for a time that was set by hand. `etl.scheduler.queue` reads the rows and writes the next runs.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, case, insert, literal, select, true, update

from etl import clock
from etl.db.tables import accounts, schedules
from etl.db.types import Instant

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def add_missing_rows(connection: Connection, now: datetime, which: ColumnElement[bool] | None = None) -> None:
    """Add the row of each account that has none, among ``which``. An enabled account is due ``now``."""
    at = literal(now, Instant)
    due_at = case((accounts.c.enabled, at), else_=literal(NEVER, Instant))
    missing = (
        select(accounts.c.account_id, literal(""), due_at, at)
        .where(true() if which is None else which)
        .where(~select(schedules.c.account_id).where(schedules.c.account_id == accounts.c.account_id).exists())
    )
    columns = ["account_id", "schedule", "next_run_at", "updated_at"]
    connection.execute(insert(schedules).from_select(columns, missing))


def set_due(connection: Connection, account_id: int, at: datetime) -> None:
    """Make the account due ``at``, and forget its failures and its claim."""
    values = {"schedule": "", "next_run_at": at, "failures_in_a_row": 0, "parked_until": None, "claimed_until": None}
    values["updated_at"] = clock.now()
    connection.execute(update(schedules).where(schedules.c.account_id == account_id).values(**values))

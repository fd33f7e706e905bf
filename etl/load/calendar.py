"""The calendar: the rows of ``schedules``, which say when each account is due.

Every account has a row. A disabled account is due `NEVER`. ``schedule`` is the text that the time was computed from; it is
empty for a time that was set by hand. `etl.scheduler.queue` reads the rows and writes the next runs.

A row also says how its account is, as of its last run: ``proven_at``, the newest proven read; ``stale_at``, when the account
becomes stale, NULL for a disabled one; ``blocked_at``, its newest read, if that could record no removal.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, literal, or_, select, true, update

from etl import clock
from etl.db.tables import accounts, runs, schedules
from etl.db.types import Instant
from etl.load.baseline import is_observation
from etl.model.records import Outcome

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
UNTIL_FIRST_RUN = timedelta(days=1)
"""An account without a run is stale so long after it was added or enabled."""
# True for the runs that can record removals or keep them from being recorded. Imports of a part of a list do neither.
has_say = and_(is_observation, or_(runs.c.proven, runs.c.requests > 0))
# True for those of them after which no removal can be recorded.
is_blocked = or_(
    ~runs.c.proven,
    ~runs.c.proves_absence,
    and_(runs.c.outcome == Outcome.HELD, runs.c.decision.is_(None)),
    and_(runs.c.missing > 0, runs.c.user_confirmed.is_(False)),
)


def add_missing_rows(connection: Connection, now: datetime, which: ColumnElement[bool] | None = None) -> None:
    """Add the row of each account that has none, among ``which``. An enabled account is due ``now``."""
    at = literal(now, Instant)
    due_at = case((accounts.c.enabled, at), else_=literal(NEVER, Instant))
    stale_at = case((accounts.c.enabled, literal(now + UNTIL_FIRST_RUN, Instant)))
    missing = (
        select(accounts.c.account_id, literal(""), due_at, at, stale_at)
        .where(true() if which is None else which)
        .where(~select(schedules.c.account_id).where(schedules.c.account_id == accounts.c.account_id).exists())
    )
    columns = ["account_id", "schedule", "next_run_at", "updated_at", "stale_at"]
    connection.execute(insert(schedules).from_select(columns, missing))


def set_due(connection: Connection, account_id: int, at: datetime) -> None:
    """Make the account due ``at``, and forget its failures and its claim."""
    values: dict[str, Any] = {
        "schedule": "",
        "next_run_at": at,
        "failures_in_a_row": 0,
        "parked_until": None,
        "claimed_until": None,
        "updated_at": clock.now(),
    }
    if at == NEVER:
        values |= {"proven_at": None, "stale_at": None, "blocked_at": None}
    else:
        stale_at = func.coalesce(schedules.c.stale_at, literal(at + UNTIL_FIRST_RUN, Instant))
        values |= {**last_reads(), "stale_at": stale_at}
    connection.execute(update(schedules).where(schedules.c.account_id == account_id).values(**values))


def note_last_run(connection: Connection, account_id: int) -> None:
    """Note how an enabled account is after a run that does not change when the next one is due."""
    is_enabled = schedules.c.stale_at.is_not(None)
    mine = update(schedules).where(schedules.c.account_id == account_id, is_enabled)
    connection.execute(mine.values(**last_reads()))


def last_reads() -> dict[str, ColumnElement[Any]]:
    """Return ``proven_at`` and ``blocked_at`` for an update of ``schedules``, looked up in the runs."""
    mine = runs.c.account_id == schedules.c.account_id
    newest_first = (runs.c.observed_at.desc(), runs.c.run_id.desc())
    proven = select(runs.c.observed_at).where(mine, runs.c.proven, is_observation)
    newest = select(case((is_blocked, runs.c.observed_at))).where(mine, has_say)
    return {
        name: query.order_by(*newest_first).limit(1).correlate(schedules).scalar_subquery()
        for name, query in (("proven_at", proven), ("blocked_at", newest))
    }

"""Sums over all accounts, for `favsync status` and the metrics.

Of a few accounts the status of each is read, and summed. Of many, the sums are counted by indexes over what the calendar knows of
each account since its last run (`etl.load.calendar`), so no statement reads all accounts. Only their number is counted, seldom.
How far the schedule is behind (what is due, what is in work, how full the budgets are) is counted by indexes, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    distinct,
    func,
    literal,
    literal_column,
    select,
    union_all,
)

from etl import clock
from etl.db.budget import budget_waits
from etl.db.engine import read_transaction
from etl.db.tables import accounts, favourites, runs, schedules, tokens
from etl.db.types import Instant
from etl.load.calendar import last_reads
from etl.monitor.status import (
    DEAD_CODE,
    DISABLED,
    FUTURE_TOLERANCE,
    HELD_CODE,
    NEVER,
    STALE_CODE,
    AccountStatus,
    newest_proven_run,
    statuses,
)
from etl.scheduler.queue import database_time

ACCOUNT_LIMIT = 1_000
COUNT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of enabled accounts, of which one may count several times. ``missing``: favourites, in ``missing_accounts``."""

    accounts: int
    stale: int = 0
    never_synced: int = 0
    held: int = 0
    token_dead: int = 0
    blocked: int = 0
    missing: int = 0
    missing_accounts: int = 0
    oldest_proven_seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """The exit code for all accounts: a dead token before a stale account before held removals."""
        codes = ((self.token_dead, DEAD_CODE), (self.stale, STALE_CODE), (self.held, HELD_CODE))
        return next((code for count, code in codes if count), 0)


@dataclass(frozen=True, slots=True)
class Overview:
    """The sums, and the status of each account unless there are too many (None)."""

    summary: Summary
    accounts: Sequence[AccountStatus] | None = None


def summed(found: Iterable[AccountStatus]) -> Overview:
    """Return the overview of these accounts. Pure."""
    found = list(found)
    enabled = [each for each in found if each.freshness != DISABLED]
    ages = (each.age_seconds for each in enabled if each.age_seconds is not None)
    missing = [each.missing for each in found if each.missing]
    summary = Summary(
        accounts=len(enabled),
        stale=sum(each.is_stale for each in enabled),
        never_synced=sum(each.freshness == NEVER for each in enabled),
        held=sum(each.held > 0 for each in enabled),
        token_dead=sum(each.token == "dead" for each in enabled),  # noqa: S105 - a state
        blocked=sum(each.removals_blocked_since is not None for each in enabled),
        missing=sum(missing),
        missing_accounts=len(missing),
        oldest_proven_seconds=max(ages, default=0.0),
    )
    return Overview(summary, found)


class OverviewReader:
    """Reads the overview of a database. ``limit``: with more accounts, only the sums are read."""

    def __init__(
        self, engine: Engine, default_schedule: str, *, max_age: timedelta | None = None, limit: int = ACCOUNT_LIMIT
    ) -> None:
        self._engine = engine
        self._default_schedule = default_schedule
        self._max_age = max_age
        self._limit = limit
        self._count = 0
        self._counted_at = float("-inf")

    def read(self) -> Overview:
        """Return the overview.

        Raises: DatabaseError.
        """
        with read_transaction(self._engine) as connection:
            enabled = self._enabled(connection)
            if enabled > self._limit:
                return Overview(_counted(connection, enabled, self._max_age))
        return summed(statuses(self._engine, self._default_schedule, max_age=self._max_age))

    def need_attention(self, limit: int) -> list[AccountStatus]:
        """Return at most ``limit`` accounts that need attention, the worst first.

        Raises: DatabaseError.
        """
        with read_transaction(self._engine) as connection:
            names = _worst(connection, limit, self._max_age)
        found = statuses(self._engine, self._default_schedule, names=names, max_age=self._max_age) if names else []
        return sorted((each for each in found if each.needs_attention), key=lambda each: names.index(each.account))

    def _enabled(self, connection: Connection) -> int:
        """Return the number of enabled accounts, counted again after a while: that statement reads an entry of each."""
        if clock.monotonic() - self._counted_at > COUNT_SECONDS:
            query = select(func.count()).select_from(schedules).where(schedules.c.stale_at.is_not(None))
            self._count, self._counted_at = connection.execute(query).scalar_one(), clock.monotonic()
        return self._count


def _counted(connection: Connection, enabled: int, max_age: timedelta | None) -> Summary:
    now = clock.now()
    counts = {kind: _count(query) for kind, query in _troubled(now, max_age).items()}
    is_missing = and_(favourites.c.last_seen_at.is_not(None), favourites.c.missing_since.is_not(None))
    missing_accounts = select(func.count(distinct(favourites.c.account_id))).where(is_missing)
    never = select(schedules.c.account_id).where(schedules.c.stale_at.is_not(None), schedules.c.proven_at.is_(None))
    oldest = select(func.min(schedules.c.proven_at, type_=Instant)).where(schedules.c.stale_at.is_not(None))
    query = select(
        *(count.label(kind) for kind, count in counts.items()),
        _count(never).label("never_synced"),
        select(func.count()).select_from(favourites).where(is_missing).scalar_subquery().label("missing"),
        missing_accounts.scalar_subquery().label("missing_accounts"),
        oldest.scalar_subquery().label("oldest"),
    )
    found = dict(connection.execute(query).mappings().one())
    oldest_at = found.pop("oldest")
    stale = sum(found.pop(kind) for kind in counts if kind.startswith("stale"))
    age = max((now - oldest_at).total_seconds(), 0.0) if oldest_at else 0.0
    return Summary(accounts=enabled, stale=stale, oldest_proven_seconds=age, **found)


def _count(query: Select[tuple[int]]) -> ColumnElement[int]:
    return select(func.count()).select_from(query.subquery()).scalar_subquery()


def _troubled(now: datetime, max_age: timedelta | None) -> dict[str, Select[tuple[int]]]:
    """Select the ids of the enabled accounts in trouble, by kind, the worst kind first. Each is found by an index."""
    known, enabled = schedules.c, schedules.c.stale_at.is_not(None)
    ids = select(known.account_id)
    # Literals: SQLite uses a partial index for no parameter.
    held = select(accounts.c.account_id).where(
        runs.c.outcome == literal_column("'held'"), runs.c.decision.is_(None), accounts.c.enabled
    )
    dead = select(accounts.c.account_id).join(tokens, tokens.c.account_id == accounts.c.account_id)
    stale = [ids.where(known.stale_at < literal(now, Instant)).order_by(known.stale_at)]
    if max_age is not None:
        since = literal(now - max_age, Instant)
        is_older = (accounts.c.account_id == known.account_id, accounts.c.created_at < since)
        is_older_account = select(accounts.c.account_id).where(*is_older).exists()
        stale = [
            ids.where(enabled, known.proven_at < since).order_by(known.proven_at),
            ids.where(enabled, known.proven_at.is_(None), is_older_account),
        ]
    stale.append(ids.where(enabled, known.proven_at > literal(now + FUTURE_TOLERANCE, Instant)))
    return {
        "token_dead": dead.where(accounts.c.enabled, tokens.c.state == literal_column("'dead'")),
        **{f"stale_{number}": query for number, query in enumerate(stale)},
        "held": held.join(runs, runs.c.account_id == accounts.c.account_id).where(runs.c.run_id == newest_proven_run()),
        # Looked up again: a person may have decided since.
        "blocked": ids.where(enabled, known.blocked_at.is_not(None), last_reads()["blocked_at"].is_not(None)),
    }


def _worst(connection: Connection, limit: int, max_age: timedelta | None) -> list[str]:
    """Return the names of at most ``limit`` accounts in trouble, the worst first."""
    kinds = [query.limit(limit).subquery() for query in _troubled(clock.now(), max_age).values()]
    found = union_all(
        *(select(kind.c.account_id, literal(rank).label("rank")) for rank, kind in enumerate(kinds))
    ).subquery()
    worst = select(found.c.account_id, func.min(found.c.rank).label("rank")).group_by(found.c.account_id).subquery()
    query = select(accounts.c.name).join(worst, worst.c.account_id == accounts.c.account_id)
    return list(connection.execute(query.order_by(worst.c.rank, accounts.c.name).limit(limit)).scalars())


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

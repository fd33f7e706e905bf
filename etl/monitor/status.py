"""How fresh each account is, and the exit code for monitoring.

An account is stale when two runs of its schedule, and ten minutes more, have passed since the end of its last proven read: one
missed run is normal. An account without a proven read ages from its creation. A last read in the future is stale, because a wrong
clock dated it.

Removals are blocked from the first run on that could not record any, whatever was missing, until a later run could.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, ScalarSelect, Select, func, literal, select

from etl import clock
from etl.accounts.credentials import DEFAULT_ACCOUNT
from etl.accounts.token_rows import TokenLocation, TokenRow, displayed_status, token_states
from etl.db.engine import read_transaction
from etl.db.tables import accounts, favourites, runs, schedules
from etl.db.types import Instant
from etl.errors import UsageError
from etl.load.baseline import is_observation
from etl.load.calendar import has_say, is_blocked
from etl.load.runs import STOPPED
from etl.model.records import Outcome
from etl.scheduler import schedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(minutes=5)
"""How far ahead of this machine's clock a read may be dated."""
FRESH, STALE, NEVER, DISABLED = "fresh", "stale", "never synced", "disabled"
HELD, OWNER, NO_ID, NOT_PROVEN = "held", "owner not confirmed", "entry without an id", "list not proven"
HELD_CODE, DEAD_CODE, STALE_CODE = 7, 4, 3
BATCH = 5_000
"""Runs that are read at once: SQLite limits the number of parameters."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account as `favsync status --json` prints it.

    ``is_stale``: enabled, and not proven for too long, or proven in the future. ``missing``: favourites that are in no
    whole list and whose removal is not recorded; ``missing_since``: the earliest of them. ``removals_blocked_by``: `HELD`,
    `OWNER`, `NO_ID`, `NOT_PROVEN` or None; ``removals_blocked_reason``: the reason of the newest run that is blocked.
    """

    account: str
    freshness: str
    is_stale: bool
    last_proven_at: datetime | None
    age_seconds: float | None
    stale_at: datetime | None
    next_run_at: datetime | None
    parked_until: datetime | None
    schedule: str
    last_run_at: datetime | None
    last_outcome: str | None
    last_reason: str | None
    failures_in_a_row: int
    favourites: int | None
    held: int
    held_run_id: int | None
    rejected: int
    missing: int
    missing_since: datetime | None
    removals_blocked_since: datetime | None
    removals_blocked_seconds: float
    removals_blocked_by: str | None
    removals_blocked_reason: str | None
    token: str
    token_place: str | None
    token_expires_at: datetime | None
    token_reason: str | None

    @property
    def exit_code(self) -> int:
        """The exit code if this were the only account."""
        if self.freshness == DISABLED:
            return 0
        if self.token == "dead":  # noqa: S105 - a state
            return DEAD_CODE
        return STALE_CODE if self.is_stale else HELD_CODE if self.held else 0

    @property
    def needs_attention(self) -> bool:
        """True if a person should look at the account."""
        return bool(self.exit_code) or (self.freshness != DISABLED and self.removals_blocked_since is not None)


@dataclass(frozen=True, slots=True)
class AccountRows:
    """The rows of an account: its own with its schedule, its newest proven run, its newest run, its token.

    ``blocked``: the newest run that could not record a removal, if no later one could.
    """

    account: Row[Any]
    proven: Row[Any] | None
    last: Row[Any] | None
    blocked: Row[Any] | None
    token: TokenRow | None


def statuses(
    engine: Engine, default_schedule: str, *, names: Collection[str] = (), max_age: timedelta | None = None
) -> list[AccountStatus]:
    """Return the status of the accounts with these names, or of all. ``max_age`` replaces the schedule in deciding staleness.

    Raises: UsageError, for an unknown name; DatabaseError.
    """
    with read_transaction(engine) as connection:
        found = _read(connection, names)
    missing = set(names) - {rows.account.name for rows in found}
    if missing:
        raise UsageError(f"there is no account {min(missing)!r}", remedy="`favsync accounts list` shows them")
    now = clock.now()
    return [status_of(rows, default_schedule, max_age, now) for rows in found]


def status_of(rows: AccountRows, default_schedule: str, max_age: timedelta | None, now: datetime) -> AccountStatus:
    """Return the status of an account at ``now``. Pure."""
    account, proven, last, token = rows.account, rows.proven, rows.last, rows.token
    enabled, own_schedule = bool(account.enabled), account.schedule or default_schedule
    proven_at = proven.observed_at if proven else None
    since = proven_at or account.created_at
    stale_at = since + max_age if max_age is not None else _stale_at(own_schedule, since, account.account_id)
    is_ahead = proven_at is not None and proven_at > now + FUTURE_TOLERANCE
    is_old = now > stale_at or is_ahead
    if not enabled:
        freshness = DISABLED
    elif proven_at is None:
        freshness = NEVER
    else:
        freshness = STALE if is_old else FRESH
    # The scheduler's count is outdated where another process has synced the account since.
    is_outdated = proven_at is not None and account.scheduled_at is not None and account.scheduled_at < proven_at
    held = proven if proven and proven.outcome == Outcome.HELD and proven.decision is None else None
    counted = last if last and last.favourites is not None else proven
    token_state, token_place = _token(rows, now)
    blocked, blocked_since = rows.blocked, account.blocked_since if rows.blocked else None
    return AccountStatus(
        account=account.name,
        freshness=freshness,
        is_stale=enabled and is_old,
        last_proven_at=proven_at,
        age_seconds=(now - proven_at).total_seconds() if proven_at else None,
        stale_at=stale_at if enabled else None,
        next_run_at=account.next_run_at if enabled else None,
        parked_until=account.parked_until if account.parked_until and account.parked_until > now else None,
        schedule=own_schedule,
        last_run_at=last.started_at if last else None,
        last_outcome=last.outcome if last else None,
        last_reason=last.reason if last else None,
        failures_in_a_row=max(0 if is_outdated else account.failures, account.unproven),
        favourites=counted.favourites if counted else None,
        held=held.held if held else 0,
        held_run_id=held.run_id if held else None,
        rejected=proven.rejected if proven else 0,
        missing=account.missing,
        missing_since=account.missing_since,
        removals_blocked_since=blocked_since,
        removals_blocked_seconds=max((now - blocked_since).total_seconds(), 0.0) if blocked_since else 0.0,
        removals_blocked_by=_blocked_by(blocked) if blocked else None,
        removals_blocked_reason=blocked.reason if blocked else None,
        token=token_state,
        token_place=token_place,
        token_expires_at=token.expires_at if token else None,
        token_reason=token.reason if token else None,
    )


def _token(rows: AccountRows, now: datetime) -> tuple[str, str | None]:
    """Return state and place of the account's token. The token of the environment has no row before it is refused."""
    if rows.token is not None:
        return displayed_status(rows.token, now), str(rows.token.place)
    if rows.account.name != DEFAULT_ACCOUNT:
        return "none", None
    was_accepted = rows.proven is not None and rows.proven.requests  # an import sends no requests
    return "valid" if was_accepted else "unknown", str(TokenLocation.ENVIRONMENT)


def _blocked_by(run: Row[Any]) -> str:
    if run.outcome == Outcome.HELD:
        return HELD
    if not run.proven:
        return NOT_PROVEN
    return OWNER if run.proves_absence else NO_ID


def _stale_at(text: str, since: datetime, seed: int) -> datetime:
    """Return when two runs are missed. A schedule in the table that cannot be parsed counts as hourly."""
    try:
        plan = schedule.parse(text)
    except UsageError:
        plan = schedule.parse("every 1h")
    return plan.stale_at(since, seed)


def _read(connection: Connection, names: Collection[str]) -> list[AccountRows]:
    rows = connection.execute(_accounts(names)).all()
    named = (run_id for row in rows for run_id in (row.proven_run_id, row.last_run_id, row.blocked_run_id))
    ids = sorted({run_id for run_id in named if run_id is not None})
    found: dict[int, Row[Any]] = {}
    for start in range(0, len(ids), BATCH):
        query = select(runs).where(runs.c.run_id.in_(ids[start : start + BATCH]))
        found |= {row.run_id: row for row in connection.execute(query)}
    tokens = token_states(connection, [row.account_id for row in rows] if names else None)
    return [
        AccountRows(
            row,
            proven=found.get(row.proven_run_id),
            last=found.get(row.last_run_id),
            blocked=found.get(row.blocked_run_id),
            token=tokens.get(row.account_id),
        )
        for row in rows
    ]


def _accounts(names: Collection[str]) -> Select[Any]:
    """Select each account with its newest proven run, its newest run, its missing favourites and its newest blocked run.

    All are looked up in indexes.

    ``unproven`` counts the failed and partial runs since the proven one. Imports of parts of a list, which send no requests, do
    not count.
    """
    is_own = runs.c.account_id == accounts.c.account_id
    proven = newest_proven_run()
    # A run that a person or a stop of the service ended says nothing about the account.
    is_own_end = func.coalesce(runs.c.reason, "") != STOPPED
    last = (
        select(runs.c.run_id)
        .where(is_own, is_own_end)
        .order_by(runs.c.run_id.desc())
        .limit(1)
        .correlate(accounts)
        .scalar_subquery()
    )
    is_failure = (runs.c.outcome == Outcome.FAILED) & is_own_end | (runs.c.outcome == Outcome.PARTIAL) & (
        runs.c.requests > 0
    )
    unproven = (
        select(func.count(runs.c.run_id))
        .where(is_own, is_failure, runs.c.run_id > func.coalesce(proven, 0))
        .correlate(accounts)
        .scalar_subquery()
    )
    query = (
        select(
            accounts,
            proven.label("proven_run_id"),
            last.label("last_run_id"),
            unproven.label("unproven"),
            schedules.c.next_run_at,
            schedules.c.parked_until,
            schedules.c.updated_at.label("scheduled_at"),
            func.coalesce(schedules.c.failures_in_a_row, 0).label("failures"),
            *_missing_columns(),
            *_blocked_columns(),
        )
        .select_from(accounts.outerjoin(schedules, schedules.c.account_id == accounts.c.account_id))
        .order_by(accounts.c.name)
    )
    return query.where(accounts.c.name.in_(names)) if names else query


def newest_proven_run() -> ScalarSelect[Any]:
    """Return the id of the newest proven run of an account in a statement on ``accounts``."""
    newest = (
        select(runs.c.run_id)
        .where(runs.c.account_id == accounts.c.account_id, runs.c.proven, is_observation)
        .order_by(runs.c.observed_at.desc())
        .limit(1)
    )
    return newest.correlate(accounts).scalar_subquery()


def _missing_columns() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return number and earliest instant of an account's missing favourites."""
    is_missing = (
        favourites.c.account_id == accounts.c.account_id,
        favourites.c.last_seen_at.is_not(None),  # names the index
        favourites.c.missing_since.is_not(None),
    )
    count = select(func.count()).where(*is_missing).correlate(accounts).scalar_subquery()
    since = select(func.min(favourites.c.missing_since, type_=Instant)).where(*is_missing).correlate(accounts)
    return count.label("missing"), since.scalar_subquery().label("missing_since")


def _blocked_columns() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the end of an account's first run without removals since one that could record them, and its newest such run."""
    own = (runs.c.account_id == accounts.c.account_id, has_say)
    free = select(func.max(runs.c.observed_at, type_=Instant)).where(*own, ~is_blocked).correlate(accounts)
    after = runs.c.observed_at > func.coalesce(free.scalar_subquery(), literal(EPOCH, Instant))
    since = select(func.min(runs.c.observed_at, type_=Instant)).where(*own, is_blocked, after).correlate(accounts)
    newest = (
        select(runs.c.run_id)
        .where(*own, is_blocked, after)
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
        .limit(1)
        .correlate(accounts)
    )
    return since.scalar_subquery().label("blocked_since"), newest.scalar_subquery().label("blocked_run_id")

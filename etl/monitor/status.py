"""How fresh each account is, and the one exit code that says whether somebody should look.

An account is stale when two turns of its schedule have gone by, and `SLACK` more, since the end of its last proven walk: one
missed turn is no news. An account that was never proven counts from its beginning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from etl import clock
from etl.accounts.credentials import DEFAULT_ACCOUNT
from etl.accounts.token_rows import TokenLocation, displayed_status
from etl.db.engine import read_transaction
from etl.errors import UsageError
from etl.monitor.freshness import AccountFreshness, account_freshness
from etl.scheduler import schedule

SLACK = timedelta(minutes=10)
FRESH, STALE, NEVER, DISABLED = "fresh", "stale", "never synced", "disabled"
HELD_CODE, DEAD_CODE, STALE_CODE = 7, 4, 3


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account, as `favsync status --json` prints it. ``is_stale``: enabled, and its list was not proven for too long."""

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
    token: str
    token_place: str | None
    token_expires_at: datetime | None
    token_reason: str | None

    @property
    def exit_code(self) -> int:
        """The exit code that this account alone would give."""
        if self.freshness == DISABLED:
            return 0
        if self.token == "dead":  # noqa: S105 - a state
            return DEAD_CODE
        return STALE_CODE if self.is_stale else HELD_CODE if self.held else 0


def statuses(
    engine: Engine, default_schedule: str, *, names: Collection[str] = (), max_age: timedelta | None = None
) -> list[AccountStatus]:
    """Return how every account is, or those named. ``max_age``: stale when older than this, whatever the schedule.

    Raises: UsageError, for a name that is not there; DatabaseError.
    """
    with read_transaction(engine) as connection:
        found = account_freshness(connection, names)
    missing = set(names) - {facts.name for facts in found}
    if missing:
        raise UsageError(f"there is no account {min(missing)!r}", remedy="`favsync accounts list` shows them")
    now = clock.now()
    return [_status(facts, default_schedule, max_age, now) for facts in found]


def worst_code(accounts: Iterable[AccountStatus]) -> int:
    """Return the exit code for all of them: a dead token, then a stale account, then held removals."""
    codes = {each.exit_code for each in accounts}
    return next((code for code in (DEAD_CODE, STALE_CODE, HELD_CODE) if code in codes), 0)


def _status(facts: AccountFreshness, default_schedule: str, max_age: timedelta | None, now: datetime) -> AccountStatus:
    schedule = facts.schedule or default_schedule
    since = facts.last_proven_at or facts.created_at
    stale_at = since + max_age if max_age is not None else _stale_at(schedule, since, facts.account_id)
    age = (now - facts.last_proven_at).total_seconds() if facts.last_proven_at else None
    return AccountStatus(
        account=facts.name,
        freshness=_freshness(facts, stale_at, now),
        is_stale=facts.enabled and now > stale_at,
        last_proven_at=facts.last_proven_at,
        age_seconds=age,
        stale_at=stale_at if facts.enabled else None,
        next_run_at=facts.next_run_at if facts.enabled else None,
        parked_until=facts.parked_until if facts.parked_until and facts.parked_until > now else None,
        schedule=schedule,
        last_run_at=facts.last_run_at,
        last_outcome=facts.last_outcome,
        last_reason=facts.last_reason,
        failures_in_a_row=facts.failures_in_a_row,
        favourites=facts.favourites,
        held=facts.held,
        held_run_id=facts.held_run_id,
        rejected=facts.rejected,
        token=_token_state(facts, now),
        token_place=_token_place(facts),
        token_expires_at=facts.token.expires_at if facts.token else None,
        token_reason=facts.token.reason if facts.token else None,
    )


def _freshness(facts: AccountFreshness, stale_at: datetime, now: datetime) -> str:
    if not facts.enabled:
        return DISABLED
    if facts.last_proven_at is None:
        return NEVER
    return STALE if now > stale_at else FRESH


def _token_state(facts: AccountFreshness, now: datetime) -> str:
    """Return the token's state; the environment's token has no row before it is refused, so its success speaks for it."""
    if facts.token is not None:
        return displayed_status(facts.token, now)
    if facts.name != DEFAULT_ACCOUNT:
        return "none"
    return "valid" if facts.was_asked else "unknown"


def _token_place(facts: AccountFreshness) -> str | None:
    if facts.token is not None:
        return str(facts.token.place)
    return str(TokenLocation.ENVIRONMENT) if facts.name == DEFAULT_ACCOUNT else None


def _stale_at(text: str, since: datetime, seed: int) -> datetime:
    """Return when two turns are missed; a schedule that cannot be read is one that was typed into the table by hand."""
    try:
        plan = schedule.parse(text)
    except UsageError:
        plan = schedule.parse("every 1h")
    return plan.next_after(plan.next_after(since, seed), seed) + SLACK

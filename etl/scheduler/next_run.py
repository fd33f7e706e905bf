"""When an account's next turn is, seen from how its last one went. Pure.

| how it went                         | next turn                                                                        |
|-------------------------------------|----------------------------------------------------------------------------------|
| proven (held too)                   | the schedule's                                                                   |
| the service named a time            | then, or as the next row says, whichever is later                                  |
| failed, or not proven, n in a row   | after 5 min · 2^(n-1), at most 8 periods or a day; sooner than the period at first |
| another run had the account         | in a minute; it is no failure                                                    |
| the token is dead                   | the schedule's: it costs no request, and a new token is noticed                  |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from etl.scheduler.schedule import Schedule, spread

FIRST_DELAY = timedelta(minutes=5)
LONGEST_DELAY = timedelta(days=1)
MOST_PERIODS = 8
BUSY_DELAY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a turn went. ``retry_at``: the service asked to stay away until then."""

    is_proven: bool = False
    is_busy: bool = False
    is_dead: bool = False
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NextRun:
    """The next turn of an account."""

    next_run_at: datetime
    failures_in_a_row: int
    parked_until: datetime | None = None


def next_run(schedule: Schedule, seed: int, result: RunOutcome, failures_in_a_row: int, now: datetime) -> NextRun:
    """Return the next turn of the account with the number ``seed``, whose turn ended ``now`` with ``result``."""
    if result.is_busy:
        return NextRun(now + BUSY_DELAY, failures_in_a_row)
    if result.is_proven:
        return NextRun(schedule.next_after(now, seed), 0)
    failures = failures_in_a_row + 1
    if result.is_dead:
        return NextRun(schedule.next_after(now, seed), failures)
    delay = failure_delay(schedule.gap(now), failures)
    at = now + delay + spread(seed, delay / 5)
    if result.retry_at is not None:
        at = max(at, result.retry_at + spread(seed, FIRST_DELAY / 5))
    return NextRun(at, failures, result.retry_at)


def failure_delay(period: timedelta, failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row."""
    first = min(FIRST_DELAY, period)
    longest = max(first, min(MOST_PERIODS * period, LONGEST_DELAY))
    doublings = min(failures - 1, 20)
    return min(first * (1 << doublings), longest)

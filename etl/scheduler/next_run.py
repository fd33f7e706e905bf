"""Computes an account's next run from its last outcome. Pure.

| outcome                             | next run                                                                               |
|-------------------------------------|----------------------------------------------------------------------------------------|
| proven (also held)                  | by the schedule                                                                        |
| the service named a time            | at that time or by the next row, whichever is later                                    |
| failed or not proven, n in a row    | after 5 min · 2^(n-1), at most 8 periods or a day; the first delay is at most a period |
| another run holds the account       | in a minute; not counted as a failure                                                  |
| the token is dead                   | by the schedule: it costs no request, and a new token is noticed                       |
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
    """The outcome of a run, as far as the next one depends on it. ``retry_at``: the service asked to wait until then."""

    is_proven: bool = False
    is_busy: bool = False
    is_dead: bool = False
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NextRun:
    """The next run of an account."""

    next_run_at: datetime
    failures_in_a_row: int
    parked_until: datetime | None = None


def next_run(schedule: Schedule, seed: int, outcome: RunOutcome, failures_in_a_row: int, now: datetime) -> NextRun:
    """Return the next run of the account with the id ``seed``, whose last run ended ``now``."""
    if outcome.is_busy:
        return NextRun(now + BUSY_DELAY, failures_in_a_row)
    if outcome.is_proven:
        return NextRun(schedule.next_after(now, seed), 0)
    failures = failures_in_a_row + 1
    if outcome.is_dead:
        return NextRun(schedule.next_after(now, seed), failures)
    delay = failure_delay(schedule.gap(now), failures)
    at = now + delay + spread(seed, delay / 5)
    if outcome.retry_at is not None:
        at = max(at, outcome.retry_at + spread(seed, FIRST_DELAY / 5))
    return NextRun(at, failures, outcome.retry_at)


def failure_delay(period: timedelta, failures: int) -> timedelta:
    """Return the delay after ``failures`` in a row."""
    first = min(FIRST_DELAY, period)
    longest = max(first, min(MOST_PERIODS * period, LONGEST_DELAY))
    doublings = min(failures - 1, 20)
    return min(first * (1 << doublings), longest)

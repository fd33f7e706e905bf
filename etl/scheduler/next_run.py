"""Computes an account's next run from its last outcome. Pure.

| outcome                             | next run                                                                               |
|-------------------------------------|----------------------------------------------------------------------------------------|
| proven (also held)                  | by the schedule                                                                        |
| the service named a time            | at that time or by the next row, whichever is later                                    |
| failed or not proven, n in a row    | after 5 min · 2^(n-1), at most 8 periods or a day; the first delay is at most a period |
| another run holds the account       | in a minute; not counted as a failure                                                  |
| the token is dead                   | by the schedule: it costs no request, and a new token is noticed                       |
| favourites are missing              | by the schedule, at the latest after a quarter of the grace                            |
| the same, not proven, n in a row    | the same, at the latest after 30 min · 3^(n-1)                                         |

Without the quarter, a daily or weekly schedule reads the list in the same maintenance window every time. A run reads everything,
so one look serves all favourites that are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from etl.scheduler.schedule import Schedule, spread

FIRST_DELAY = timedelta(minutes=5)
LONGEST_DELAY = timedelta(days=1)
MOST_PERIODS = 8
BUSY_DELAY = timedelta(minutes=1)
LOOKS_PER_GRACE = 4
FIRST_REPEAT = timedelta(minutes=30)
REPEAT_FACTOR = 3


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The outcome of a run, as far as the next one depends on it.

    ``is_stored``: it stored what it read. ``retry_at``: the service asked to wait until then. ``look_within``: favourites are
    missing and wait for their grace, so the next look is due within this time (`look_delay`).
    """

    is_proven: bool = False
    is_busy: bool = False
    is_dead: bool = False
    is_stored: bool = False
    retry_at: datetime | None = None
    look_within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NextRun:
    """The next run of an account. ``stale_at``: when the account becomes stale without another proven run, if that is known."""

    next_run_at: datetime
    failures_in_a_row: int
    parked_until: datetime | None = None
    stale_at: datetime | None = None


def next_run(schedule: Schedule, seed: int, outcome: RunOutcome, failures_in_a_row: int, now: datetime) -> NextRun:
    """Return the next run of the account with the id ``seed``, whose last run ended ``now``."""
    if outcome.is_busy:
        return NextRun(now + BUSY_DELAY, failures_in_a_row)
    scheduled = schedule.next_after(now, seed)
    look_at = scheduled if outcome.look_within is None else min(scheduled, now + outcome.look_within)
    if outcome.is_proven:
        return NextRun(look_at, 0)
    failures = failures_in_a_row + 1
    if outcome.is_dead:
        return NextRun(scheduled, failures)
    if outcome.is_stored and outcome.look_within is not None:
        return NextRun(min(look_at, now + repeat_delay(failures)), failures)
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


def look_delay(grace: timedelta, waiting: int) -> timedelta | None:
    """Return the longest time to the next look while ``waiting`` favourites are missing, None if nothing waits."""
    return grace / LOOKS_PER_GRACE if grace and waiting > 0 else None


def repeat_delay(failures: int) -> timedelta:
    """Return the delay after ``failures`` looks in a row that were not whole."""
    factor: int = REPEAT_FACTOR ** min(failures - 1, 20)
    return min(factor * FIRST_REPEAT, LONGEST_DELAY)

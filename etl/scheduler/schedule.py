"""Schedules as people write them: ``every 1h``, or five cron fields and a time zone.

Each account has a fixed place within its period, told from its number, so that a thousand accounts of one schedule are spread
over it, and a restart changes nothing.

Traps, each tested: APScheduler counts weekdays from Monday, cron from Sunday, so numbers become names here; APScheduler wants
day of month *and* day of week to fit, cron, where both are restricted, one *or* the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from etl.errors import UsageError

ACCEPTED = "write `every 15m`, `every 6h`, `every 1d`, or cron with a time zone such as `0 3 * * 1 Africa/Lagos`"
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=31)
CRON_SPREAD = timedelta(minutes=2)
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_EVERY = re.compile(r"every\s+(?P<count>[0-9]{1,6})\s*(?P<unit>m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?)")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELD = re.compile(r"[0-9a-z*,/-]+")


class _Trigger(Protocol):
    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None: ...


@dataclass(frozen=True)
class Schedule:
    """When an account is synced. ``period``: for ``every`` schedules; ``triggers``: for cron, of which the first counts."""

    text: str
    period: timedelta | None = None
    triggers: tuple[_Trigger, ...] = ()

    def next_after(self, after: datetime, seed: int) -> datetime:
        """Return the first turn after ``after`` (UTC) of the account with the number ``seed``."""
        if self.period is not None:
            phase = spread(seed, self.period)
            turns = (after - _EPOCH - phase) // self.period + 1
            return _EPOCH + phase + turns * self.period
        late = spread(seed, min(CRON_SPREAD, self.gap(after) / 10))
        return self._fire(after - late) + late

    def gap(self, around: datetime) -> timedelta:
        """Return the time between two turns."""
        if self.period is not None:
            return self.period
        first = self._fire(around)
        return self._fire(first) - first

    def _fire(self, after: datetime) -> datetime:
        fires = [trigger.get_next_fire_time(None, after + _INSTANT) for trigger in self.triggers]
        coming = [fire.astimezone(UTC) for fire in fires if fire is not None]
        if not coming:
            raise UsageError(f"the schedule {self.text!r} never comes", remedy=ACCEPTED)
        return min(coming)


def spread(seed: int, width: timedelta) -> timedelta:
    """Return a fixed share of ``width`` for ``seed``, evenly spread over the seeds, in whole seconds."""
    share = int.from_bytes(hashlib.blake2b(seed.to_bytes(8, "big"), digest_size=8).digest(), "big") / 2**64
    return timedelta(seconds=int(width.total_seconds() * share))


@lru_cache(maxsize=1024)
def parse(text: str) -> Schedule:
    """Return the schedule that ``text`` means.

    Raises: UsageError, which says what is wrong and what is accepted.
    """
    words = text.strip().split()
    if words[:1] == ["every"] or not words:
        return _every(text)
    if len(words) not in (5, 6):
        raise _wrong(
            text, f"it has {len(words)} word{'s' * (len(words) > 1)}; cron has five fields, and perhaps a time zone"
        )
    fields = [word.lower() for word in words[:5]]
    if odd := [field for field in fields if not _FIELD.fullmatch(field)]:
        raise _wrong(text, f"{odd[0]!r} is no field of cron")
    schedule = Schedule(text, triggers=tuple(_triggers(text, fields, _zone(text, words[5:]))))
    schedule.gap(_EPOCH)
    return schedule


def _every(text: str) -> Schedule:
    found = _EVERY.fullmatch(text.strip())
    if found is None:
        raise _wrong(text, "after `every` comes a number and one of m, h, d, w")
    period = int(found["count"]) * _UNITS[found["unit"][0]]
    if not SHORTEST <= period <= LONGEST:
        raise _wrong(text, "the period must be from 1 minute to 31 days")
    return Schedule(text, period=period)


def _zone(text: str, words: list[str]) -> ZoneInfo:
    name = words[0] if words else "UTC"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong(text, f"there is no time zone {name!r}") from None


def _triggers(text: str, fields: list[str], zone: ZoneInfo) -> Iterator[_Trigger]:
    minute, hour, day, month, weekday = fields
    names = _weekday_names(text, weekday)
    either = not day.startswith("*") and not weekday.startswith("*")
    days = [(day, "*"), ("*", names)] if either else [(day, names)]
    from apscheduler.triggers.cron import CronTrigger

    for day_of_month, day_of_week in days:
        try:
            yield CronTrigger(
                minute=minute, hour=hour, day=day_of_month, month=month, day_of_week=day_of_week, timezone=zone
            )
        except (ValueError, TypeError) as fault:
            raise _wrong(text, str(fault)) from None


def _weekday_names(text: str, field: str) -> str:
    """Return cron's weekdays (0 and 7 are Sunday) as the names that APScheduler reads."""
    if field == "*":
        return "*"
    days: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        low, high = (0, 6) if span == "*" else (_weekday(text, first), _weekday(text, last or first))
        if step and not dash and span != "*":
            high = 6
        if step and (not step.isdigit() or int(step) == 0):
            raise _wrong(text, f"{step!r} is no step")
        if dash and high < low and last in ("0", "sun"):
            high = 7
        if high < low:
            raise _wrong(text, f"the weekdays {part!r} run backwards")
        days.update(day % 7 for day in range(low, high + 1, int(step or 1)))
    return ",".join(_DAYS[day] for day in sorted(days))


def _weekday(text: str, word: str) -> int:
    if word in _DAYS:
        return _DAYS.index(word)
    if word.isdigit() and int(word) <= 7:
        return int(word)
    raise _wrong(text, f"{word!r} is no weekday: 0 to 7, or sun to sat")


def _wrong(text: str, reason: str) -> UsageError:
    return UsageError(f"{text.strip()[:80]!r} is not a schedule: {reason}", remedy=ACCEPTED)

"""Schedules: ``every 1h``, five cron fields with an optional time zone, or a name such as ``@daily``.

Each account gets a fixed offset from its id, so that many accounts on one schedule do not start at once.

Clock changes follow Debian's cron. A schedule that restricts hours follows the wall clock: a skipped time runs right after the
gap, a repeated time runs once. A schedule for every hour follows real time: each repeated hour counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from etl.errors import UsageError

ACCEPTED = "write `every 15m`, `every 1d`, `@daily`, or cron with a time zone such as `0 3 * * 1 Africa/Lagos`"
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=31)
CRON_SPREAD = timedelta(minutes=2)
SLACK = timedelta(minutes=10)
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_EVERY = re.compile(r"every\s+(?P<count>[0-9]{1,6})\s*(?P<unit>m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?)")
_NAMED = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "midnight": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
_FIELD = re.compile(r"[0-9a-z*,/#-]+")
_UP_TO_SUNDAY = re.compile(r"\b([1-6]|mon|tue|wed|thu|fri|sat)-(0|sun)\b")


@dataclass(frozen=True)
class Schedule:
    """When an account is synced: every ``period``, or when ``cron`` matches in ``zone``. ``width``: range of the offsets."""

    text: str
    width: timedelta
    period: timedelta | None = None
    cron: str = ""
    zone: tzinfo = UTC

    def next_after(self, after: datetime, seed: int) -> datetime:
        """Return the first run after ``after`` (UTC) of the account with the id ``seed``."""
        offset = spread(seed, self.width)
        if self.period is not None:
            elapsed = (after - _EPOCH - offset) // self.period + 1
            return _EPOCH + offset + elapsed * self.period
        return next(self.fires(after - offset)) + offset

    def stale_at(self, since: datetime, seed: int) -> datetime:
        """Return when the account with the id ``seed``, proven at ``since``, has missed two runs, and `SLACK` more."""
        return self.next_after(self.next_after(since, seed), seed) + SLACK

    def latest_after(self, after: datetime) -> datetime:
        """Return a time that no account's next run after ``after`` exceeds."""
        return after + self.period if self.period is not None else next(self.fires(after)) + self.width

    def gap(self, around: datetime) -> timedelta:
        """Return the time between two runs."""
        if self.period is not None:
            return self.period
        fires = self.fires(around)
        first = next(fires)
        return next(fires) - first

    def fires(self, after: datetime) -> Iterator[datetime]:
        """Yield the times after ``after`` at which the cron expression matches, in UTC, without an account's offset.

        Raises: UsageError, if it never matches.
        """
        last = after
        for fire in CronSim(self.cron, after.astimezone(self.zone)):
            at = fire.astimezone(UTC)
            if at > last:  # around a clock change, CronSim also returns the repeated and the skipped times
                last = at
                yield at
        raise _not_a_schedule(self.text, "it never matches a date")


def spread(seed: int, width: timedelta) -> timedelta:
    """Return a fixed part of ``width`` for ``seed``, evenly distributed over the seeds, in whole seconds."""
    share = int.from_bytes(hashlib.blake2b(seed.to_bytes(8, "big"), digest_size=8).digest(), "big") / 2**64
    return timedelta(seconds=int(width.total_seconds() * share))


@lru_cache(maxsize=1024)
def parse(text: str) -> Schedule:
    """Return the schedule that ``text`` describes.

    Raises: UsageError, with the reason and the accepted forms.
    """
    words = text.lower().split()
    if words[:1] == ["every"] or not words:
        return _every(text)
    zone_words = text.split()[1:]
    if (name := words[0].removeprefix("@")) in _NAMED and len(words) <= 2:
        fields = _NAMED[name].split()
    elif len(words) in (5, 6):
        fields, zone_words = words[:5], zone_words[4:]
    else:
        count = f"{len(words)} word{'s' * (len(words) > 1)}"
        raise _not_a_schedule(text, f"it has {count}; cron has five fields and an optional time zone")
    return _cron(text, fields, zone_words[0] if zone_words else "UTC")


def _every(text: str) -> Schedule:
    found = _EVERY.fullmatch(text.strip().lower())
    if found is None:
        raise _not_a_schedule(text, "`every` needs a number and one of m, h, d, w")
    period = int(found["count"]) * _UNITS[found["unit"][0]]
    if not SHORTEST <= period <= LONGEST:
        raise _not_a_schedule(text, "the period must be from 1 minute to 31 days")
    return Schedule(text, period, period=period)


def _cron(text: str, fields: list[str], zone_name: str) -> Schedule:
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _not_a_schedule(text, f"there is no time zone {zone_name!r}") from None
    if odd := [field for field in fields if not _FIELD.fullmatch(field)]:
        raise _not_a_schedule(text, f"{odd[0]!r} is not a cron field")
    minute, hour, day, month, weekday = fields
    weekday = _UP_TO_SUNDAY.sub(r"\1-7", weekday)
    try:
        parsed = CronSim(" ".join((minute, hour, day, month, weekday)), _EPOCH)
    except CronSimError as fault:
        raise _not_a_schedule(text, f"its {str(fault).removeprefix('Bad ')} is not valid") from None
    if len(parsed.hours) < 24:
        # CronSim follows the wall clock only if neither field starts with a star.
        minute, hour = re.sub(r"^\*", "0-59", minute), re.sub(r"^\*", "0-23", hour)
    else:
        hour = "*"
    minutes = sorted(parsed.minutes)
    shortest = min(b - a for a, b in zip(minutes, [*minutes[1:], minutes[0] + 60], strict=True))
    width = min(CRON_SPREAD, timedelta(minutes=shortest) / 10)
    schedule = Schedule(text, width, cron=" ".join((minute, hour, day, month, weekday)), zone=zone)
    next(schedule.fires(_EPOCH))
    return schedule


def _not_a_schedule(text: str, reason: str) -> UsageError:
    return UsageError(f"{text.strip()[:80]!r} is not a schedule: {reason}", remedy=ACCEPTED)

"""Parses instants and ages as people type them; both are click types.

A time without an offset is UTC, like every time that favsync stores and prints, so a command means the same on every
machine. A day or a month means its first instant; "last week" means a week ago.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta

from etl.clock import now as clock_now
from etl.errors import UsageError

ACCEPTED = (
    '2025-11-03, 2025-11-03T14:30, 2025-11-03T14:30:00+01:00, "3 months ago", yesterday, today or now; '
    "the default time zone is UTC"
)
AGES = '90d, "90 days", "6 months", "1 year", or a date such as 2025-11-03'
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
_AGO = re.compile(
    rf"(?P<count>[0-9]{{1,6}}|{'|'.join(_NUMBERS)})\s*(?:(?P<unit>second|minute|hour|day|week|month|year)s?|(?P<letter>[hdw]))\s+ago"
)
_LAST = re.compile(r"last (?P<unit>week|month|year)")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_LETTERS = {"h": "hour", "d": "day", "w": "week"}  # no m: it could be a minute or a month
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "year": 12}


def instant(text: str, now: datetime | None = None) -> datetime:
    """Return the instant in UTC that ``text`` means at the time ``now`` (default: the clock).

    Raises:
        UsageError: it cannot be parsed; the error names the accepted forms.
    """
    try:
        return _parse(" ".join(text.lower().split()), now or clock_now())
    except (ValueError, OverflowError):
        raise UsageError(f"{text[:60]!r} is not a time", remedy=f"write {ACCEPTED}") from None


def age(text: str) -> datetime:
    """Return the instant that is ``text`` ago, such as ``90 days``, or that ``text`` means itself.

    Raises: UsageError.
    """
    for phrase in (f"{text} ago", text):
        try:
            return instant(phrase)
        except UsageError:
            continue
    raise UsageError(f"{text!r} is not an age", remedy=f"write {AGES}")


def _parse(text: str, now: datetime) -> datetime:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    if text in days:
        return days[text]
    if ago := _AGO.fullmatch(text):
        return _before(now, _NUMBERS.get(ago["count"]) or int(ago["count"]), ago["unit"] or _LETTERS[ago["letter"]])
    if last := _LAST.fullmatch(text):
        return _before(now, 1, last["unit"])
    if _MONTH.fullmatch(text):
        text = f"{text}-01"
    if not text.isascii() or "w" in text:
        raise ValueError(text)
    typed = datetime.fromisoformat(text.upper().removesuffix(" UTC"))
    return typed.replace(tzinfo=UTC) if typed.tzinfo is None else typed.astimezone(UTC)


def _before(now: datetime, count: int, unit: str) -> datetime:
    if unit in _SECONDS:
        return now - timedelta(seconds=count * _SECONDS[unit])
    year, month = divmod(now.year * 12 + now.month - 1 - count * _MONTHS[unit], 12)
    if year < 1:
        raise ValueError(year)
    return now.replace(year=year, month=month + 1, day=min(now.day, monthrange(year, month + 1)[1]))

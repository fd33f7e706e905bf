"""What time a file's name tells.

A date alone stands for its first instant, UTC, as everywhere in favsync.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo

_DATED = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d{2})(?P<gap>[-_.]?)(?P<month>\d{2})(?P=gap)(?P<day>\d{2})"
    r"(?:(?:[T _-](?P<spaced>\d{2}[:.h_-]\d{2}(?:[:.m_-]\d{2})?)|T(?P<short>\d{4})|[T _-]?(?P<long>\d{6}))"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?)?(?!\d)"
)
"""Four digits after a date are a time only behind a T: ``2025-11-03-0049.json`` is more likely a page than 00:49."""


class AmbiguousDate(ValueError):
    """A name tells two times."""


def date_from_name(names: Iterable[str]) -> datetime | None:
    """Return the time that the first of ``names`` tells that tells one (a file's name, then those of its folders).

    Raises: Ambiguous, where a name tells several.
    """
    for name in names:
        times = {time for match in _DATED.finditer(name) if (time := _time(match)) is not None}
        if len(times) > 1:
            raise AmbiguousDate(f"the name {name!r} tells more than one time")
        if times:
            return times.pop()
    return None


def _time(match: re.Match[str]) -> datetime | None:
    year, month, day = (int(match[name]) for name in ("year", "month", "day"))
    digits = re.sub(r"\D", "", match["spaced"] or match["short"] or match["long"] or "")
    hour, minute, second = (int(digits[at : at + 2] or 0) for at in (0, 2, 4))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=_zone(match["zone"])).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> tzinfo:
    if text is None or text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))

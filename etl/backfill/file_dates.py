"""The time in a file's name. A date alone means its first instant in UTC, as everywhere in favsync."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone

# Four digits after a date are a time only after a T: 2025-11-03-0049.json is more likely a page than 00:49.
_DATED = re.compile(
    r"""(?<!\d)(?P<year>(?:19|20)\d{2})(?P<gap>[-_.]?)(?P<month>\d{2})(?P=gap)(?P<day>\d{2})
    (?:(?:(?:[T_-]|\s+(?:at\s+)?)
          (?P<clock>\d{1,2}(?:[:._-]\d{2}){0,2}[\s_-]?(?P<half>[ap])\.?m\.?(?![a-z])
            |\d{2}[:.h_-]\d{2}(?:[:.m_-]\d{2})?|(?<=T)\d{4}|\d{6})
        |(?P<joined>\d{6}))
      (?:[.,]\d{3,9})?
      (?P<zone>[\s_]?(?:Z|UTC|GMT)(?![A-Za-z0-9+-])|[+-]\d{2}:\d{2}|\+\d{4}|(?<=\d{4})-\d{4})?)?(?!\d)""",
    re.VERBOSE | re.IGNORECASE,
)
# What follows a time and makes another one of it: AM or PM, a zone, or an offset.
_HALF = re.compile(r"[\s_.-]*[ap]\.?m\.?(?![a-z])", re.IGNORECASE)
_ZONE = re.compile(
    r"[\s_.-]*\(?(?:Z|UTC|GMT|[ECMP][SD]T|CES?T|EES?T|WES?T|WAT|CAT|EAT|SAST|BST|IST|MSK|[JK]ST|SGT|HKT|A[CEKW][SD]T|NZ[SD]T"
    r"|[AN][SD]T|HST|PKT|WIB|WITA?|ICT|PHT|NPT|UZT|AFT|IRST|TRT|GST|BRT|ART|CLT|COT|PET|VET|UYT|CVT|MUT|SCT"
    r"|(?:Africa|America|Asia|Atlantic|Australia|Europe|Pacific)[/_-]\w+)(?![A-Za-z])"
)
_DAY_FIRST = re.compile(r"(?<!\d)\d{1,2}([-_.])\d{1,2}\1$")  # 03-11-2025-10-12 is no day in October
_PLUS = re.compile(r"[\s_]?[+\u2212]\d")
_MINUS = re.compile(r"[\s_]?-(?:0\d|1[0-4])(?:[-_.:]?\d{2})?(?!\d)")


class AmbiguousDate(ValueError):
    """A name has several times, or a time that can be read in several ways."""


def date_from_name(names: Iterable[str]) -> datetime | None:
    """Return the time in the first of ``names`` that has one (the name of a file, then those of its folders).

    Raises: AmbiguousDate.
    """
    for name in names:
        times = {time for match in _DATED.finditer(name) if (time := _time(match)) is not None}
        if len(times) > 1:
            raise AmbiguousDate(f"the name {name!r} has more than one time")
        if times:
            return times.pop()
    return None


def _time(match: re.Match[str]) -> datetime | None:
    """Return the time of a match, None where it is no date.

    Raises: AmbiguousDate, where what follows makes another time of it than the one that was read.
    """
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=UTC)
    except ValueError:
        return None
    name, rest = match.string, match.string[match.end() :]
    clock, half, zone = match["clock"] or match["joined"] or "", match["half"], match["zone"] or ""
    is_offset = not zone and (_PLUS.match(rest) or (clock and _MINUS.match(rest)))
    has_zone = _ZONE.match(rest) or (clock and _ZONE.match(rest.upper()))
    if has_zone or _DAY_FIRST.search(name[: match.start()]) or (not half and _HALF.match(rest)) or is_offset:
        raise AmbiguousDate(f"the time in the name {name!r} can be read in several ways")
    hour, minute, second = ([int(part) for part in re.findall(r"\d{1,2}", clock)] + [0, 0, 0])[:3]
    if half:
        hour = hour % 12 + (12 if half in "pP" else 0) if 1 <= hour <= 12 else 24  # refused below
    try:
        offset = timedelta()
        if zone[-1:].isdigit():
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
        return day.replace(hour=hour, minute=minute, second=second, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise AmbiguousDate(f"the name {name!r} has a date, but no possible time after it") from None

"""What reading a file gives: items with their times, and problems with their places.

Nothing is lost: an entry without a readable track id is kept byte for byte as an item without an id, and named as a problem
with its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from etl.model.encoding import digest_of
from etl.model.records import Item

MAX_ID = 2**63 - 1
TIMES = ("observed_at", "exported_at", "fetched_at")
_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class ParseError:
    """Something in a file that could not be read. ``place``: where in the file, empty for the whole of it."""

    place: str
    fault: str

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return f"{self.place}: {self.fault}" if self.place else self.fault


@dataclass(slots=True)
class ParsedFile:
    """What a file holds: items in order, each with its own time where it has one.

    ``observed_at``: the time that the file itself tells. ``is_cut``: something is missing that could be any track.
    ``counts``: the largest of the service's own ``counts``: of the page or of the list, so never less than what there is.
    """

    entries: list[tuple[Item, datetime | None]] = field(default_factory=list)
    observed_at: datetime | None = None
    problems: list[ParseError] = field(default_factory=list)
    is_cut: bool = False
    counts: int = 0

    def fail(self, place: str, fault: str, *, is_cut: bool = True) -> None:
        """Note a problem."""
        self.problems.append(ParseError(place, fault))
        self.is_cut |= is_cut


def time_from(value: object) -> datetime | None:
    """Return the instant that an ISO 8601 text means, UTC where it names no offset; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        typed = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (typed.replace(tzinfo=UTC) if typed.tzinfo is None else typed).astimezone(UTC)


def track_id_from(value: bytes) -> int | None:
    """Return the track id that these bytes spell, with or without quotes; None where they spell none."""
    digits = value.decode("ascii", "replace").strip().strip('"').strip()
    return int(digits) if _DIGITS.fullmatch(digits) and 0 < int(digits) <= MAX_ID else None


def id_only_item(track_id: int) -> Item:
    """Return the item of a track of which nothing but the id is known."""
    body = b'{"track_id":%d}' % track_id
    return Item(body, digest_of(body), track_id)


def keep_invalid(found: ParsedFile, body: bytes, place: str, fault: str) -> None:
    """Keep an entry without an id, and note why it has none."""
    found.fail(place, fault, is_cut=False)
    found.entries.append((Item(body, digest_of(body), None), None))


def bytes_of(text: str) -> bytes:
    """Return the bytes that ``text`` was decoded from, also where they are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")

"""What the readers of a file return: entries in order, what could not be read, and where.

An entry without a readable track id is kept byte for byte as an item without an id. Such an item blocks removals.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from etl.model.encoding import digest_of
from etl.model.records import Item

MAX_ID = 2**63 - 1
MAX_ENTRIES = 2_000_000
EARLIEST_YEAR = 2000
TIMES = ("observed_at", "exported_at", "fetched_at")
CUT = "the file ends in this number, so it may be cut"
_ID = re.compile(r"([0-9]{1,19})(?:\.0+)?")
# Columns of favsync's reports, verbs and exported tables. No answer of the API has one of them in an item.
_OWN_COLUMNS = frozenset(
    "account account_id added_after answer change changed_at favourite_id first_seen_at genre_id is_current market_code"
    " market_set_id missing_since old_value raw_item_id removed_after run_id valid_from valid_to".split()
)
_OWN_PAIR = frozenset({"position", "artist_id"})


class RefusedFileError(ValueError):
    """No part of the file is read: it is favsync's own output, or has too many entries."""


@dataclass(frozen=True, slots=True)
class FileError:
    """A problem with a file: the file, the place in it (empty for the whole of it), and what is wrong."""

    file: str
    place: str
    fault: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place + ': ' if self.place else ''}{self.fault}"


class StatedPage(NamedTuple):
    """What a page states about its list: the number of favourites and of pages (0: not stated), other pages, its name.

    ``has_error``: it reports an error besides. ``observed_at``: its own time.
    """

    counts: int
    pages: int
    has_next: bool
    has_previous: bool
    has_error: bool
    name: str
    observed_at: datetime | None


@dataclass(slots=True)
class ParsedFile:
    """What the file ``label`` holds: items in order, each with its own time if it has one.

    ``observed_at``: the time that the file states for all entries. ``empty_at``: times of pages without entries.
    ``problems``: what could not be read. ``notes``: how the file was read, where several ways are possible.
    ``is_partial``: something is missing that could be any track. ``pages``: what its pages state.
    """

    label: str
    entries: list[tuple[Item, datetime | None]] = field(default_factory=list)
    observed_at: datetime | None = None
    empty_at: set[datetime] = field(default_factory=set)
    problems: list[FileError] = field(default_factory=list)
    notes: list[FileError] = field(default_factory=list)
    is_partial: bool = False
    pages: list[StatedPage] = field(default_factory=list)

    def fail(self, place: str, fault: str, *, is_partial: bool = True) -> None:
        """Note a problem."""
        self.problems.append(FileError(self.label, place, fault))
        self.is_partial |= is_partial

    def add_invalid(self, body: bytes, place: str, fault: str, *, is_partial: bool = False) -> None:
        """Keep an entry without an id, and note why it has none."""
        self.fail(place, fault, is_partial=is_partial)
        self.add(Item(body, digest_of(body), None), None)

    def add(self, item: Item, instant: datetime | None) -> None:
        """Add an entry.

        Raises: RefusedFileError, where there are too many.
        """
        require_size(len(self.entries), "entries")
        self.entries.append((item, instant))

    def may_be_cut(self, track_id: int) -> bool:
        """True if a number at the very end of the file has fewer digits than all others: it may be cut."""
        others = (item.track_id for item, _ in self.entries if item.track_id is not None)
        return all(len(str(track_id)) < len(str(other)) for other in others)


def require_size(count: int, what: str) -> None:
    """Check the size of a file, since an entry takes far more memory than its text.

    Raises: RefusedFileError, where ``count`` is more than `MAX_ENTRIES`.
    """
    if count > MAX_ENTRIES:
        raise RefusedFileError(f"it holds more than {MAX_ENTRIES:,} {what}, so it is not read: split it")


def refuse_own_output(columns: Collection[str]) -> None:
    """Check the columns of a row or the fields of an object.

    Raises: RefusedFileError, where they are those of favsync's own output, which holds other accounts and past states.
    """
    if (own := _OWN_COLUMNS.intersection(columns)) or _OWN_PAIR.issubset(columns):
        raise RefusedFileError(
            f"this is favsync's own output (column {min(own or _OWN_PAIR)}), which may hold other accounts and past states:"
            " import the database itself with --from DATABASE, or the whole folder of `favsync export`"
        )


def time_from(value: object) -> datetime | None:
    """Return the instant of an ISO 8601 text, in UTC if it has no offset; None where it is none, or an impossible one."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        instant = (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant if instant.year >= EARLIEST_YEAR else None


def track_id_from(value: object) -> int | None:
    """Return the track id in a text of decimal digits, also of the form ``54230701.0``; None for anything else."""
    match = _ID.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(match[1]) if match and 0 < int(match[1]) <= MAX_ID else None


@lru_cache(1 << 16)
def id_only_item(track_id: int) -> Item:
    """Return the item of a track of which only the id is known."""
    body = b'{"track_id":%d}' % track_id
    return Item(body, digest_of(body), track_id)

"""Turns the files of a call of `favsync backfill --from` into past snapshots.

Files of the same time are the pages of one snapshot, in the order of their names.

Invariants: every snapshot has a time that the user, a file or a name states. A snapshot that may have a page which was not read
is never complete. An item is in memory once, however many files hold it.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from etl.backfill.csv_format import read_csv
from etl.backfill.file_dates import AmbiguousDate, date_from_name
from etl.backfill.input_files import HIDDEN, OTHER_FORMAT, SQLITE, ZIP, InputFile, UnusableInput, iter_files, read_file
from etl.backfill.json_format import read_json
from etl.backfill.parsed_file import FileError, OwnOutputError, ParsedFile
from etl.errors import UsageError
from etl.model.records import Digest, Item, Review
from etl.replay.import_snapshots import PastSnapshot

CLOSE, VERY_CLOSE = timedelta(days=1), timedelta(hours=1)
NO_TIME = "has no time, neither in the file nor in its name: state it with --observed-at"
NOT_IMPORTED = (HIDDEN, OTHER_FORMAT)
LINES = (".jsonl", ".ndjson")


@dataclass(slots=True)
class ParsedInput:
    """What the paths hold. ``passed_over``: files that are not read, for their kind. ``notes``: how others were read."""

    snapshots: list[PastSnapshot] = field(default_factory=list)
    databases: list[Path] = field(default_factory=list)
    faults: list[FileError] = field(default_factory=list)
    passed_over: list[FileError] = field(default_factory=list)
    notes: list[FileError] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """The files of one time."""

    labels: list[str] = field(default_factory=list)
    items: dict[int | Digest, Item] = field(default_factory=dict)
    is_partial: bool = False
    doubts: list[FileError] = field(default_factory=list)
    counts: int = 0
    pages: int = 0
    pages_with_next: int = 0

    @property
    def label(self) -> str:
        return self.labels[0] if len(self.labels) == 1 else f"{self.labels[0]} and {len(self.labels) - 1} more"


def parse_file(content: bytes, name: str, label: str = "") -> ParsedFile:
    """Return what the file ``content`` holds.

    ``name`` decides between JSON and JSON lines where both fit. ``label``: what errors call the file.
    """
    found = ParsedFile(label)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # spreadsheets and PowerShell write it
        content = content.decode("utf-16", "replace").encode("utf-8", "surrogatepass")
    if content.startswith(codecs.BOM_UTF8):
        content = content.replace(codecs.BOM_UTF8, b"   ", 1)  # as long as before, so that byte offsets stay exact
    start = content.lstrip()[:1]
    try:
        if not start:
            found.fail("", "the file is empty")
        elif content.startswith((SQLITE, ZIP)):
            found.fail("", "it is a database or an archive within an archive: unpack it, and name it with --from")
        elif b"\x00" in content[:4096]:
            found.fail("", "it is neither JSON, JSON lines, CSV, a zip nor a favsync database")
        elif start in b"[{" or (start == b'"' and name.lower().endswith((".json", *LINES))):
            read_json(found, content, is_lines=start == b'"' or name.lower().endswith(LINES))
        else:
            read_csv(found, content)
    except OwnOutputError as error:
        found = ParsedFile(label)
        found.fail("", str(error))
    return found


def read_inputs(
    paths: Iterable[Path], *, observed_at: datetime | None, is_complete: bool, now: datetime
) -> ParsedInput:
    """Read everything that ``paths`` name.

    ``observed_at``: replaces the times of the files. ``is_complete``: the user says that each time's files are a whole list.
    ``now``: no snapshot can be later.

    Raises: UsageError, for a path where nothing is, or if whole lists look like pages of one list.
    """
    builder = _Builder(observed_at, is_complete)
    for path in paths:
        for source in iter_files(path):
            builder.add(source)
    return builder.finish(now)


class _Builder:
    """Collects the files of a call by their time, and what may be missing."""

    def __init__(self, observed_at: datetime | None, is_complete: bool) -> None:
        self.found = ParsedInput()
        self._observed_at, self._is_complete = observed_at, is_complete
        self._groups: dict[datetime, _Group] = {}
        self._items: dict[Digest, Item] = {}
        self._missing: list[tuple[FileError, datetime | None]] = []

    def add(self, source: InputFile | UnusableInput) -> None:
        """Read one file into the snapshots of its times."""
        if isinstance(source, InputFile) and source.database is not None:
            self.found.databases.append(source.database)
            return
        content = read_file(source) if isinstance(source, InputFile) else source
        if isinstance(content, UnusableInput):
            error = FileError(content.label, "", content.fault)
            (self.found.faults if content.is_problem else self.found.passed_over).append(error)
            self._miss(error, content.names)
            return
        parsed = parse_file(content, source.names[0].removesuffix(".gz"), source.label)
        self.found.faults += parsed.problems
        self.found.notes += parsed.notes
        if parsed.problems and not any(item.track_id is not None for item, _ in parsed.entries):
            self._miss(parsed.problems[0], source.names, parsed.observed_at)
            return
        try:
            default = self._observed_at or parsed.observed_at or date_from_name(source.names)
        except AmbiguousDate as error:
            ambiguous = FileError(source.label, "", f"{error}: state it with --observed-at")
            self.found.faults.append(ambiguous)
            self._missing.append((ambiguous, None))
            return
        self._group(parsed, default)

    def _miss(self, error: FileError, names: Iterable[str], stated: datetime | None = None) -> None:
        """Note a file that is not read, with its time if it has one: it may be a page of a list."""
        try:
            self._missing.append((error, self._observed_at or stated or date_from_name(names)))
        except AmbiguousDate:
            self._missing.append((error, None))

    def _group(self, parsed: ParsedFile, default: datetime | None) -> None:
        """Add each entry of a file to the snapshot of its time."""
        timeless = 0
        touched = {self._observed_at} if self._observed_at and parsed.empty_at else set(parsed.empty_at)
        if default is not None and not parsed.entries and not touched:
            touched = {default}
        for item, own in parsed.entries:
            instant = self._observed_at or own or default
            if instant is None:
                timeless += 1
                continue
            touched.add(instant)
            known = self._items.setdefault(item.digest, item)
            self._groups.setdefault(instant, _Group()).items.setdefault(known.key, known)
        if timeless or not touched:
            fault = FileError(parsed.label, "", f"{timeless:,} entries have no time" if touched else NO_TIME)
            self.found.faults.append(fault)
            self._missing.append((fault, None))
        # An entry that cannot be read may belong to any time of the file.
        is_partial = parsed.is_partial or (
            len(touched) > 1 and any(item.track_id is None for item, _ in parsed.entries)
        )
        for instant in touched:
            group = self._groups.setdefault(instant, _Group())
            group.labels.append(parsed.label)
            group.is_partial |= is_partial
            group.counts = max(group.counts, parsed.counts)
            group.pages += parsed.pages
            group.pages_with_next += parsed.pages_with_next
            group.doubts += parsed.doubts
        if parsed.is_partial:  # its own time may be in what is missing
            self._missing.append(((parsed.problems or parsed.doubts)[0], default))

    def finish(self, now: datetime) -> ParsedInput:
        """Make the snapshots.

        Raises: UsageError, if whole lists look like pages of one list.
        """
        for instant in [instant for instant in self._groups if instant > now]:
            group = self._groups.pop(instant)
            fault = FileError(group.label, "", f"its time is in the future: {instant:%Y-%m-%dT%H:%M:%SZ}")
            self.found.faults.append(fault)
            self._missing.append((fault, instant))
        if self._is_complete:
            self._doubt()
        self.found.snapshots = [self._snapshot(*each) for each in sorted(self._groups.items())]
        for earlier, later in pairwise(self.found.snapshots):
            _require_lists(earlier, later)
        return self.found

    def _doubt(self) -> None:
        """Make a part of each snapshot that may not be whole, and say why."""
        times = sorted(self._groups)
        for instant in {instant for _, instant in self._missing}:
            for time in _near(times, instant):
                self._groups[time].is_partial = True
        for error, instant in self._missing:
            if error.fault in NOT_IMPORTED and _near(times, instant):
                fault = f"{error.fault}, so it is not read; it may be a page, so the lists of its time count as parts"
                self.found.faults.append(FileError(error.file, "", fault))
        for group in self._groups.values():
            if group.counts > len(group.items):
                fault = (
                    f"it states {group.counts:,} favourites, the files hold {len(group.items):,}: it counts as a part"
                )
                group.doubts.append(FileError(group.label, "", fault))
            if group.pages and group.pages == group.pages_with_next:
                fault = "every page names a next one, so the last page is missing: it counts as a part"
                group.doubts.append(FileError(group.label, "", fault))
            group.is_partial |= bool(group.doubts)
        self.found.faults += dict.fromkeys(doubt for group in self._groups.values() for doubt in group.doubts)

    def _snapshot(self, instant: datetime, group: _Group) -> PastSnapshot:
        items = tuple(group.items.values())
        is_whole = self._is_complete and not group.is_partial
        return PastSnapshot(
            label=group.label,
            started_at=instant,
            observed_at=instant,
            items=items,
            proven=is_whole,
            proves_absence=is_whole and all(item.track_id is not None for item in items),
            decision=Review.APPROVED if is_whole and items else None,  # an empty file is often a mistake
        )


def _near(times: list[datetime], instant: datetime | None) -> list[datetime]:
    """Return the ``times`` within a day of ``instant``; all, where that is not known."""
    if instant is None:
        return times
    return times[bisect_right(times, instant - CLOSE) : bisect_left(times, instant + CLOSE)]


def _require_lists(earlier: PastSnapshot, later: PastSnapshot) -> None:
    """Check that two snapshots are two lists, not two pages of one list, each of which would remove the other.

    Raises: UsageError.
    """
    gap = later.observed_at - earlier.observed_at
    if gap >= CLOSE or not (earlier.proven or later.proven):
        return
    one, other = ({item.key for item in each.items} for each in (earlier, later))
    # A last page may hold no more than the track that it shares with the page before.
    size = max(len(one), len(other)) if gap < VERY_CLOSE else min(len(one), len(other))
    if one != other and 2 * len(one & other) <= size:
        times = f"{earlier.observed_at:%Y-%m-%dT%H:%M:%SZ} and {later.observed_at:%Y-%m-%dT%H:%M:%SZ}"
        raise UsageError(
            f"nothing was imported: {earlier.label} and {later.label} are less than a day apart ({times}) and share"
            f" {len(one & other):,} of {len(one | other):,} tracks: are they pages of one list?",
            remedy="import pages with one time, --observed-at TIME, in a call of their own; import lists in one call each",
        )

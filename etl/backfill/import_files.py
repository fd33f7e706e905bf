"""Imports the paths of `favsync backfill --from` as runs of an account.

Files of the same time are the pages of one snapshot, in the order of their names. Everything is read first and written in one
transaction: a call takes effect whole or not at all. It can be repeated, because an import recognises snapshots that exist.

Invariants: every snapshot has a time that the user, a file or a name states. A snapshot that may have a page which was not read
is never complete. An item is in memory once, however many files hold it.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Engine, select

from etl.backfill.csv_format import read_csv
from etl.backfill.file_dates import AmbiguousDate, date_from_name
from etl.backfill.input_files import FOREIGN, SKIPPED, SQLITE, ZIP, InputFile, iter_files, printable, read_file
from etl.backfill.json_format import read_json
from etl.backfill.other_database import snapshots_in
from etl.backfill.parsed_file import FileError, ParsedFile, RefusedFileError, StatedPage
from etl.db.engine import in_transaction, read_transaction
from etl.db.tables import rejects
from etl.errors import UsageError
from etl.load.accounts import Account
from etl.load.run_lock import run_lock
from etl.model.records import Digest, Item, RemovalThreshold, Review
from etl.replay.import_snapshots import ImportResult, ImportTerms, PastSnapshot, import_snapshots

SHOWN_FAULTS = 5
CLOSE, VERY_CLOSE = timedelta(days=1), timedelta(hours=1)
LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says of the files.

    ``observed_at``: replaces their times. ``is_complete``: the files of each time are a whole list.
    """

    observed_at: datetime | None = None
    is_complete: bool = False
    threshold: RemovalThreshold = field(default_factory=RemovalThreshold)
    keep_bodies: bool = True


@dataclass(slots=True)
class FileImportResult:
    """What the paths hold, and its runs once it is imported.

    ``faults``: problems. ``passed_over``: files that are not read, for their kind. ``notes``: how others were read.
    """

    snapshots: list[PastSnapshot] = field(default_factory=list)
    databases: list[Path] = field(default_factory=list)
    faults: list[FileError] = field(default_factory=list)
    passed_over: list[FileError] = field(default_factory=list)
    notes: list[FileError] = field(default_factory=list)
    imported: ImportResult = field(default_factory=ImportResult)


def import_paths(
    engine: Engine, account: Account, paths: Sequence[Path], options: ImportOptions, now: datetime
) -> FileImportResult:
    """Import what ``paths`` name as past snapshots of ``account``.

    Raises: UsageError, where a path does not exist, nothing can be imported, or it is unclear whether files are pages or lists;
    RunInProgress; DatabaseError.
    """
    found = read_paths(paths, options, now)
    labels = {past.label for past in found.snapshots}
    for path in found.databases:
        try:
            pasts, bodiless = snapshots_in(path, account)
        except UsageError as error:
            fault = f"{error.message} ({error.remedy})" if error.remedy else error.message
            found.faults.append(FileError(printable(path), "", fault))
            continue
        found.snapshots += [past for past in pasts if past.observed_at <= now]
        if bodiless:
            fault = f"{bodiless:,} items have neither body nor track id: they count as unknown tracks"
            found.faults.append(FileError(printable(path), "", fault))
    if not found.snapshots:
        raise _nothing_imported(found, paths)

    terms = ImportTerms(account.account_id, options.threshold, now, options.keep_bodies)
    with run_lock(engine, account.account_id, account.name):
        found.imported = in_transaction(engine, lambda connection: import_snapshots(connection, found.snapshots, terms))
    landed = {each.run_id: each.past.label for each in found.imported.landed if each.past.label in labels}
    query = select(rejects).where(rejects.c.run_id.in_(landed), rejects.c.track_id.is_not(None))
    with read_transaction(engine) as connection:
        for row in connection.execute(query.order_by(rejects.c.run_id, rejects.c.position)):
            fault = f"its facts are not read: {row.reason}"
            found.faults.append(FileError(landed[row.run_id], f"track {row.track_id}", fault))
    return found


def _nothing_imported(found: FileImportResult, paths: Sequence[Path]) -> UsageError:
    """Return an error that names the reasons, the most useful ones first: those with a place in a file."""
    faults = sorted(found.faults, key=lambda fault: not fault.place) or found.passed_over
    reasons = "; ".join(map(str, faults[:SHOWN_FAULTS])) or f"no file was found in {', '.join(map(printable, paths))}"
    more = f"; and {len(faults) - SHOWN_FAULTS:,} more" if len(faults) > SHOWN_FAULTS else ""
    return UsageError(
        f"nothing was imported: {reasons}{more}", remedy="`favsync backfill --help` names what can be imported"
    )


def read_paths(paths: Sequence[Path], options: ImportOptions, now: datetime) -> FileImportResult:
    """Read everything that ``paths`` name, apart from databases. ``now``: no snapshot can be later.

    Raises: UsageError, for a path where nothing is, or if whole lists look like pages of one list.
    """
    reading = _Reading(options)
    for path in paths:
        for source in iter_files(path):
            reading.add(source)
    return reading.finish(now)


def parse_file(content: bytes, name: str, label: str = "") -> ParsedFile:
    """Return what the file ``content`` holds. ``name`` decides between JSON and JSON lines; errors show ``label``."""
    found = ParsedFile(label)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # spreadsheets and PowerShell write it
        content = content.decode("utf-16", "replace").encode("utf-8", "surrogatepass")
    if content.startswith(codecs.BOM_UTF8):
        content = content.replace(codecs.BOM_UTF8, b"   ", 1)  # as long as before, so that byte offsets stay exact
    start, is_lines = content.lstrip()[:1], name.lower().endswith(LINES)
    try:
        if not start:
            found.fail("", "the file is empty")
        elif content.startswith((SQLITE, ZIP)):
            found.fail("", "it is a database or an archive within an archive: unpack it, and name it with --from")
        elif b"\x00" in content[:4096]:
            found.fail("", "it is neither JSON, JSON lines, CSV, a zip nor a favsync database")
        elif start in b"[{" or (start == b'"' and name.lower().endswith((".json", *LINES))):
            read_json(found, content, is_lines=is_lines or start == b'"')
        else:
            read_csv(found, content)
    except RefusedFileError as error:
        found = ParsedFile(label)
        found.fail("", str(error))
    return found


@dataclass(slots=True)
class _Group:
    """The files of one time, and the distinct items in them."""

    files: list[ParsedFile] = field(default_factory=list)
    items: dict[int | Digest, Item] = field(default_factory=dict)
    is_partial: bool = False

    @property
    def label(self) -> str:
        label = self.files[0].label
        return label if len(self.files) == 1 else f"{label} and {len(self.files) - 1} more"


class _Reading:
    """Collects the files of a call by their time, and what may be missing."""

    def __init__(self, options: ImportOptions) -> None:
        self._found, self._options = FileImportResult(), options
        self._groups: dict[datetime, _Group] = {}
        self._items: dict[Digest, Item] = {}
        self._missing: list[tuple[FileError, datetime | None]] = []

    def add(self, source: InputFile) -> None:
        """Read one file into the snapshots of its times."""
        found = self._found
        if source.database is not None:
            found.databases.append(source.database)
            return
        content, fault = read_file(source)
        parsed = ParsedFile(source.label)
        if fault:
            parsed.fail("", fault)
        else:
            parsed = parse_file(content, source.names[0].removesuffix(".gz"), source.label)
        is_usable = not parsed.problems or any(item.track_id is not None for item, _ in parsed.entries)
        default = None
        try:
            default = self._options.observed_at or parsed.observed_at or date_from_name(source.names)
        except AmbiguousDate as error:
            if is_usable:
                parsed.fail("", f"{error}: state it with --observed-at")
                is_usable = False
        (found.passed_over if fault in SKIPPED else found.faults).extend(parsed.problems)
        found.notes += parsed.notes
        if is_usable:
            self._group(parsed, default)
        elif fault != FOREIGN:  # it may be a page of a list
            self._missing.append((parsed.problems[0], default))

    def _group(self, parsed: ParsedFile, default: datetime | None) -> None:
        """Add each entry of a file to the snapshot of its time."""
        stated = self._options.observed_at
        times = [stated or own or default for _, own in parsed.entries]
        touched = {time for time in times if time} | {stated or time for time in parsed.empty_at}
        if default is not None and not parsed.entries and not touched:
            touched = {default}
        for (item, _), time in zip(parsed.entries, times, strict=True):
            if time is not None:
                known = self._items.setdefault(item.digest, item)
                self._groups.setdefault(time, _Group()).items.setdefault(known.key, known)
        if None in times or not touched:
            no_time = "has no time, neither in the file nor in its name: state it with --observed-at"
            self._miss(parsed.label, f"{times.count(None):,} entries have no time" if touched else no_time, None)
        # An entry that cannot be read may belong to any time of the file.
        is_unclear = len(touched) > 1 and any(item.track_id is None for item, _ in parsed.entries)
        for instant in touched:
            group = self._groups.setdefault(instant, _Group())
            group.files.append(parsed)
            group.is_partial |= parsed.is_partial or is_unclear
        if parsed.is_partial:  # its own time may be in what is missing
            self._missing.append((parsed.problems[0], default))

    def _miss(self, label: str, fault: str, instant: datetime | None) -> None:
        self._found.faults.append(FileError(label, "", fault))
        self._missing.append((self._found.faults[-1], instant))

    def finish(self, now: datetime) -> FileImportResult:
        """Make the snapshots.

        Raises: UsageError, if whole lists look like pages of one list.
        """
        for instant in [instant for instant in self._groups if instant > now]:
            label = self._groups.pop(instant).label
            self._miss(label, f"its time is in the future: {instant:%Y-%m-%dT%H:%M:%SZ}", instant)
        if self._options.is_complete:
            self._doubt()
        for instant, group in sorted(self._groups.items()):
            items = tuple(group.items.values())
            is_whole = self._options.is_complete and not group.is_partial
            proves_absence = is_whole and all(item.track_id is not None for item in items)
            decision = Review.APPROVED if is_whole and items else None  # an empty file is often a mistake
            past = PastSnapshot(group.label, instant, instant, items, is_whole, proves_absence, decision)
            self._found.snapshots.append(past)
        for earlier, later in pairwise(self._found.snapshots):
            _require_lists(earlier, later)
        return self._found

    def _doubt(self) -> None:
        """Make a part of each snapshot that may not be whole, and say why."""
        times, faults = sorted(self._groups), self._found.faults

        def near(instant: datetime | None) -> list[datetime]:
            if instant is None:
                return times
            return times[bisect_right(times, instant - CLOSE) : bisect_left(times, instant + CLOSE)]

        for instant in {instant for _, instant in self._missing}:
            for time in near(instant):
                self._groups[time].is_partial = True
        for error, instant in self._missing:
            if error.fault in SKIPPED and near(instant):
                fault = f"{error.fault}, so it is not read; it may be a page, so the lists of its time count as parts"
                faults.append(FileError(error.file, "", fault))
        for instant, group in self._groups.items():
            pages = [page for file in group.files for page in file.pages]
            if not self._options.observed_at:
                pages = [page for page in pages if page.observed_at in (None, instant)]
            doubts = _doubts(pages, len(group.items))
            group.is_partial |= bool(doubts)
            faults += [FileError(group.label, "", f"{doubt}: it counts as a part") for doubt in doubts]


def _doubts(pages: Sequence[StatedPage], items: int) -> list[str]:
    """Return why these pages may not be one whole list of so many ``items``."""
    if not pages:
        return []
    counts, count = max(page.counts for page in pages), max(page.pages for page in pages)
    names = sorted({page.name for page in pages if page.name})
    reasons = {
        f"it states {counts:,} favourites, the files hold {items:,}": counts > items,
        f"it states {count:,} pages, the files hold {len(pages):,}": count > len(pages),
        "every page names a next one, so the last page is missing": all(page.has_next for page in pages),
        "every page names one before it, so the first page is missing": all(page.has_previous for page in pages),
        f"it holds several lists: {', '.join(names[:5])}": len(names) > 1,
    }
    return [reason for reason, applies in reasons.items() if applies]


def _require_lists(earlier: PastSnapshot, later: PastSnapshot) -> None:
    """Check that two snapshots are two lists, not two pages of one list, each of which would remove the other.

    Raises: UsageError.
    """
    gap = later.observed_at - earlier.observed_at
    is_one_file = earlier.label == later.label
    if (gap >= CLOSE and not is_one_file) or not (earlier.proven or later.proven):
        return
    one, other = ({item.key for item in each.items} for each in (earlier, later))
    # A last page may hold no more than the track that it shares with the page before.
    size = max(len(one), len(other)) if gap < VERY_CLOSE else min(len(one), len(other))
    if gap >= CLOSE:  # each row of a file may state when that row was read
        size = 0 if one and other else -1
    if one != other and 2 * len(one & other) <= size:
        times = f"{earlier.observed_at:%Y-%m-%dT%H:%M:%SZ} and {later.observed_at:%Y-%m-%dT%H:%M:%SZ}"
        raise UsageError(
            f"nothing was imported: {earlier.label} and {later.label} are close in time ({times}) and share"
            f" {len(one & other):,} of {len(one | other):,} tracks: are they pages of one list?",
            remedy="import pages with one time, --observed-at TIME, in a call of their own; import lists in one call each",
        )

"""From files to lists with a time: the past observations that a call of `favsync backfill --from` brings.

Files of one path that tell the same time are the pages of one list, in the order of their names.

Invariants: no list without a time that the user, the file or its name tells; a list of which something may be missing, a page
that cannot be used too, is never a whole one; an item is in memory once, however many files hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from etl.backfill.file_dates import AmbiguousDate, date_from_name
from etl.backfill.input_files import InputFile, UnusableInput, iter_files, read_file
from etl.backfill.json_format import parse_file
from etl.backfill.parsed_file import ParsedFile
from etl.model.records import Digest, Item, Review
from etl.replay.import_snapshots import PastSnapshot

NEAR = timedelta(days=1)
NO_TIME = "tells no time, neither within nor by its name: give it with --observed-at"


@dataclass(frozen=True, slots=True)
class FileError:
    """A problem with a file: the file, the place in it, and what is wrong."""

    file: str
    place: str
    fault: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.file}: {self.place + ': ' if self.place else ''}{self.fault}"


@dataclass(slots=True)
class ParsedInput:
    """What the paths hold: lists, databases to be read, problems, and files passed over."""

    lists: list[PastSnapshot] = field(default_factory=list)
    databases: list[Path] = field(default_factory=list)
    faults: list[FileError] = field(default_factory=list)
    passed_over: list[FileError] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    labels: list[str] = field(default_factory=list)
    items: dict[int | Digest, Item] = field(default_factory=dict)
    is_cut: bool = False
    is_dated_within: bool = False
    counts: int = 0

    def add(self, label: str, item: Item) -> None:
        """Take an item, unless the page before ended with it."""
        if self.labels[-1:] != [label]:  # a file's entries come one after the other
            self.labels.append(label)
        self.items.setdefault(item.key, item)


@dataclass(slots=True)
class _Groups:
    """The lists of one path by their time, and the times of its files that could not be used (None: they tell none)."""

    by_time: dict[datetime, _Group] = field(default_factory=dict)
    lost: set[datetime | None] = field(default_factory=set)

    def lose(self, told: datetime | None, names: Iterable[str]) -> None:
        """Note that a file is missing, of the time ``told``, or of the one that its names tell."""
        try:
            self.lost.add(told or date_from_name(names))
        except AmbiguousDate:
            self.lost.add(None)

    def cut(self) -> None:
        """Cut the lists that a missing file may be a page of; one that is dated within its files may have pages of any name."""
        for told in self.lost:
            for instant, group in self.by_time.items():
                is_near = told is None or abs(instant - told) <= NEAR
                group.is_cut |= instant == told or (group.is_dated_within and is_near)


def read_inputs(
    paths: Iterable[Path], *, observed_at: datetime | None, is_complete: bool, now: datetime
) -> ParsedInput:
    """Read everything that ``paths`` name.

    ``observed_at``: goes over what files tell. ``is_complete``: the user says that each time's files are a whole list.
    ``now``: no observation can be later.

    Raises: UsageError, for a path where nothing is.
    """
    found = ParsedInput()
    sources = [list(iter_files(path)) for path in paths]
    known: dict[Digest, Item] = {}
    for each in sources:
        groups = _Groups()
        for source in each:
            _read(source, found, groups, known, observed_at)
        groups.cut()
        found.lists += _lists(groups.by_time, found, is_complete=is_complete, now=now)
    found.lists.sort(key=lambda past: past.observed_at)
    return found


def _read(
    source: InputFile | UnusableInput,
    found: ParsedInput,
    groups: _Groups,
    known: dict[Digest, Item],
    observed_at: datetime | None,
) -> None:
    if isinstance(source, UnusableInput):
        place = found.faults if source.is_problem else found.passed_over
        place.append(FileError(source.label, "", source.fault))
        if source.is_problem:
            groups.lose(observed_at, source.names)
        return
    if source.database is not None:
        found.databases.append(source.database)
        return
    content = read_file(source)
    if isinstance(content, UnusableInput):
        found.faults.append(FileError(content.label, "", content.fault))
        groups.lose(observed_at, content.names)
        return
    parse = parse_file(content, source.names[0].removesuffix(".gz"))
    found.faults += [FileError(source.label, problem.place, problem.fault) for problem in parse.problems]
    if parse.problems and not any(item.track_id is not None for item, _ in parse.entries):
        groups.lose(observed_at or parse.observed_at, source.names)
        if not parse.problems[-1].place:
            return
        found.faults.append(FileError(source.label, "", "no track was found in it, so that nothing of it is imported"))
        return
    _group(source, parse, found, groups, known, observed_at)


def _group(
    source: InputFile,
    parse: ParsedFile,
    found: ParsedInput,
    groups: _Groups,
    known: dict[Digest, Item],
    observed_at: datetime | None,
) -> None:
    """Give each entry to the list of its time."""
    try:
        default = observed_at or parse.observed_at or date_from_name(source.names)
    except AmbiguousDate as error:
        found.faults.append(FileError(source.label, "", f"{error}: give it with --observed-at"))
        groups.lost.add(None)
        return
    timeless = 0
    touched: set[datetime] = set() if default is None or parse.entries else {default}
    for item, own in parse.entries:
        instant = observed_at or own or default
        if instant is None:
            timeless += 1
            continue
        touched.add(instant)
        group = groups.by_time.setdefault(instant, _Group())
        group.add(source.label, known.setdefault(item.digest, item))
        group.is_dated_within |= bool(own or parse.observed_at)
    if timeless or not (touched or default):
        found.faults.append(
            FileError(source.label, "", NO_TIME if not touched else f"{timeless:,} entries have no time")
        )
        groups.lost.add(None)
    for instant in touched:
        group = groups.by_time.setdefault(instant, _Group(labels=[source.label]))
        group.is_cut |= parse.is_cut
        group.counts = max(group.counts, parse.counts)


def _lists(
    groups: dict[datetime, _Group], found: ParsedInput, *, is_complete: bool, now: datetime
) -> Iterator[PastSnapshot]:
    for instant, group in groups.items():
        label = group.labels[0] if len(group.labels) == 1 else f"{group.labels[0]} and {len(group.labels) - 1} more"
        if instant > now:
            found.faults.append(FileError(label, "", f"tells a time that is yet to come: {instant:%Y-%m-%dT%H:%M:%SZ}"))
            continue
        if is_complete and not group.is_cut and group.counts > len(group.items):
            fault = (
                f"the service counts {group.counts:,} favourites, the files hold {len(group.items):,}: taken as a part"
            )
            found.faults.append(FileError(label, "", fault))
            group.is_cut = True
        is_whole = is_complete and not group.is_cut
        items = tuple(group.items.values())
        yield PastSnapshot(
            label=label,
            started_at=instant,
            observed_at=instant,
            items=items,
            proven=is_whole,
            proves_absence=is_whole and all(item.track_id is not None for item in items),
            decision=Review.APPROVED if is_whole and items else None,  # an empty file is too easily made by mistake
        )

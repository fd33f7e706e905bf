"""CSV exports: a column of track ids, or a bare list of ids.

Only the id, and ``observed_at`` if there is such a column, are read. A row counts only if it has as many cells as the header.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from etl.backfill.parsed_file import (
    CUT,
    TIMES,
    FileError,
    ParsedFile,
    id_only_item,
    refuse_own_output,
    require_size,
    time_from,
    track_id_from,
)

DELIMITERS = ",;\t|"
MAX_CELL = 1 << 30
MAX_ROW_LINES = 200
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?\s*', re.IGNORECASE)


class _Columns(NamedTuple):
    """Where the columns are. ``names``: all names, empty where the file has no header."""

    track_id: int
    observed_at: int | None
    width: int
    names: tuple[str, ...]


def read_csv(found: ParsedFile, content: bytes) -> None:
    """Read UTF-8 CSV into ``found``.

    Raises: RefusedFileError.
    """
    require_size(content.count(b"\n") + content.count(b"\r"), "lines")
    lines = [line.decode("utf-8", "surrogateescape") for line in content.splitlines(keepends=True)]
    start = next(number for number, line in enumerate(lines) if line.strip(" \t\r\n"))
    csv.field_size_limit(MAX_CELL)  # for the whole process
    if match := _SEPARATOR_LINE.fullmatch(lines[start]):
        start, delimiter = start + 1, match[1]
    else:
        # csv.Sniffer fails on one column, and guesses; the header is evidence.
        rows = {each: next(csv.reader([lines[start]], delimiter=each)) for each in DELIMITERS}
        delimiter = max(DELIMITERS, key=lambda each: (bool(_id_columns(_names(rows[each]))), len(rows[each])))
    _read_rows(found, lines, start, delimiter)


def _read_rows(found: ParsedFile, lines: Sequence[str], start: int, delimiter: str) -> None:
    columns: _Columns | None = None
    for first, last, row in _rows(lines, start, delimiter):
        place, is_open = f"line {first + 1}", _is_open(lines, last)
        if columns is None or (columns.names and sorted(columns.names) == sorted(_names(row))):
            columns = _header(found, row, place)  # also that of a file that was put behind another
            if columns is None:
                return
            if columns.names and is_open:
                found.fail(place, "the file ends in its header, so it may be cut")
            if columns.names:
                continue
        if fault := _row_fault(found, columns, row, is_open=is_open):
            body = "".join(lines[first:last]).rstrip("\r\n").encode("utf-8", "surrogateescape")
            found.add_invalid(body, place, fault, is_partial=is_open)
            continue
        if _may_hold_rows(row, delimiter):
            found.fail(place, f"a quoted cell goes on to line {last} and holds what look like rows")
        instant = None if columns.observed_at is None else time_from(row[columns.observed_at])
        found.add(id_only_item(track_id_from(row[columns.track_id]) or 0), instant)
    if columns is None:
        found.fail("", "the file has no rows")
    elif columns.width > 1 and (not columns.names or columns.names[columns.track_id] == "id"):
        _refuse_row_numbers(found)


def _may_hold_rows(row: Sequence[str], delimiter: str) -> bool:
    """True if a quote that is out of place may have swallowed rows: a cell of several lines has a track id in them."""
    inner = (cell.replace(delimiter, "\n").splitlines() for cell in row if len(cell.splitlines()) > 1)
    return any(track_id_from(part.strip().strip('"')) for parts in inner for part in parts)


def _refuse_row_numbers(found: ParsedFile) -> None:
    """Read nothing where the ids of a column that is not named after the track are 1, 2, 3 and so on."""
    ids = [item.track_id for item, _ in found.entries if item.track_id is not None]
    if ids and ids == list(range(1, len(ids) + 1)):
        found.entries.clear()
        found.notes.clear()
        found.fail("line 1", "the column that could be the track id counts the rows, and there is no column track_id")


def _rows(lines: Sequence[str], start: int, delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each row with its first line and the line after it; no cells for a line whose quotes are wrong.

    After such a line, reading goes on with the next one: a quote that is never closed must not swallow all rows after it.
    """
    while start < len(lines):
        rows = csv.reader(lines[start : start + MAX_ROW_LINES], delimiter=delimiter, strict=True)
        try:
            row, end = next(rows), start + rows.line_num
        except csv.Error:
            row, end = [], start + 1
            yield start, end, row
        if any(cell.strip() for cell in row) or (len(row) > 1 and _is_open(lines, end)):
            yield start, end, row
        start = end


def _is_open(lines: Sequence[str], last: int) -> bool:
    """True if the file ends before the line ``last``, without a line end."""
    return last == len(lines) and not lines[-1].endswith(("\n", "\r"))


def _row_fault(found: ParsedFile, columns: _Columns, row: Sequence[str], *, is_open: bool) -> str:
    """Return why a row cannot be read, empty if it can. ``is_open``: the file ends in it, without a line end."""
    if not row:
        return "a quote is out of place, so the row is not read"
    if len(row) != columns.width:
        return f"this row and the first one differ in their number of cells: {len(row):,} and {columns.width:,}"
    track_id = track_id_from(row[columns.track_id])
    if track_id is None:
        return f"{row[columns.track_id].strip()[:40]!r} is not a track id"
    if is_open and columns.track_id == columns.width - 1 and found.may_be_cut(track_id):
        return CUT
    stated = "" if columns.observed_at is None else row[columns.observed_at].strip()
    return f"{stated[:40]!r} is not a possible time" if stated and time_from(stated) is None else ""


def _header(found: ParsedFile, row: Sequence[str], place: str) -> _Columns | None:
    """Find the columns in the first row, which may be one of ids; None where there are none, and the file says why."""
    names = _names(row)
    refuse_own_output(names)
    ids = _id_columns(names)
    if len(ids) == 1:
        if any(map(track_id_from, row)):
            found.fail(place, "the header holds a number, so a row may have become a part of it")
        if names[ids[0]] == "id":
            note = f"the column {row[ids[0]].strip()[:40]!r} is read as the track id"
            found.notes.append(FileError(found.label, place, note))
        observed_at = next((names.index(name) for name in TIMES if name in names), None)
        return _Columns(ids[0], observed_at, len(row), names)
    if not ids and [track_id_from(cell) is not None for cell in row] == [True] + [False] * (len(row) - 1):
        if len(row) > 1:
            found.fail(place, "there is no header: the first column is read as the track id, and the file as a part")
        return _Columns(0, None, len(row), ())
    shown = ", ".join(cell.strip()[:40] or "(empty)" for cell in row[:20])
    shown = shown.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    wanted = "two columns may be the track id" if len(ids) > 1 else "there is no column track_id"
    found.fail(place, f"{wanted}; the columns are: {shown}")
    return None


def _names(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(re.sub(r"[\s_-]+", "_", cell.strip().strip("\"'").strip().lower()) for cell in row)


def _id_columns(names: Sequence[str]) -> list[int]:
    """Return where the track id is. A column ``id`` counts only if no other column may be the id of a track."""
    named = [at for at, name in enumerate(names) if name in ("track_id", "trackid")]
    others = [name for name in names if name != "id" and (name.endswith(("id", "uri")) or "track" in name.split("_"))]
    return named or [at for at, name in enumerate(names) if name == "id" and not others]

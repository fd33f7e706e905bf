"""CSV with a column of track ids, or a bare list of ids."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from etl.backfill.parsed_file import TIMES, ParsedFile, bytes_of, id_only_item, keep_invalid, time_from, track_id_from

ID_COLUMNS = ("track_id", "trackid", "id")


def read_csv(found: ParsedFile, text: str) -> None:
    """Read CSV with a column ``track_id``, or a bare list of ids; of the other columns only ``observed_at`` is used."""
    lines = list(io.StringIO(text, newline=""))
    columns: _CsvColumns | None = None
    is_open = not lines[-1].endswith(("\n", "\r"))
    for number, row in _rows(found, lines, _delimiter(next(line for line in lines if line.strip()))):
        if not any(cell.strip() for cell in row):
            continue
        if columns is None:
            columns = _columns(row)
            if columns is None:
                found.fail(f"line {number}", "there is no column track_id")
                return
            if columns.are_named:
                width = len(row)
                continue
            width = 1
            if len(row) > 1:
                may_lack = all(track_id_from(bytes_of(cell)) for cell in row)
                found.fail(f"line {number}", "there is no header, so the first column alone is read", is_cut=may_lack)
        if is_open and number == len(lines) and len(row) < width:
            found.fail(f"line {number}", "the file breaks off in this row")
            if columns.track_id >= len(row) - 1:
                continue  # the id may be cut, too: another track's
        _read_row(found, row, columns, f"line {number}")


def _rows(found: ParsedFile, lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its last line.

    A quote that is out of place, or never closed, would swallow the rows after it: such a line is read by itself, as it stands.
    """
    begun = 0
    while begun < len(lines):
        rows = csv.reader((lines[at] for at in range(begun, len(lines))), delimiter=delimiter, strict=True)
        last = 0
        try:
            for row in rows:
                last = rows.line_num
                yield begun + last, row
            return
        except csv.Error:
            begun += last + 1
            is_cut = begun == len(lines) and not lines[-1].endswith(("\n", "\r"))
            found.fail(f"line {begun}", "a quote is out of place, so the line is read as it stands", is_cut=is_cut)
            yield begun, lines[begun - 1].rstrip("\r\n").split(delimiter)


@dataclass(frozen=True, slots=True)
class _CsvColumns:
    track_id: int
    observed_at: int | None
    are_named: bool


def _columns(row: list[str]) -> _CsvColumns | None:
    """Find the columns in the first row, which may be one of ids already."""
    names = [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in row]
    found = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    if found is not None:
        return _CsvColumns(found, next((names.index(name) for name in TIMES if name in names), None), are_named=True)
    return None if track_id_from(bytes_of(row[0])) is None else _CsvColumns(0, None, are_named=False)


def _read_row(found: ParsedFile, row: list[str], columns: _CsvColumns, place: str) -> None:
    shown = _cell(row, columns.track_id)
    track_id = track_id_from(bytes_of(shown))
    if track_id is None:
        keep_invalid(found, bytes_of(",".join(row)), place, f"{shown[:40]!r} is not a track id")
        return
    told = _cell(row, columns.observed_at)
    instant = time_from(told)
    if told and instant is None:
        found.fail(place, f"{told[:40]!r} is not a time, so that the row has the time of the file", is_cut=False)
    found.entries.append((id_only_item(track_id), instant))


def _cell(row: list[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""


def _delimiter(line: str) -> str:
    return max(",;\t|", key=line.count)

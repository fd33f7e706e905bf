"""CSV with a column of track ids, or a bare list of ids. Not here: JSON (`etl.backfill.formats`)."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from etl.backfill.parsing import TIMES, Parsed, bare, bytes_of, keep_unreadable, time_from, track_id_from

ID_COLUMNS = ("track_id", "trackid", "id")


def read_csv(found: Parsed, text: str) -> None:
    """Read CSV with a column ``track_id``, or a bare list of ids; of the other columns only ``observed_at`` is used."""
    lines = text.splitlines(keepends=True)
    rows = csv.reader(lines, delimiter=_delimiter(next(line for line in lines if line.strip())))
    columns: _Columns | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            found.fail(f"line {rows.line_num}", f"is not CSV: {error}")
            return
        if not any(cell.strip() for cell in row):
            continue
        if columns is None:
            columns = _columns(row)
            if columns is None:
                found.fail(f"line {rows.line_num}", "there is no column track_id")
                return
            if columns.are_named:
                continue
        _read_row(found, row, columns, f"line {rows.line_num}")


@dataclass(frozen=True, slots=True)
class _Columns:
    track_id: int
    observed_at: int | None
    are_named: bool


def _columns(row: list[str]) -> _Columns | None:
    """Find the columns in the first row, which may be one of ids already."""
    names = [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in row]
    found = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    if found is not None:
        return _Columns(found, next((names.index(name) for name in TIMES if name in names), None), are_named=True)
    return None if track_id_from(bytes_of(row[0])) is None else _Columns(0, None, are_named=False)


def _read_row(found: Parsed, row: list[str], columns: _Columns, place: str) -> None:
    shown = _cell(row, columns.track_id)
    track_id = track_id_from(bytes_of(shown))
    if track_id is None:
        keep_unreadable(found, bytes_of(",".join(row)), place, f"{shown[:40]!r} is not a track id")
        return
    told = _cell(row, columns.observed_at)
    instant = time_from(told)
    if told and instant is None:
        found.fail(place, f"{told[:40]!r} is not a time, so that the row has the time of the file", is_cut=False)
    found.entries.append((bare(track_id), instant))


def _cell(row: list[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""


def _delimiter(line: str) -> str:
    return max(",;\t|", key=line.count)

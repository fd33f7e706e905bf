r"""Rows as people and programs want to read them: table, CSV, JSON (lines), Markdown.

Invariants: CSV and JSON are written as the rows come, so a long result needs no memory; what a table and Markdown show
can neither drive a terminal nor be taken for markup; what a program reads is the value itself, but for what would not
be valid and, in CSV, for text that a spreadsheet would run (OWASP, "CSV injection"). JSON writes the characters that
drive terminals as ``\u`` escapes, which changes no value.

The layout is our own: rich takes 1 ms to lay out a row, or 10 s for a library of 10,000. Its measure of text is used.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TextIO

from etl.errors import UsageError
from etl.logs import visible

Row = Sequence[object]
Rows = Iterable[Row]
Cells = Sequence[Sequence[str]]

NARROWEST: Final = 10  # a column that has to shrink below this is not worth reading: records are shown instead
ALIGNED: Final = 120  # a longer cell runs over instead of widening its column for every row
_GAP: Final = 2
_NUMBERS: Final = (int, float, Decimal)
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NOT_IN_CSV = re.compile("[\x00\ud800-\udfff]")
_ESCAPED_IN_JSON = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
_MARKUP = re.compile(r"([\\`*_\[\]|~$])")


def render(
    format: str,
    columns: Sequence[str],
    rows: Rows,
    stream: TextIO,
    *,
    width: int | None = None,
    guards_formulas: bool = True,
) -> None:
    """Write ``rows`` to ``stream`` in one of `FORMATS`.

    ``width``: of the terminal in columns; by default the stream's own, and no limit where it is no terminal.
    ``guards_formulas``: put an apostrophe before text in CSV that a spreadsheet would take for a formula.

    Raises:
        UsageError: there is no such format.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}", remedy=f"the formats are {', '.join(FORMATS)}")
    if format == "csv":
        _write_csv(columns, rows, stream, guards_formulas=guards_formulas)
    elif format == "table":
        _write_table(columns, rows, stream, width or _width(stream))
    else:
        _WRITERS[format](columns, rows, stream)


def json_text(value: object, indent: int | None = None) -> str:
    """Return ``value`` as JSON: instants end in Z, non-ASCII text as it is, lone surrogates and controls escaped."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return _ESCAPED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: object) -> Any:
    """Return ``value`` as JSON has it, the same for both databases."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _plain_scalar(value)


def _plain_scalar(value: object) -> int | float | str | None:
    match value:
        case Decimal() | float() if not math.isfinite(value):
            plain: int | float | str | None = None
        case Decimal():
            plain = int(value) if value == value.to_integral_value() else float(value)
        case float():
            plain = value
        case bytes():
            plain = value.decode("utf-8", "backslashreplace")
        case datetime():
            plain = _instant(value).isoformat(timespec="microseconds") + "Z"
        case _:
            plain = str(value)
    return plain


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return value.astimezone(UTC).replace(tzinfo=None)


def _write_json(columns: Sequence[str], rows: Rows, stream: TextIO) -> None:
    opening = "[\n  "
    for row in rows:
        stream.write(opening + json_text(dict(zip(columns, row, strict=True))))
        opening = ",\n  "
    stream.write("[]\n" if opening.startswith("[") else "\n]\n")


def _write_json_lines(columns: Sequence[str], rows: Rows, stream: TextIO) -> None:
    for row in rows:
        stream.write(json_text(dict(zip(columns, row, strict=True))) + "\n")


def _write_csv(columns: Sequence[str], rows: Rows, stream: TextIO, *, guards_formulas: bool) -> None:
    """Write RFC 4180. A person who lets CSV run over a terminal is shielded as by a table; a file gets the data."""
    shown: Callable[[str], str] = visible if stream.isatty() else _valid_in_csv
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([shown(_csv_cell(value, guards_formulas=guards_formulas)) for value in row])


def _csv_cell(value: object, *, guards_formulas: bool) -> str:
    text = _text(value)
    is_formula = guards_formulas and isinstance(value, str | bytes) and _FORMULA.match(text)
    return f"'{text}" if is_formula else text


def _valid_in_csv(text: str) -> str:
    return _NOT_IN_CSV.sub(lambda found: visible(found[0]), text)


def _text(value: object) -> str:
    """Return ``value`` as text for a program: nothing for None."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return json_text(plain) if isinstance(plain, dict | list) else str(plain)


def _shown(value: object) -> str:
    """Return ``value`` for a person, on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{_instant(value):%Y-%m-%d %H:%M:%S}Z"
    return visible(value if isinstance(value, str) else _text(value))


def _write_markdown(columns: Sequence[str], rows: Rows, stream: TextIO) -> None:
    held = list(rows)
    marks = ["---:" if right else "---" for right in _rightward(columns, held)]
    for cells in ([escape_markup(name) for name in columns], marks):
        stream.write(f"| {' | '.join(cells)} |\n")
    for row in held:
        stream.write(f"| {' | '.join(escape_markup(_shown(value)) for value in row)} |\n")


def escape_markup(text: str) -> str:
    """Take the meaning from what Markdown, or the HTML within it, would act upon."""
    return _MARKUP.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _width(stream: TextIO) -> int | None:
    try:
        return (os.get_terminal_size(stream.fileno()).columns or None) if stream.isatty() else None
    except (OSError, ValueError):
        return None


def _write_table(columns: Sequence[str], rows: Rows, stream: TextIO, width: int | None) -> None:
    held = [tuple(row) for row in rows]
    rightward = _rightward(columns, held)
    if width is None:
        cells = [[_shown(value) for value in row] for row in held]
        _write_lines(columns, cells, _widths(columns, cells, ALIGNED), rightward, stream)
        return
    cells = [[_shown(value)[: 4 * width] for value in row] for row in held]
    whole = _columns_of(columns, held, lambda value: isinstance(value, (*_NUMBERS, date)))
    widths = _fitted(columns, cells, whole, width)
    if widths is None:
        _write_records(columns, cells, stream, width)
    else:
        _write_lines(columns, [["─" * each for each in widths], *cells], widths, rightward, stream, is_cut=True)


def _rightward(columns: Sequence[str], rows: Sequence[Row]) -> list[bool]:
    """Say of each column whether it holds numbers and nothing else."""
    return _columns_of(columns, rows, lambda value: isinstance(value, _NUMBERS) and not isinstance(value, bool))


def _columns_of(columns: Sequence[str], rows: Sequence[Row], fits: Callable[[object], bool]) -> list[bool]:
    values = ([row[place] for row in rows if row[place] is not None] for place in range(len(columns)))
    return [bool(column) and all(map(fits, column)) for column in values]


def _widths(columns: Sequence[str], cells: Cells, limit: int) -> list[int]:
    """Return how wide each column would like to be, in terminal cells."""
    return [max([_cells(name), *(min(_cells(row[at]), limit) for row in cells)]) for at, name in enumerate(columns)]


def _fitted(columns: Sequence[str], cells: Cells, whole: Sequence[bool], width: int) -> list[int] | None:
    """Return widths that fit, the widest columns giving way first, and ``whole`` ones only in their heading.

    None where that would leave too little of some column.
    """
    wanted = _widths(columns, cells, width)
    inner = _widths([""] * len(columns), cells, width)
    least = [
        max(value if is_whole else 0, min(NARROWEST, want))
        for value, is_whole, want in zip(inner, whole, wanted, strict=True)
    ]
    room = width - _GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    cap = max((cap for cap in range(width + 1) if sum(_capped(least, wanted, cap)) <= room), default=0)
    widths = _capped(least, wanted, cap)
    for at, each in enumerate(widths):  # what the common cap leaves over goes to the first that can use it
        widths[at] += 1 if each < wanted[at] and sum(widths) < room else 0
    return widths


def _capped(least: Sequence[int], wanted: Sequence[int], cap: int) -> list[int]:
    return [max(low, min(high, cap)) for low, high in zip(least, wanted, strict=True)]


def _write_lines(
    columns: Sequence[str],
    cells: Cells,
    widths: Sequence[int],
    rightward: Sequence[bool],
    stream: TextIO,
    *,
    is_cut: bool = False,
) -> None:
    for row in (columns, *cells):
        parts = (_cut(text, width) if is_cut else text for text, width in zip(row, widths, strict=True))
        padded = (_padded(text, width, right) for text, width, right in zip(parts, widths, rightward, strict=True))
        stream.write((" " * _GAP).join(padded).rstrip() + "\n")


def _write_records(columns: Sequence[str], cells: Cells, stream: TextIO, width: int) -> None:
    """Write each row as lines of name and value, for a terminal too narrow for columns."""
    label = min(max(map(_cells, columns)), width // 2)
    for number, row in enumerate(cells):
        stream.write("\n" if number else "")
        for name, text in zip(columns, row, strict=True):
            line = _padded(_cut(name, label), label, right=False) + " " * _GAP + _cut(text, width - label - _GAP)
            stream.write(line.rstrip() + "\n")


def _cells(text: str) -> int:
    """Return how many cells of a terminal ``text`` takes: two for East Asia and emoji, none for what combines."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text[: 4 * ALIGNED])


def _cut(text: str, width: int) -> str:
    if _cells(text) <= width:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + "…" if width else ""


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - _cells(text))
    return blanks + text if right else text + blanks


_WRITERS: Final[dict[str, Callable[[Sequence[str], Rows, TextIO], None]]] = {
    "json": _write_json,
    "jsonl": _write_json_lines,
    "markdown": _write_markdown,
}
FORMATS: Final = ("table", "csv", *_WRITERS)

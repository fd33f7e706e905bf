r"""Writes rows as a table, CSV, JSON, JSON lines or Markdown.

CSV and JSON are written row by row, so a long result needs no memory. Tables and Markdown escape control characters and
markup. Programs get the values unchanged, except for invalid characters and, in CSV, text that a spreadsheet would run as
a formula (OWASP, "CSV injection"). JSON writes control characters as ``\u`` escapes, which changes no value.

rich draws tables on a terminal. It takes 0.5 ms a row, so a table that goes to a file or a pipe is aligned here.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, TextIO

from etl.errors import UsageError
from etl.logs import visible

Row = Sequence[object]
Rows = Iterable[Row]
Cells = Sequence[Sequence[str]]

NARROWEST: Final = 12  # columns narrower than this are hard to read: names and values are shown instead
READABLE: Final = 14  # an ordinary terminal cuts text to this width before it leaves out columns
ORDINARY: Final = 60  # narrower terminals show everything, cut or one value below the other
ALIGNED: Final = 120  # a longer cell overflows instead of widening its column for every row
TERMINAL_ROWS: Final = 200  # as many rows of a table does a terminal show by default
_NUMBERS: Final = (int, float, Decimal)
_STYLES: Final = {
    **dict.fromkeys(("stale", "token dead", "failed", "dead"), "red"),
    **dict.fromkeys(
        ("held", "partial", "removals blocked", "never synced", "missing", "expiring", "suspect"), "yellow"
    ),
}
"""Colours of cells with these words, where a terminal has colours."""
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
    guards_formulas: bool = True,
) -> int:
    """Write ``rows`` to ``stream`` in one of `FORMATS`, and return their number.

    ``guards_formulas``: put an apostrophe before text in CSV that a spreadsheet would take for a formula.

    Raises:
        UsageError: there is no such format.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}", remedy=f"the formats are {', '.join(FORMATS)}")
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    if format == "csv":
        _write_csv(columns, counted(), stream, guards_formulas=guards_formulas)
    elif format in ("table", "wide"):
        write_table(columns, counted(), stream, _width(stream) if format == "table" else None)
    else:
        _WRITERS[format](columns, counted(), stream)
    return count


def json_text(value: object, indent: int | None = None) -> str:
    """Return ``value`` as JSON: instants end in Z, non-ASCII text as it is, lone surrogates and controls escaped."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return _ESCAPED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: object) -> Any:
    """Return ``value`` in JSON's types, the same for both databases."""
    match value:
        case None | bool() | int() | str():
            plain: Any = value
        case Mapping():
            plain = {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            plain = [_plain(each) for each in value]
        case Decimal() | float() if not math.isfinite(value):
            plain = None
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
    """Write RFC 4180. A terminal gets control characters escaped, a file gets the data."""
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
    marks = ["---:" if right else "---" for right in _columns_of(_NUMBERS, columns, held)]
    for cells in ([escape_markup(name) for name in columns], marks):
        stream.write(f"| {' | '.join(cells)} |\n")
    for row in held:
        stream.write(f"| {' | '.join(escape_markup(_shown(value)) for value in row)} |\n")


def escape_markup(text: str) -> str:
    """Escape the characters that are markup in Markdown or HTML."""
    return _MARKUP.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _width(stream: TextIO) -> int | None:
    try:
        return (os.get_terminal_size(stream.fileno()).columns or None) if stream.isatty() else None
    except (OSError, ValueError):
        return None


def write_table(columns: Sequence[str], rows: Rows, stream: TextIO, width: int | None) -> None:
    """Draw the rows for a terminal of this ``width``, or aligned and uncut where the width is None."""
    held = [tuple(row) for row in rows]
    cells = [[_shown(value) for value in row] for row in held]
    rightward = _columns_of(_NUMBERS, columns, held)
    if width is not None:
        instants = _columns_of((date,), columns, held)
        _draw(Drawing(columns, cells, rightward, instants), stream, width)
        return
    widths = [
        max(_cells(name), *(min(_cells(row[at]), ALIGNED) for row in cells), 0) for at, name in enumerate(columns)
    ]
    for row in (columns, *cells):
        blanks = [" " * (width - _cells(text)) for text, width in zip(row, widths, strict=True)]
        padded = (b + text if right else text + b for b, text, right in zip(blanks, row, rightward, strict=True))
        stream.write("  ".join(padded).rstrip() + "\n")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A table for a terminal. ``numbers``, ``instants``: for each column, True if its values are such, and not cut."""

    columns: Sequence[str]
    cells: Cells
    numbers: Sequence[bool]
    instants: Sequence[bool]

    def is_whole(self, at: int) -> bool:
        """True if the values of this column are not cut."""
        return self.numbers[at] or self.instants[at]

    def fitting(self, width: int) -> list[int]:
        """Return the columns that fit into ``width``.

        Left out first: columns without a value, then every instant but the first, then ids, then the last columns.
        """
        places = list(range(len(self.columns)))
        if width < ORDINARY:
            return places
        first = self.instants.index(True) if True in self.instants else -1

        def importance(at: int) -> tuple[int, int]:
            if not any(row[at] for row in self.cells):
                return 0, -at
            if self.instants[at] and at != first:
                return 1, -at
            return (2 if self.columns[at].endswith("_id") and at else 3), -at

        for at in sorted(places, key=importance)[:-1]:
            if sum(map(self._narrowest, places)) + 2 * (len(places) - 1) <= width:
                break
            places.remove(at)
        return places

    def _narrowest(self, at: int) -> int:
        longest = max(_cells(self.columns[at]), *(_cells(row[at]) for row in self.cells), 0)
        return longest if self.is_whole(at) else min(longest, READABLE)


def _draw(drawing: Drawing, stream: TextIO, width: int) -> None:
    """Draw a table with rich, or name and value in two columns where the terminal is too narrow for a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def one_line(text: str) -> Text:
        return Text(text[: 4 * width], style=_STYLES.get(text, ""), no_wrap=True, overflow="ellipsis")

    console = Console(file=stream, width=width)
    columns, places = drawing.columns, drawing.fitting(width)
    if width < min(ORDINARY, NARROWEST * len(columns)):
        table = Table.grid(padding=(0, 2, 0, 0), expand=False)
        for number, row in enumerate(drawing.cells):
            if number:
                table.add_row()
            for name, text in zip(columns, row, strict=True):
                table.add_row(one_line(name), one_line(text))
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for at in places:
            justify: Literal["left", "right"] = "right" if drawing.numbers[at] else "left"
            table.add_column(one_line(columns[at]), justify=justify, no_wrap=drawing.is_whole(at))
        for row in drawing.cells:
            table.add_row(*(one_line(row[at]) for at in places))
    console.print(table)
    if len(places) < len(columns):
        left_out = ", ".join(name for at, name in enumerate(columns) if at not in places)
        console.print(Text(f"no room for {left_out}: --wide or --json shows all", style="dim"))


def _columns_of(types: tuple[type, ...], columns: Sequence[str], rows: Sequence[Row]) -> list[bool]:
    """Return for each column True if it contains values of these types, or None, and nothing else."""
    values = ([row[place] for row in rows if row[place] is not None] for place in range(len(columns)))
    return [
        bool(column) and all(isinstance(value, types) and not isinstance(value, bool) for value in column)
        for column in values
    ]


def _cells(text: str) -> int:
    """Return how many cells of a terminal ``text`` takes: two for East Asia and emoji, none for combining marks."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text[: 4 * ALIGNED])


_WRITERS: Final[dict[str, Callable[[Sequence[str], Rows, TextIO], None]]] = {
    "json": _write_json,
    "jsonl": _write_json_lines,
    "markdown": _write_markdown,
}
FORMATS: Final = ("table", "wide", "csv", *_WRITERS)

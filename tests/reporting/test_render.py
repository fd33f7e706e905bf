"""Rows as table, CSV, JSON and Markdown: readable for people, exact for programs, harmless for both."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from etl.errors import UsageError
from etl.reporting.render import ALIGNED, FORMATS, json_text, render, write_table

COLUMNS = ("account", "track_id", "title", "is_current", "added_after")
AT = datetime(2025, 11, 3, 14, 5, 9, tzinfo=UTC)
LONG = "日本語のとても長い題名がここに続く、もっと長く、さらに長く、まだ終わらない題名がここに続く"
ROWS: list[Sequence[object]] = [
    ("default", 123, "Ojúelegba", True, AT),
    ("default", 9_912_345, LONG, False, None),
    ("ada", 7, None, True, AT),
]
HOSTILE = "\x1b[2J\x1b]0;owned\x07|\r\n<script>alert(1)</script>\u202e\x9b\u2028\ud800\x00`x`[a](http://e)"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def rendered(
    format: str, columns: Sequence[str] = COLUMNS, rows: Iterable[Sequence[object]] = ROWS, *, width: int | None = None
) -> str:
    stream = io.StringIO()
    if width is None:
        render(format, columns, rows, stream)
    else:
        write_table(columns, rows, stream, width)
    return stream.getvalue()


def one(format: str, value: object, *, width: int | None = None) -> str:
    return rendered(format, ["x"], [[value]], width=width)


# Tables.


def test_a_table_that_goes_to_a_file_is_aligned_and_whole() -> None:
    rows = [("ada", 12, "日本", True, AT), ("bob", 3, None, False, None)]
    assert rendered("table", rows=rows) == (
        "account  track_id  title  is_current  added_after\n"
        "ada            12  日本   yes         2025-11-03 14:05:09Z\n"
        "bob             3         no\n"
    )
    assert LONG in rendered("table")


@pytest.mark.parametrize("width", [70, 80, 120, 200])
def test_a_table_fits_the_terminal_and_cuts_only_text(width: int) -> None:
    lines = rendered("table", width=width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "9912345" in lines[2]
    assert "2025-11-03 14:05:09Z" in lines[1]
    assert ("…" in lines[2]) is (width < 200)
    assert len(lines) == 4


def test_the_width_of_a_terminal_is_used() -> None:
    assert 78 <= max(map(cell_len, rendered("table", width=80).splitlines())) <= 80


def test_columns_that_shrink_share_the_width() -> None:
    lines = rendered("table", ["a", "b", "c"], [("x" * 99, "y" * 99, "z" * 99)], width=41).splitlines()
    assert [len(part) for part in lines[1].split()] == [12, 11, 14]


def test_a_narrow_terminal_shows_names_and_values() -> None:
    text = rendered("table", width=40)
    assert max(map(cell_len, text.splitlines())) <= 40
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[:3] == ["account      default", "track_id     123", "title        Ojúelegba"]
    assert lines.count("") == 2
    assert "9912345" in text
    assert "…" in text


@pytest.mark.parametrize("width", range(1, 60))
def test_no_width_is_too_small(width: int) -> None:
    assert rendered("table", width=width)


@given(
    st.lists(
        st.tuples(st.text(), st.integers(-(10**6), 10**6) | st.none(), st.text() | st.none()), min_size=1, max_size=5
    ),
    st.integers(36, 120),
)
def test_no_row_is_wider_than_the_terminal(rows: list[tuple[str, int | None, str | None]], width: int) -> None:
    lines = rendered("table", ["name", "number", "a much longer heading"], rows, width=width).split("\n")
    assert max(map(cell_len, lines)) <= width
    assert len(lines) == len(rows) + 2


def test_numbers_align_right_and_everything_else_left() -> None:
    text = rendered("table", ["n", "d", "t", "b"], [(1, Decimal("2.50"), "1", True), (1000, None, "1000", False)])
    assert text == "   n    d  t     b\n   1  2.5  1     yes\n1000       1000  no\n"


def test_a_megabyte_in_a_cell_widens_no_other_row() -> None:
    assert (
        len(rendered("table", ["x", "y"], [("a" * 1_000_000, 1), ("é" * 1_000_000, 1), ("b", 1)]))
        < 2_000_000 + 5 * ALIGNED
    )
    assert len(rendered("table", ["x", "y"], [("a" * 1_000_000, 1), ("é" * 1_000_000, 1), ("b", 1)], width=80)) < 1_000


def test_a_table_of_nothing_is_its_heading() -> None:
    assert rendered("table", ["a", "b"], []) == "a  b\n"


# What a person sees is harmless.


@pytest.mark.parametrize("width", [None, 40, 120])
def test_a_table_cannot_drive_a_terminal(width: int | None) -> None:
    text = rendered("table", ["x", "y"], [(HOSTILE, 1), (HOSTILE, 2)], width=width)
    assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2028\ud800\x00")
    assert "\\x1b[2J" in text
    assert len([line for line in text.split("\n") if "\\x1b[2J" in line]) == 2


def test_markdown_holds_no_markup_of_the_data() -> None:
    text = one("markdown", HOSTILE)
    assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2028\ud800\x00")
    assert len(text.splitlines()) == 3
    cell = text.splitlines()[2].removeprefix("| ").removesuffix(" |")
    assert "<" not in cell
    assert all(cell[place - 1] == "\\" for place, letter in enumerate(cell) if letter in "|`[]*_~$")


def test_markdown_is_a_table() -> None:
    assert rendered("markdown", ["name", "n"], [("a|b", 1), (None, 2)]) == (
        "| name | n |\n| --- | ---: |\n| a\\|b | 1 |\n|  | 2 |\n"
    )


def test_csv_on_a_terminal_cannot_drive_it() -> None:
    stream = Terminal()
    render("csv", ["x"], [[HOSTILE]], stream)
    assert not set(stream.getvalue()) & set("\x1b\x07\x9b\u202e\u2028\ud800\x00")


def test_json_on_a_terminal_cannot_drive_it() -> None:
    assert not set(one("json", HOSTILE)) & set("\x1b\x07\x9b\u202e\u2028\ud800\x00")


# What a program reads is the data.


def test_csv_is_that_of_rfc_4180() -> None:
    text = rendered("csv", ["a", "b"], [('say "hi"', "x,y"), ("two\nlines", None), (1.5, True)])
    assert text == 'a,b\r\n"say ""hi""","x,y"\r\n"two\nlines",\r\n1.5,true\r\n'


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), min_size=2, max_size=4))
def test_csv_without_the_guard_gives_back_every_text(values: list[str]) -> None:
    stream = io.StringIO()
    render("csv", [f"c{at}" for at in range(len(values))], [values], stream, guards_formulas=False)
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[1] == values


@pytest.mark.parametrize("value", ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1"])
def test_csv_keeps_a_spreadsheet_from_running_text(value: str) -> None:
    (_, (cell,)) = csv.reader(io.StringIO(one("csv", value), newline=""))
    assert cell == "'" + value
    stream = io.StringIO()
    render("csv", ["x"], [[value]], stream, guards_formulas=False)
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[1] == [value]


@pytest.mark.parametrize(
    ("value", "cell"), [(-5, "-5"), (-0.5, "-0.5"), (Decimal("-2"), "-2"), ("a=b", "a=b"), (None, "")]
)
def test_csv_leaves_numbers_and_harmless_text_alone(value: object, cell: str) -> None:
    assert one("csv", value) in {f"x\r\n{cell}\r\n", f'x\r\n"{cell}"\r\n'}


def test_csv_can_always_be_written_as_utf_8() -> None:
    assert one("csv", "a\ud800b\x00c").encode() == b"x\r\na\\ud800b\\x00c\r\n"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_json_gives_back_every_value_whatever_was_escaped(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    text.encode("utf-8")


def test_json_gives_back_a_lone_surrogate() -> None:
    text = json_text(["a\ud800b", "\ud83d!"])
    assert json.loads(text) == ["a\ud800b", "\ud83d!"]
    text.encode("utf-8")


def test_json_is_a_list_of_objects_in_the_order_of_the_columns() -> None:
    text = rendered("json")
    assert [list(row) for row in json.loads(text)] == [list(COLUMNS)] * 3
    assert json.loads(text)[1] == {
        "account": "default", "track_id": 9_912_345, "title": LONG, "is_current": False, "added_after": None,
    }  # fmt: skip
    assert LONG in text
    assert rendered("json", rows=[]) == "[]\n"


def test_json_lines_are_one_object_each() -> None:
    lines = rendered("jsonl", rows=[*ROWS, ("a\n", 1, HOSTILE, None, None)]).split("\n")
    assert len(lines) == 5
    assert [json.loads(line)["account"] for line in lines[:4]] == ["default", "default", "ada", "a\n"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (AT, '"2025-11-03T14:05:09.000000Z"'),
        (AT.astimezone(timezone(timedelta(hours=1))), '"2025-11-03T14:05:09.000000Z"'),
        (date(2025, 11, 3), '"2025-11-03"'),
        (Decimal(3), "3"),
        (Decimal("3.25"), "3.25"),
        (Decimal("NaN"), "null"),
        (float("inf"), "null"),
        (b'{"a": "\xff"}', '"{\\"a\\": \\"\\\\xff\\"}"'),
        ({"b": AT, "a": (1, None)}, '{"b": "2025-11-03T14:05:09.000000Z", "a": [1, null]}'),
        ("Ọjọ́ 日本 👩‍👩‍👧", '"Ọjọ́ 日本 👩‍👩‍👧"'),
    ],
)
def test_json_of_what_databases_return(value: object, text: str) -> None:
    assert json_text(value) == text


@pytest.mark.parametrize("format", FORMATS)
def test_an_instant_without_a_zone_is_a_bug(format: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        one(format, AT.replace(tzinfo=None))


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
def test_a_long_result_needs_no_memory(format: str) -> None:
    def rows() -> Iterator[tuple[int, str]]:
        for number in range(10_000):
            yield number, "a title of some length"

    class Nowhere(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    tracemalloc.start()
    try:
        render(format, ["n", "t"], rows(), Nowhere())
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()


def test_the_first_row_is_written_before_the_second_is_read() -> None:
    stream = io.StringIO()

    def rows() -> Iterator[list[str]]:
        yield ["first"]
        assert "first" in stream.getvalue()
        yield ["second"]

    for format in ("csv", "json", "jsonl"):
        stream.seek(0)
        stream.truncate()
        render(format, ["x"], rows(), stream)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        one("xml", 1)
    assert "csv" in caught.value.remedy


def test_a_terminal_shows_markup_of_rich_as_text() -> None:
    assert "[bold]:smile:[/bold]" in one("table", "[bold]:smile:[/bold]", width=60)

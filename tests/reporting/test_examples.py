"""docs/data-model.md: every SQL example returns the documented answer on both engines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import Connection

from etl.db.tables import metadata
from etl.reporting.query import Query, run_query
from etl.reporting.views import views
from tools.examples import DOCUMENT, HISTORY, Example, answered, asked_of_database, examples, views_told

TEXT = DOCUMENT.read_text(encoding="utf-8")
DOCUMENTED = dict(views_told(TEXT))
EXAMPLES: dict[str, Example] = dict(zip(DOCUMENTED, examples(TEXT), strict=True))
FOLDER = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("view", EXAMPLES)
def test_the_documented_answer_is_the_database_s(seeded: Connection, view: str) -> None:
    assert asked_of_database(seeded, EXAMPLES[view]) == EXAMPLES[view].answer


def test_every_view_has_an_example_that_asks_it_and_shows_rows() -> None:
    assert set(EXAMPLES) == set(views())
    for view, example in EXAMPLES.items():
        assert re.search(rf"(FROM|JOIN) {view}\b", example.question), view
        assert len(example.answer.splitlines()) > 1, view


def test_the_documented_row_of_a_view_is_its_header() -> None:
    assert {view: f"Row: {views()[view].row}" for view in DOCUMENTED} == {
        view: next(line for line in about.splitlines() if line) for view, about in DOCUMENTED.items()
    }


def test_the_documented_columns_of_a_view_are_its_columns(seeded: Connection) -> None:
    documented = {
        view: re.findall(r"`(\w+)`", about.partition("Columns:")[2].partition(".")[0])
        for view, about in DOCUMENTED.items()
    }
    assert documented == {name: list(run_query(seeded, Query(view, limit=0)).columns) for name, view in views().items()}


def test_every_table_and_column_is_there() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+? \| (.+) \|$", TEXT, re.MULTILINE)
    documented = {table: re.findall(r"`(\w+)`", columns) for table, columns in rows}
    assert documented == {name: [column.name for column in table.columns] for name, table in metadata.tables.items()}


def test_the_drawing_has_only_tables_and_columns_that_are_there() -> None:
    drawing = re.search(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    assert drawing
    drawn = re.findall(r"^    (\w+) \{\n(.*?)^    \}", drawing[1], re.MULTILINE | re.DOTALL)
    assert len(drawn) > 5
    for table, body in drawn:
        columns = re.findall(r"^ +\w+ (\w+)", body, re.MULTILINE)
        assert set(columns) <= {column.name for column in metadata.tables[table].columns}, table
    joined = re.findall(r"^    (\w+) \S+--\S+ (\w+) : ", drawing[1], re.MULTILINE)
    assert len(joined) > 10
    for one, other in joined:
        keys = [*metadata.tables[one].foreign_keys, *metadata.tables[other].foreign_keys]
        assert {key.column.table.name for key in keys} & {one, other}, (one, other)


def test_the_documented_history_is_that_of_the_tests() -> None:
    asked = " ".join(f"--{name} {value}" for name, value in HISTORY.items())
    assert f"python -m benchmarks.history {asked} sqlite:///history.db" in TEXT
    seeded = (FOLDER / "tests/support/seeded.py").read_text(encoding="utf-8")
    assert "make_history(self._engines[name], **HISTORY)" in seeded


def test_an_outdated_answer_is_rewritten() -> None:
    changed = TEXT.replace("kofi     2026-06-30 08:14:09Z", "kofi     1999-01-01 00:00:00Z")
    assert changed != TEXT
    true = {example.question: example.answer for example in EXAMPLES.values()}
    assert answered(changed, lambda example: true[example.question]) == TEXT

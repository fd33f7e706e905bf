"""docs/data-model.md: every SQL example returns the documented answer on both engines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import Connection

from etl.db.engine import read_transaction
from etl.db.tables import metadata
from etl.reporting.dictionary import column_meanings, markdown_rows, meaning_of, table_meanings
from etl.reporting.query import Query, run_query
from etl.reporting.views import views
from tests.support.seeded import Histories
from tools.examples import (
    DOCUMENT,
    HISTORY,
    Example,
    answered,
    asked_of_database,
    columns_of_views,
    examples,
    views_told,
)

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
    section = TEXT.partition("## Tables")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)
    documented = {table: re.findall(r"`(\w+)`", columns) for table, _, columns in rows}
    assert {table: words.replace("`", "") for table, words, _ in rows} == table_meanings()
    assert documented == {name: [column.name for column in table.columns] for name, table in metadata.tables.items()}


def test_the_dictionary_describes_each_column_once(seeded: Connection) -> None:
    columns = {table.name: {column.name for column in table.columns} for table in metadata.tables.values()}
    columns |= {name: set(found) for name, found in columns_of_views(seeded).items()}
    nameless = {(table, name) for table, names in columns.items() for name in names if meaning_of(table, name) is None}
    assert nameless == set()
    used = {
        key
        for table, names in columns.items()
        for name in names
        for key in (f"{table}.{name}", name)
        if key in column_meanings() and (key != name or f"{table}.{name}" not in column_meanings())
    }
    assert column_meanings().keys() - used == set()
    assert "".join(f"{row}\n" for row in markdown_rows()) in TEXT


@pytest.mark.postgresql
def test_postgresql_has_the_meanings_as_comments(histories: Histories) -> None:
    kinds = {
        "instant": {"timestamp with time zone"},
        "day": {"date"},
        "integer": {"bigint", "integer"},
        "number": {"numeric", "double precision"},
        "flag": {"boolean"},
        "text": {"text"},
        "bytes": {"bytea"},
        "json": {"jsonb"},
    }
    query = """
        SELECT c.table_name, c.column_name, c.data_type, col_description(k.oid, c.ordinal_position), obj_description(k.oid)
        FROM information_schema.columns c
        JOIN pg_class k ON k.relname = c.table_name AND k.relnamespace = c.table_schema::regnamespace
        WHERE c.table_schema = 'public' AND c.table_name <> 'favsync_version'"""
    with read_transaction(histories.engine("postgresql")) as connection:
        rows = connection.exec_driver_sql(query).all()
    rows_of_tables = table_meanings() | {view.name: view.row for view in views().values()}
    assert {row[0] for row in rows} == rows_of_tables.keys()
    for table, column, kind, words, row in rows:
        meaning = meaning_of(table, column)
        assert meaning is not None
        assert (words, row) == (meaning.words, rows_of_tables[table])
        assert kind in kinds[meaning.kind], (table, column)


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
    assert "make_history(engine, **HISTORIES[history])" in seeded


def test_an_outdated_answer_is_rewritten() -> None:
    changed = re.sub(r"(kofi +)2026-06-30 [\d:]{8}Z", r"\g<1>1999-01-01 00:00:00Z", TEXT)
    assert changed != TEXT
    true = {example.question: example.answer for example in EXAMPLES.values()}
    assert answered(changed, lambda example: true[example.question]) == TEXT

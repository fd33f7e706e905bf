"""What tables and columns mean, from `dictionary.toml`: comments on PostgreSQL, and the table of docs/data-model.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, inspect
from sqlalchemy.engine.reflection import ObjectKind

FILE: Final = Path(__file__).parent / "dictionary.toml"


class Meaning(NamedTuple):
    """What a column holds. ``kind``: instant, day, integer, number, flag, text, bytes or json."""

    kind: str
    words: str


@cache
def table_meanings() -> dict[str, str]:
    """Return what a row of each table is."""
    return dict(_parsed()["tables"])


@cache
def column_meanings() -> dict[str, Meaning]:
    """Return the meanings by ``table.column``, or by ``column`` for every column of that name."""
    return {name: Meaning(*value) for name, value in _parsed()["columns"].items()}


def meaning_of(table: str, column: str) -> Meaning | None:
    """Return what the column of a table or view holds, None if it is not described."""
    known = column_meanings()
    return known.get(f"{table}.{column}") or known.get(column)


def comment_statements(connection: Connection, view_rows: dict[str, str]) -> Iterator[str]:
    """Yield the COMMENT statements of PostgreSQL for all tables and views. ``view_rows``: what a row of each view is."""
    found = inspect(connection).get_multi_columns(kind=ObjectKind.ANY, filter_names=[*table_meanings(), *view_rows])
    columns_of = {name: columns for (_, name), columns in found.items()}
    tables = {name: words for name, words in table_meanings().items() if name in columns_of}
    for kind, rows in (("TABLE", tables), ("VIEW", view_rows)):
        for name, words in rows.items():
            yield f"COMMENT ON {kind} {name} IS {_quoted(words)}"
            for column in columns_of[name]:
                if meaning := meaning_of(name, column["name"]):
                    yield f"COMMENT ON COLUMN {name}.{column['name']} IS {_quoted(meaning.words)}"


def markdown_rows() -> Iterator[str]:
    """Yield the rows of the dictionary in docs/data-model.md, in alphabetical order."""
    for name, meaning in sorted(column_meanings().items(), key=lambda each: (each[0].split(".")[::-1], each[0])):
        table, _, column = name.rpartition(".")
        where = f" of `{table}`" if table else ""
        yield f"| `{column}`{where} | {meaning.kind} | {meaning.words} |"


def _parsed() -> dict[str, dict[str, str]]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"

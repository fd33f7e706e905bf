"""The list of indexes in docs/data-model.md, beside those of a database."""

from __future__ import annotations

import re

from sqlalchemy import Inspector, inspect

from etl.db.engine import open_engine
from etl.db.tables import metadata
from tests.house.source import ROOT

ROW = re.compile(r"^\| `(\w+)` \| `((?:ix|uq)_\w+)`(?: \((SQLite|PostgreSQL)\))? \|", re.MULTILINE)


def documented(engine_name: str) -> list[tuple[str, str]]:
    """Return the tables and indexes that the document lists for an engine."""
    rows = ROW.findall((ROOT / "docs" / "data-model.md").read_text(encoding="utf-8"))
    return sorted((table, index) for table, index, only in rows if only.lower() in ("", engine_name))


def indexes_of(inspector: Inspector, table: str) -> set[str | None]:
    """Return the names of all indexes and unique constraints, those of the primary key apart."""
    found = [*inspector.get_indexes(table), *inspector.get_unique_constraints(table)]
    return {each["name"] for each in found}


def test_every_index_is_in_the_document_with_its_reason(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        inspector = inspect(connection)
        made = sorted((table, str(name)) for table in metadata.tables for name in indexes_of(inspector, table))
        keys = {table: inspector.get_pk_constraint(table)["name"] for table in metadata.tables}
    engine.dispose()
    assert documented(connection.dialect.name) == made
    assert keys == {table: f"pk_{table}" for table in metadata.tables}

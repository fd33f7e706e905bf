"""Databases as an older favsync left them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Boolean, Column, Connection, LargeBinary, MetaData, Table, text

from etl.db.engine import open_engine, write_transaction
from etl.db.migrate import OLD_VERSION_TABLE, VERSION_TABLE, upgrade
from etl.db.tables import metadata, track_versions
from etl.db.types import Instant, Json, instant_from

HISTORY_0005 = Path(__file__).with_name("schema_0005.jsonl")
"""The rows of a database that favsync wrote at revision 0005. A line with a table name starts each table."""
KEY = ("track_id", "valid_from")
OLD_TABLES = {
    "track_versions": Table(
        "track_versions",
        MetaData(),
        *(Column(each.name, each.type, primary_key=each.name in KEY) for each in track_versions.c),
    )
}
"""Tables that are views by now."""


def create_older(url: str, revision: str) -> None:
    """Create a database as favsync left it at ``revision``: without today's views, with the version table of that time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etl.reporting.views.create_views", lambda *_args: None)  # they may read newer columns
        upgrade(url, revision)
    if revision < "0006":
        engine = open_engine(url)
        with write_transaction(engine) as connection:
            connection.execute(text(f"ALTER TABLE {VERSION_TABLE} RENAME TO {OLD_VERSION_TABLE}"))
        engine.dispose()


def insert_history_0005(connection: Connection) -> None:
    """Insert the rows of `HISTORY_0005`."""
    table, names = metadata.tables["accounts"], list[str]()
    for line in HISTORY_0005.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        if isinstance(values, dict):
            renumber(connection, table)
            table, names = OLD_TABLES.get(values["table"], metadata.tables.get(values["table"])), values["columns"]
        else:
            row = {name: _value(table, name, value, connection) for name, value in zip(names, values, strict=True)}
            connection.execute(table.insert().values(row))
    renumber(connection, table)


def _value(table: Table, name: str, value: object, connection: Connection) -> object:
    kind = table.c[name].type
    if isinstance(value, str) and isinstance(kind, LargeBinary):
        return bytes.fromhex(value)
    if isinstance(value, str) and isinstance(kind, Instant):
        return instant_from(value)
    if isinstance(value, str) and isinstance(kind, Json) and connection.dialect.name == "postgresql":
        return json.loads(value)
    return bool(value) if isinstance(kind, Boolean) and value is not None else value


def renumber(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number new rows after the inserted ones."""
    if connection.dialect.name != "postgresql":
        return
    key = next(iter(table.primary_key.columns)).name
    query = text("SELECT pg_get_serial_sequence(:name, :key)")
    if sequence := connection.execute(query, {"name": table.name, "key": key}).scalar():
        last = f"(SELECT coalesce(max({key}), 0) + 1 FROM {table.name})"
        connection.exec_driver_sql(f"SELECT setval('{sequence}', {last}, false)")

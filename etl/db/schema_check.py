"""Compares a database with the schema that favsync creates."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Engine, Inspector, inspect, text
from sqlalchemy.schema import CreateIndex

from etl.db import migrate
from etl.db.engine import read_transaction
from etl.db.tables import metadata

TRIGGERS = {
    "sqlite": (
        "favourites_overlap_insert",
        "favourites_overlap_update",
        "favourites_unproven_insert",
        "favourites_unproven_update",
        "runs_proof_stays",
    ),
    "postgresql": ("favourites_check_insert", "favourites_check_update", "runs_proof_stays"),
}


def schema_differences(engine: Engine, views: Collection[str] = ()) -> list[str]:
    """Return what is wrong with the database, one line a fault with its remedy; ``views`` are those that must be there."""
    with read_transaction(engine) as connection:
        found = migrate.current_of(connection)
        if found != migrate.newest():
            return [f"schema: {found or 'none'}, this favsync writes {migrate.newest()}: run `favsync db upgrade`"]
        return [*_missing(connection, views), *_broken(connection)]


def _missing(connection: Connection, views: Collection[str]) -> list[str]:
    there = inspect(connection)
    tables, made = set(there.get_table_names()), set(there.get_view_names())
    faults = [f"table {name} is missing: restore a backup" for name in metadata.tables if name not in tables]
    faults += [f"view {name} is missing: run `favsync db upgrade`" for name in views if name not in made]
    catalogue = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'",
    }
    triggers = {row[0] for row in connection.execute(text(catalogue[connection.dialect.name]))}
    expected = TRIGGERS[connection.dialect.name]
    faults += [f"trigger {name} is missing or off: restore a backup" for name in expected if name not in triggers]
    return [*faults, *_missing_indexes(connection, there, tables)]


def _missing_indexes(connection: Connection, there: Inspector, tables: Collection[str]) -> list[str]:
    """Name the indexes that are not there; on SQLite a run stops without one that a query names."""
    from etl.db.engine_indexes import is_for  # which adds those that are partial

    made = {index["name"] for name in tables for index in there.get_indexes(name)}
    every = [index for table in metadata.sorted_tables for index in table.indexes]
    wanted = [index for index in every if index.name not in made and is_for(index, connection.dialect.name)]
    statements = {
        str(index.name): " ".join(str(CreateIndex(index).compile(connection.engine)).split()) for index in wanted
    }
    return [f"index {name} is missing: make it again with {statement}" for name, statement in statements.items()]


def _broken(connection: Connection) -> list[str]:
    """Ask SQLite about its own file; PostgreSQL checks its pages as it reads them."""
    if connection.dialect.name != "sqlite":
        return []
    faults = [f"integrity: {row[0]}" for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
    faults += [f"foreign key: {row[0]} row {row[1]}" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    return [fault for fault in faults if fault != "integrity: ok"]

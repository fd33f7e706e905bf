"""Compares a database with the schema that favsync creates."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Engine, func, inspect, select, text
from sqlalchemy.schema import CreateIndex

from etl.db import migrate
from etl.db.engine import read_transaction
from etl.db.tables import metadata
from etl.errors import SchemaOutdated

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

DEPENDENT_VIEWS = text("""
SELECT DISTINCT c.oid::regclass::text AS dependent, v.relname AS view
FROM pg_depend d
JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_class v ON d.refclassid = 'pg_class'::regclass AND v.oid = d.refobjid
WHERE v.relkind = 'v' AND v.relname = ANY(:views) AND pg_table_is_visible(v.oid)
    AND NOT (c.relname = ANY(:views) AND c.relnamespace = v.relnamespace)
ORDER BY 1, 2
""")


def schema_differences(engine: Engine, views: Collection[str] = ()) -> list[str]:
    """Return what is wrong with the database, one line a fault with its remedy; ``views`` are those that must exist."""
    with read_transaction(engine) as connection:
        try:
            migrate.require_newest_in(connection)
        except SchemaOutdated as error:
            return [f"schema: {error}: {error.remedy}"]
        found = [*_missing(connection, views), *_dependent_views(connection, views)]
        return [*found, *_sequences_behind(connection), *_damaged(connection)]


def _missing(connection: Connection, views: Collection[str]) -> list[str]:
    inspector, engine = inspect(connection), connection.dialect.name
    stored_tables, stored_views = set(inspector.get_table_names()), set(inspector.get_view_names())
    faults = [f"table {name} is missing: restore a backup" for name in metadata.tables if name not in stored_tables]
    faults += [f"view {name} is missing: run `favsync db upgrade`" for name in views if name not in stored_views]
    catalogue = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'",
    }
    triggers = set(connection.execute(text(catalogue[engine])).scalars())
    faults += [
        f"trigger {name} is missing or off: restore a backup" for name in TRIGGERS[engine] if name not in triggers
    ]
    # On SQLite a run stops if an index that a query names is missing.
    indexes = {index["name"] for name in stored_tables for index in inspector.get_indexes(name)}
    for index in (index for table in metadata.sorted_tables for index in table.indexes):
        if index.name not in indexes and index.info.get("only", engine) == engine:
            statement = " ".join(str(CreateIndex(index).compile(connection.engine)).split())
            where = f" WHERE {index.info['where']}" if "where" in index.info else ""
            faults.append(f"index {index.name} is missing: make it again with {statement}{where}")
    return faults


def _dependent_views(connection: Connection, views: Collection[str]) -> list[str]:
    """Find other views that use ours: PostgreSQL cannot replace a view that another one depends on. SQLite can."""
    if connection.dialect.name != "postgresql":
        return []
    found = connection.execute(DEPENDENT_VIEWS, {"views": list(views)})
    return [
        f"view {row.dependent} depends on view {row.view}, so an upgrade would stop: drop it before `favsync db upgrade` and "
        "create it again afterwards; or keep it in another database"
        for row in found
    ]


def _sequences_behind(connection: Connection) -> list[str]:
    """Find sequences that would return a number once more, as after a restore of the tables alone. SQLite has none."""
    if connection.dialect.name != "postgresql":
        return []
    faults = []
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        names = {"table": table.name, "column": column.name if column is not None else ""}
        if column is None or not inspect(connection).has_table(table.name):
            continue
        sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), names).scalar()
        may_read = text("SELECT has_sequence_privilege(:sequence, 'SELECT')")
        if sequence is None or not connection.execute(may_read, {"sequence": sequence}).scalar():
            continue
        following = connection.execute(text(f"SELECT last_value + is_called::int FROM {sequence}")).scalar_one()  # noqa: S608
        largest = connection.execute(select(func.max(column))).scalar()
        if largest is not None and largest >= following:
            faults.append(
                f"sequence {sequence} is behind its table, as after a restore: run in psql SELECT setval('{sequence}', {largest})"
            )
    return faults


def _damaged(connection: Connection) -> list[str]:
    """Let SQLite check its file; PostgreSQL checks its pages as it reads them."""
    if connection.dialect.name != "sqlite":
        return []
    faults = [f"integrity: {row[0]}" for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
    faults += [f"foreign key: {row[0]} row {row[1]}" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    return [fault for fault in faults if fault != "integrity: ok"]

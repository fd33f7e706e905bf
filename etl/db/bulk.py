"""Bulk statements: the only SQL that differs between SQLite and PostgreSQL.

Rows are tuples in the order of ``columns``. PostgreSQL receives a large set by binary COPY (28,000 rows a second by INSERT,
125,000 by COPY as text): directly into the table if nothing can conflict, else as `pg_copy.as_table` in one INSERT … SELECT.
SQLite receives a prepared statement of a hundred rows: on a table with triggers each statement has a fixed cost of about five
rows. Every upsert is sorted by its key, so that two writers never deadlock, and touches only rows that differ.

``rows`` never hold a key twice (PostgreSQL raises an error, SQLite does not notice).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Connection, Table, TableClause

from etl.db import pg_copy
from etl.db.types import instant_text

Row = pg_copy.Row
COPY_FROM_ROWS = 20
SQLITE_VARIABLES = 30_000
ROWS_AT_ONCE = 100


def instants(connection: Connection) -> Any:
    """Return the function that converts a datetime for the driver."""
    return _as_is if connection.dialect.name == "postgresql" else _as_text


def _as_is(instant: datetime | None) -> datetime | None:
    return instant


@lru_cache(maxsize=16_384)
def _as_text(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)


def instant_reader(connection: Connection) -> Any:
    """Return the function that converts a value of the driver to a datetime in UTC, NULL to None."""
    return _from_driver if connection.dialect.name == "postgresql" else _from_text


def _from_driver(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)


@lru_cache(maxsize=16_384)
def _from_text(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written).astimezone(UTC)


def placeholder(connection: Connection) -> str:
    """Return the driver's bind placeholder."""
    return "%s" if connection.dialect.name == "postgresql" else "?"


def by_index(connection: Connection, table: TableClause, index: str) -> str:
    """Return ``table`` for a FROM clause, to be read by ``index``.

    SQLite without statistics prefers a primary key even if a partial index covers the query. It rejects the statement if the
    index cannot serve it. PostgreSQL has statistics.
    """
    return f"{table.name} INDEXED BY {index}" if connection.dialect.name == "sqlite" else table.name


def insert(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Row],
    *,
    key: Sequence[str] = (),
    update: Sequence[str] = (),
    first: str = "",
    is_alone: bool = False,
) -> int | None:
    """Insert ``rows``. On a conflict over ``key``, overwrite the columns ``update`` where they differ; with none, keep.

    ``first``: a column that receives the first value of the only column of ``update`` once that is overwritten.

    ``is_alone``: nothing conflicts, since the caller called `lock_track_tables` first; PostgreSQL then writes the rows once
    instead of twice. Return the number of rows written, None if the driver does not report it.
    """
    if not rows:
        return 0
    if key:
        rows = sorted(rows, key=itemgetter(*(columns.index(name) for name in key)))
    conflict = _on_conflict(connection, table, key, update, first)
    if connection.dialect.name == "postgresql" and len(rows) >= COPY_FROM_ROWS:
        if not key or is_alone:
            pg_copy.copy(connection, table, table.name, columns, rows)
            return len(rows)
        return _insert_select(connection, table, columns, rows, f" ORDER BY {', '.join(key)}{conflict}")
    holders = f"({', '.join([placeholder(connection)] * len(columns))})"
    head = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "  # noqa: S608 - names of our own tables
    whole = len(rows) // ROWS_AT_ONCE * ROWS_AT_ONCE if connection.dialect.name == "sqlite" else 0
    if whole:
        flat = [tuple(chain.from_iterable(rows[n : n + ROWS_AT_ONCE])) for n in range(0, whole, ROWS_AT_ONCE)]
        connection.exec_driver_sql(head + ", ".join([holders] * ROWS_AT_ONCE) + conflict, flat)
    if whole < len(rows):
        connection.exec_driver_sql(head + holders + conflict, list(rows[whole:]))
    return None


def _insert_select(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row], suffix: str
) -> int:
    """Do what `insert` does in one statement for all rows. ``suffix``: order and conflict."""
    names = ", ".join(columns)
    with pg_copy.as_table(connection, table, columns, rows, "new") as (source, values):
        sql = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {source}{suffix}"  # noqa: S608
        return connection.exec_driver_sql(sql, values).rowcount


def insert_if_absent(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row], *, is_alone: bool
) -> set[int]:
    """Insert the ``rows`` (key first) whose key does not exist yet, and return the keys of the others.

    ``is_alone``: as `insert` has it.
    """
    key = columns[0]
    ids = [row[0] for row in rows]
    written = insert(connection, table, columns, rows, key=(key,), is_alone=is_alone)
    if connection.dialect.name == "sqlite" or written == len(rows):
        return set()
    mine = " AND xmin = pg_current_xact_id()::xid"
    return set(ids) - {row[0] for row in select_in(connection, key, table, key, ids, mine)}


def update(
    connection: Connection,
    table: Table,
    key: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Set ``columns`` of the rows with ``key``; each of ``rows`` holds the values of the key, then of the columns."""
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row[: len(key)])
    if connection.dialect.name == "postgresql":
        sets = ", ".join(f"{name} = new.{name}" for name in columns)
        same = " AND ".join(f"t.{name} = new.{name}" for name in key)
        with pg_copy.as_table(connection, table, (*key, *columns), rows, "new") as (source, values):
            connection.exec_driver_sql(f"UPDATE {table.name} t SET {sets} FROM {source} WHERE {same}", values)  # noqa: S608
    else:
        sets = ", ".join(f"{name} = ?" for name in columns)
        same = " AND ".join(f"{name} = ?" for name in key)
        turned = [(*row[len(key) :], *row[: len(key)]) for row in rows]
        connection.exec_driver_sql(f"UPDATE {table.name} SET {sets} WHERE {same}", turned)  # noqa: S608


def select_in(
    connection: Connection,
    columns: str,
    table: TableClause,
    name: str,
    values: Iterable[Any],
    suffix: str = "",
    *,
    index: str = "",
) -> list[Row]:
    """Select ``columns`` of the rows whose column ``name`` is one of ``values``, however many there are."""
    wanted = list(values)
    source = by_index(connection, table, index) if index else table.name
    head = f"SELECT {columns} FROM {source} WHERE {name}"  # noqa: S608
    if connection.dialect.name == "postgresql":
        if not wanted:
            return []
        holder, array = pg_copy.array(wanted)
        return rows_of(connection, f"{head} = ANY({holder}){suffix}", (array,))
    found: list[Row] = []
    for start in range(0, len(wanted), SQLITE_VARIABLES):
        part = wanted[start : start + SQLITE_VARIABLES]
        holders = ", ".join("?" * len(part))
        found += rows_of(connection, f"{head} IN ({holders}){suffix}", tuple(part))
    return found


def rows_of(connection: Connection, sql: str, values: tuple[Any, ...] = ()) -> list[Row]:
    """Return the rows of a query as the driver returns them: ten thousand at once take a third of one at a time."""
    result = connection.exec_driver_sql(sql, values)
    rows = list(result.cursor.fetchall())
    result.close()
    return rows


def delete_in(connection: Connection, table: Table, name: str, values: Sequence[Any]) -> None:
    """Delete the rows whose column ``name`` is one of ``values``."""
    if values:
        placeholder = "= ANY(%s)" if connection.dialect.name == "postgresql" else "= ?"
        sql = f"DELETE FROM {table.name} WHERE {name} {placeholder}"  # noqa: S608
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(sql, (list(values),))
        else:
            connection.exec_driver_sql(sql, [(value,) for value in values])


def delete_rows(connection: Connection, table: Table, key: Sequence[str], rows: Sequence[Row]) -> None:
    """Delete the rows whose columns ``key`` hold one of ``rows``."""
    if rows:
        same = " AND ".join(f"{name} = {placeholder(connection)}" for name in key)
        connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE {same}", sorted(rows))  # noqa: S608


def lock_track_tables(connection: Connection) -> None:
    """Block all other writers of items and tracks until commit.

    A replay and a load in several batches need it, because they do not lock rows in key order. Items come first, in the same
    order as the loads that lock single rows, so that the two cannot deadlock.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE raw_items, tracks IN EXCLUSIVE MODE")


def lock_everything(connection: Connection) -> None:
    """Block all other writers until commit. Must be the first statement of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE")
    lock_track_tables(connection)


def new_keys(connection: Connection, table: Table, count: int) -> list[int]:
    """Return ``count`` new keys of ``table``, in rising order; no other writer receives them."""
    if not count:
        return []
    column = next(iter(table.primary_key.columns)).name
    if connection.dialect.name == "postgresql":
        # OFFSET keeps the subquery, so that the sequence is looked up once and not for each key, which takes five times as long.
        named = "(SELECT pg_get_serial_sequence(%s, %s)::regclass AS sequence OFFSET 0) AS named"
        sql = f"SELECT nextval(sequence) FROM {named}, generate_series(1, %s)"  # noqa: S608
        return [row[0] for row in rows_of(connection, sql, (table.name, column, count))]
    last = connection.exec_driver_sql(f"SELECT coalesce(max({column}), 0) FROM {table.name}").scalar_one()  # noqa: S608
    return list(range(last + 1, last + 1 + count))


class RowLock(StrEnum):
    """How rows are locked until commit. Rows that are kept may be kept by many at once, and may be referred to."""

    KEEP = "FOR KEY SHARE"
    CHANGE = "FOR UPDATE"


def move_instant(connection: Connection, column: Column[Any], keys: Collection[int], at: object, compared: str) -> None:
    """Set the instant of these rows to ``at`` where it is NULL, or earlier (``<``) or later (``>``); locks only those."""
    table, key = column.table.name, next(iter(column.table.primary_key.columns)).name
    moves = f" AND ({column.name} IS NULL OR {column.name} {compared} {placeholder(connection)})"
    head = f"UPDATE {table} SET {column.name} = {placeholder(connection)} WHERE {key}"  # noqa: S608
    if not keys:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"{head} = ?{moves}", [(at, each, at) for each in keys])
        return
    wanted = f"SELECT {key} FROM {table} WHERE {key} = ANY(%s){moves} ORDER BY {key} FOR NO KEY UPDATE"  # noqa: S608
    connection.exec_driver_sql(f"{head} IN ({wanted})", (at, list(keys), at))


def _on_conflict(connection: Connection, table: Table, key: Sequence[str], update: Sequence[str], first: str) -> str:
    if not key:
        return ""
    if not update:
        return f" ON CONFLICT ({', '.join(key)}) DO NOTHING"
    differs = "IS DISTINCT FROM" if connection.dialect.name == "postgresql" else "IS NOT"
    sets = ", ".join(f"{name} = excluded.{name}" for name in update)
    if first:
        sets += f", {first} = coalesce({table.name}.{first}, {table.name}.{update[0]})"
    where = " OR ".join(f"{table.name}.{name} {differs} excluded.{name}" for name in update)
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sets} WHERE {where}"

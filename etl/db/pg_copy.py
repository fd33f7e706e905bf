"""COPY into PostgreSQL, in binary: a fifth of the CPU that text takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]
JSONB_VERSION = b"\x01"
LARGEST_INTEGER = 2**31 - 1


def stage(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """COPY ``rows`` into a temporary table with the types of ``table``, and return its name."""
    names = ", ".join(columns)
    staged = f"favsync_{table.name}"
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {staged} ON COMMIT DROP AS SELECT {names} FROM {table.name} WITH NO DATA"  # noqa: S608
    )
    copy(connection, table, staged, columns, rows)
    return staged


def copy(connection: Connection, table: Table, target: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """COPY ``rows`` into ``target``, whose columns are those of ``table``; in binary, which takes a fifth of the text's time."""
    driver: Any = connection.connection.driver_connection
    types = [_type_name(table.c[name], connection) for name in columns]
    for place, name in enumerate(types):
        if name == "integer" and any(abs(row[place] or 0) > LARGEST_INTEGER for row in rows):
            raise ValueError(f"{table.name}.{columns[place]} holds 32 bits: the driver would cut what it is given")
    documents = [place for place, name in enumerate(types) if name == "jsonb"]
    statement = f"COPY {target} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as stream:
            stream.set_types(["bytea" if name == "jsonb" else name for name in types])
            for row in _with_documents(rows, documents) if documents else rows:
                stream.write_row(row)
    except connection.dialect.loaded_dbapi.Error as error:  # the driver's own, which SQLAlchemy has not seen
        raise DBAPIError.instance(statement, None, error, connection.dialect.loaded_dbapi.Error) from error


def _type_name(column: Column[Any], connection: Connection) -> str:
    name = column.type.compile(connection.dialect).lower()
    return "float8" if name == "float" else name


def _with_documents(rows: Iterable[Row], places: Sequence[int]) -> Iterator[list[Any]]:
    """Yield rows with the JSON at these places as PostgreSQL receives ``jsonb``: the format's version, then the text."""
    for row in rows:
        values = list(row)
        for place in places:
            values[place] = None if row[place] is None else JSONB_VERSION + row[place].encode()
        yield values

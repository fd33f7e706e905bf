"""What `favsync doctor` asks the database: version, clock, rights, how full it is.

Invariant: nothing is changed; what tries to write does so over no row, in a transaction that is undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from etl.db.engine import database_error, read_transaction
from etl.db.tables import metadata, runs
from etl.db.types import Instant

REPLACED = ("schedules", "tokens")


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """``now``: by the server's clock, None where it has none of its own. ``newest_at``: the newest observation."""

    version: str
    now: datetime | None
    newest_at: datetime | None


def database_health(engine: Engine) -> DatabaseHealth:
    """Return the database's version, clock and newest observation.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        newest = connection.execute(select(func.max(runs.c.observed_at, type_=Instant))).scalar()
        if connection.dialect.name == "sqlite":
            version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
            return DatabaseHealth(f"SQLite {version}", None, newest)
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        return DatabaseHealth(
            f"PostgreSQL {version}", connection.exec_driver_sql("SELECT clock_timestamp()").scalar(), newest
        )


def missing_rights(engine: Engine) -> list[str]:
    """Return what this user may not do that a sync does, as ``UPDATE runs``; an empty list is good news."""
    missing = []
    for name, table in sorted(metadata.tables.items()):
        column = next(iter(table.columns)).name
        tries = {
            "SELECT": f"SELECT 1 FROM {name} WHERE 1 = 0",  # noqa: S608 - names of our own tables
            "INSERT": f"INSERT INTO {name} SELECT * FROM {name} WHERE 1 = 0",  # noqa: S608
            "UPDATE": f"UPDATE {name} SET {column} = {column} WHERE 1 = 0",  # noqa: S608
        }
        if name in REPLACED:
            tries["DELETE"] = f"DELETE FROM {name} WHERE 1 = 0"  # noqa: S608
        missing += [f"{verb} {name}" for verb, statement in tries.items() if not _may(engine, statement)]
    return missing


def _may(engine: Engine, statement: str) -> bool:
    """Try the statement, over no row, and undo it.

    Raises: DatabaseError, where it fails for another reason than a missing right.
    """
    try:
        with engine.connect() as connection:
            _try(connection, statement)
    except SQLAlchemyError as error:
        words = str(error).lower()
        if "permission denied" in words or "readonly" in words or "read-only" in words:
            return False
        raise database_error(error, engine) from error
    return True


def _try(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))
    connection.rollback()


def database_file(engine: Engine) -> Path | None:
    """Return the file of a SQLite database."""
    return Path(engine.url.database) if engine.dialect.name == "sqlite" and engine.url.database else None

"""What `favsync doctor` reads from the database: its version, its clock, and what the user may do.

Invariant: nothing is changed. Write access is tested with statements that match no row, and rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, false, func, insert, literal, select, update
from sqlalchemy.exc import SQLAlchemyError

from etl.db.engine import database_error, read_transaction
from etl.db.tables import metadata, runs
from etl.db.types import Instant

REPLACED = ("tokens",)
"""Tables from which a sync or the scheduler deletes rows."""


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """``now``: the server's clock, None for SQLite. ``newest_at``: time of the newest observation."""

    product: str
    version: str
    now: datetime | None
    newest_at: datetime | None


def database_health(engine: Engine) -> DatabaseHealth:
    """Return the database's version, clock and newest observation.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        newest = connection.execute(
            select(func.max(runs.c.observed_at, type_=Instant)).where(runs.c.retracted_at.is_(None))
        ).scalar()
        if connection.dialect.name == "sqlite":
            version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
            return DatabaseHealth("SQLite", version, None, newest)
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        now = connection.exec_driver_sql("SELECT clock_timestamp()").scalar()
        return DatabaseHealth("PostgreSQL", version, now, newest)


def missing_rights(engine: Engine) -> list[str]:
    """Return the rights that a sync needs and this user does not have, as ``UPDATE runs``.

    Raises: DatabaseError, where a test fails for another reason.
    """
    missing = []
    for name, table in sorted(metadata.tables.items()):
        column = next(iter(table.columns))
        tests = {
            "SELECT": select(literal(1)).select_from(table).where(false()),
            "INSERT": insert(table).from_select(list(table.columns.keys()), select(table).where(false())),
            "UPDATE": update(table).values({column: column}).where(false()),
        }
        if name in REPLACED:
            tests["DELETE"] = delete(table).where(false())
        for right, statement in tests.items():
            try:
                with engine.connect() as connection:
                    connection.execute(statement)
                    connection.rollback()
            except SQLAlchemyError as error:
                message = str(error).lower()
                if not any(words in message for words in ("permission denied", "readonly", "read-only")):
                    raise database_error(error, engine) from error
                missing.append(f"{right} {name}")
    return missing

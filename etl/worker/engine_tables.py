"""The tables of the engine Procrastinate: `favsync db upgrade` installs them with the extra, `favsync workers` reads them.

The comment on its table of jobs names its newest migration, so that a newer Procrastinate applies only what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from etl.db.engine import read_transaction, write_transaction
from etl.errors import SchemaOutdated, UsageError

MARK = "favsync, after "
MISSING = "the extra `worker` is not installed"
INSTALL = "install it: pip install 'favsync[worker]'"

# A worker's process is known from its runs in progress.
WORKERS = text("""
SELECT w.id, max(r.holder), min(r.started_at), array_remove(array_agg(a.name ORDER BY r.started_at), NULL),
       w.last_heartbeat, greatest(CAST(extract(epoch FROM now() - w.last_heartbeat) AS float8), 0)
FROM procrastinate_workers w
LEFT JOIN procrastinate_jobs j ON j.worker_id = w.id AND j.status = 'doing'
LEFT JOIN accounts a ON a.account_id = (j.args ->> 'account_id')::bigint
LEFT JOIN runs r ON r.account_id = a.account_id AND r.outcome IS NULL
GROUP BY w.id, w.last_heartbeat
ORDER BY w.id
""")


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process, ``process`` (host and number) while it syncs. ``since``: the start of its longest run.

    ``seconds_since_heartbeat``: by the database's clock; it grows for a lost worker, whose accounts go to others.
    """

    worker: int
    process: str | None
    since: datetime | None
    accounts: list[str]
    last_heartbeat: datetime
    seconds_since_heartbeat: float


def list_workers(engine: Engine) -> list[WorkerRow]:
    """Return the workers, oldest first.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        return [WorkerRow(*row) for row in connection.execute(WORKERS)]


def is_installed() -> bool:
    """True if the extra is installed."""
    return find_spec("procrastinate") is not None


def require_workers(engine: Engine) -> None:
    """Check that workers can use this database.

    Raises: UsageError, without the extra or PostgreSQL; SchemaOutdated, without the engine's tables; DatabaseError.
    """
    if not is_installed():
        raise UsageError(MISSING, remedy=INSTALL)
    if engine.dialect.name != "postgresql":
        raise UsageError(
            "workers need PostgreSQL: processes of several machines cannot share a SQLite file",
            remedy="`favsync schedule` serves SQLite in one process; or set FAVSYNC_DATABASE_URL to postgresql://…",
        )
    with read_transaction(engine) as connection:
        missing = _missing_migrations(connection)
    if missing is None or missing:
        what = "are missing" if missing is None else f"are {len(missing)} migrations behind"
        raise SchemaOutdated(f"the tables of the queue {what}", remedy="run `favsync db upgrade`")


def has_tables(connection: Connection) -> bool:
    """True if the tables of the queue exist."""
    is_there = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"
    return connection.dialect.name == "postgresql" and bool(connection.execute(text(is_there)).scalar())


def install(engine: Engine) -> bool:
    """Create or upgrade the engine's tables where the extra and PostgreSQL are; True if something changed.

    Raises: DatabaseError.
    """
    if not is_installed() or engine.dialect.name != "postgresql":
        return False
    from procrastinate.schema import SchemaManager

    with write_transaction(engine) as connection:
        missing = _missing_migrations(connection)
        statements = [SchemaManager.get_schema()] if missing is None else [path.read_text("utf-8") for path in missing]
        for statement in statements:
            cursor = connection.connection.cursor()
            cursor.execute(statement)  # without parameters: a script of several statements
            cursor.close()
        if statements:
            mark = MARK + _migrations()[-1].name
            connection.exec_driver_sql(f"COMMENT ON TABLE procrastinate_jobs IS '{mark}'")
    return bool(statements)


def _missing_migrations(connection: Connection) -> list[Path] | None:
    """Return the engine's migrations that are newer than its tables; None if it has no tables."""
    if not has_tables(connection):
        return None
    comment = connection.execute(text("SELECT obj_description('procrastinate_jobs'::regclass)")).scalar() or ""
    if not comment.startswith(MARK):  # somebody else installed them, and upgrades them
        return []
    return [path for path in _migrations() if path.name > comment.removeprefix(MARK)]


def _migrations() -> list[Path]:
    from procrastinate.schema import SchemaManager

    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))

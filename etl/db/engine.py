"""Engines: how favsync opens its database.

Invariants: a transaction on SQLite takes the write lock when it begins (the driver's own way loses updates without an
error); foreign keys are on; a new database file is readable by its owner alone.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from etl.errors import DatabaseError, SettingsError

BUSY_TIMEOUT_MS = 60_000
DEADLOCK_RETRIES = 4
T = TypeVar("T")
_open: WeakSet[Engine] = WeakSet()
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA cache_size = -16000",
    "PRAGMA temp_store = MEMORY",
)


def sqlite_path(url: str) -> Path | None:
    """Return the file behind a SQLite URL, None for another engine.

    Raises: SettingsError, for a URL that names no file or cannot be read.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise SettingsError(
            "FAVSYNC_DATABASE_URL names no file",
            remedy="write sqlite:////absolute/path/favsync.db; memory is not kept",
        )
    return Path(parsed.database)


def open_engine(url: str, *, create: bool = False, pooling: str = "direct") -> Engine:
    """Return an engine for ``url``. A missing SQLite file is made only where ``create`` is set.

    ``pooling``: ``transaction``, if a pooler lends PostgreSQL's connections for one transaction each (`is_pooled`).

    Raises: SettingsError for a URL of another kind; DatabaseError where the file cannot be made or is not there.
    """
    engine = _engine(url, create=create, pooling=pooling)
    _open.add(engine)
    return engine


@atexit.register
def _close() -> None:
    """Close what is open still when the process ends: SQLite then takes its log back into the file."""
    for engine in list(_open):
        engine.dispose()


def _engine(url: str, *, create: bool, pooling: str) -> Engine:
    path = sqlite_path(url)
    if path is None:
        return _postgresql(_parsed(url), pooling)
    if create:
        _make_file(path)
    elif not path.exists():
        raise DatabaseError(
            f"there is no database at {path}",
            remedy="run `favsync sync` or `favsync db upgrade` first",
        )
    return _sqlite(_parsed(url), is_read_only=not os.access(path, os.W_OK))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError(
            "FAVSYNC_DATABASE_URL is not a database URL",
            remedy="write sqlite:///path or postgresql://user@host/database",
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise SettingsError(
            f"favsync does not know databases of the kind {parsed.get_backend_name()!r}",
            remedy="use sqlite:///path or postgresql://user@host/database",
        )
    return parsed


def _make_file(path: Path) -> None:
    """Create the file with mode 0600 before SQLite would with whatever the umask leaves."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        if path.exists():
            return
        raise DatabaseError(
            f"cannot make the database {path}: {error.strerror}",
            remedy="choose another place",
        ) from None


def _sqlite(url: URL, *, is_read_only: bool) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        max_overflow=-1,  # many workers wait for SQLite's one writer, which lets them do so twice as long as a pool would
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in PRAGMAS:
            if not (is_read_only and "journal_mode" in pragma):
                connection.execute(pragma)

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            "BEGIN" if connection.get_execution_options().get("is_reading") else "BEGIN IMMEDIATE"
        )

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _postgresql(url: URL, pooling: str) -> Engine:
    arguments = {"application_name": "favsync", "connect_timeout": 10}
    is_pooled = pooling == "transaction"
    # A pooler refuses start-up options, and another server process does not know the statements that were prepared.
    arguments |= {"prepare_threshold": None} if is_pooled else {"options": "-c timezone=UTC"}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args=arguments,
        execution_options={"is_pooled": is_pooled},
        isolation_level="READ COMMITTED",  # whatever the server's default is: who waited for a lock must see what it waited for
        pool_pre_ping=True,
        max_overflow=-1,  # as many as the scheduler has workers; no more is ever asked for
    )
    if is_pooled:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("SET LOCAL timezone = 'UTC'"))
    return engine


def is_pooled(bind: Engine | Connection) -> bool:
    """True if a session of PostgreSQL lasts for one transaction, so that it keeps neither locks nor settings."""
    return bool(bind.get_execution_options().get("is_pooled"))


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection for reading: it takes no write lock, and sees one state of the database throughout."""
    isolation: dict[str, Any] = {"is_reading": True}
    if engine.dialect.name == "postgresql":
        isolation = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with (
        database_errors(engine),
        engine.connect().execution_options(**isolation) as connection,
    ):
        yield connection


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection in one transaction, which is committed at the end, or undone by whatever is raised."""
    with database_errors(engine), engine.begin() as connection:
        yield connection


def in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Do ``work`` in one transaction, and again where the server undid it to resolve a deadlock between two writers."""
    for _ in range(DEADLOCK_RETRIES):
        try:
            with engine.begin() as connection:
                return work(connection)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in ("40P01", "40001"):
                raise database_error(error, engine) from error
        except SQLAlchemyError as error:
            raise database_error(error, engine) from error
    with write_transaction(engine) as connection:
        return work(connection)


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Turn what the driver raises into a DatabaseError of one line."""
    try:
        yield
    except SQLAlchemyError as error:
        raise database_error(error, engine) from error


def database_error(error: SQLAlchemyError, engine: Engine) -> DatabaseError:
    """Return ``error`` as a person may read it: the driver's first line, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    line = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    where = engine.url.render_as_string(hide_password=True)
    return DatabaseError(f"{where}: {line}", remedy=_remedy(line))


_REMEDIES = {
    "no such table": "run `favsync db upgrade`",
    "does not exist": "run `favsync db upgrade`, or check the name of the database",
    "readonly": "let this user write to the database file and its folder",
    "unable to open": "name a file, in a folder that is there, and let this user read and write both",
    "read-only": "name the primary server in FAVSYNC_DATABASE_URL, not a standby or a database that is closed for writing",
    "no space left": "make room on the server's disk; nothing was changed",
    "permission denied": "grant the rights in deploy/grants.sql",
    "disk": "make room on the disk; nothing was changed",
    "full": "make room on the disk; nothing was changed",
    "locked": "another program holds the database for long: try again later",
    "not a database": "FAVSYNC_DATABASE_URL names a file that is not SQLite: choose another",
    "password": "check the password in FAVSYNC_DATABASE_URL",
    "refused": "start the server, or check host and port in FAVSYNC_DATABASE_URL",
}


def _remedy(line: str) -> str:
    lowered = line.lower()
    found = (remedy for sign, remedy in _REMEDIES.items() if sign in lowered)
    return next(found, "check the database; nothing was changed by this run")

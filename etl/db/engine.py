"""Engines: how favsync opens its database.

Invariants: a transaction on SQLite takes the write lock when it begins (the driver's own way loses updates without an
error); foreign keys are on; a new database file is readable by its owner alone.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from etl.db.remedies import remedy_for
from etl.errors import DatabaseError, SettingsError

BUSY_TIMEOUT_MS = 60_000
DEADLOCK_RETRIES = 4
DEPENDENT_OBJECTS = "2BP01"
SEVERAL_ATTEMPTS = "multiple connection attempts failed"  # of psycopg, before one line for each host
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
    if url.startswith(("postgresql:", "postgresql+")):
        return None
    parsed = _parsed(url)
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
        from etl.db.postgresql import postgresql_engine  # psycopg, which SQLite does without

        return postgresql_engine(url, is_pooled=pooling == "transaction")
    is_read_only = _parsed(url).query.get("mode") == "ro"
    if create and not is_read_only:
        _make_file(path)
    elif not path.exists():
        raise DatabaseError(
            f"there is no database at {path}",
            remedy="run `favsync sync` or `favsync db upgrade` first",
        )
    _require_own_file(path)
    return _sqlite(path, is_read_only=is_read_only)


def _require_own_file(path: Path) -> None:
    """Check that ``path`` is a file with this one name, because SQLite's log and favsync's locks go by the name."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise DatabaseError(f"{path} is not a file", remedy="name a file in FAVSYNC_DATABASE_URL")
    if found.st_nlink > 1:
        raise DatabaseError(
            f"the database {path} has {found.st_nlink} names (hard links), which damages SQLite databases in use",
            remedy=f"keep one: `find {path.parent} -samefile {path}` lists those in this folder",
        )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "FAVSYNC_DATABASE_URL is not a database URL",
            remedy="write sqlite:///path or postgresql://user@host/database",
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise SettingsError(
            f"favsync does not know databases of the kind {parsed.get_backend_name()!r}",
            remedy="use sqlite:///path or postgresql://user@host/database",
        )
    return parsed


def _make_file(path: Path) -> None:
    """Create the file with mode 0600 before SQLite would with whatever the umask leaves."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            if os.fstat(file).st_size == 0:  # as `touch` leaves it
                os.fchmod(file, 0o600)
        finally:
            os.close(file)
    except OSError as error:
        if path.exists():
            return
        raise DatabaseError(
            f"cannot make the database {path}: {error.strerror}",
            remedy="choose another place",
        ) from None


def _sqlite(path: Path, *, is_read_only: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        max_overflow=-1,  # many workers wait for SQLite's one writer, which lets them do so twice as long as a pool would
    )
    opened = _file_number(path)

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in PRAGMAS:
            if os.access(path, os.W_OK) or "journal_mode" not in pragma:
                connection.execute(pragma)
        if is_read_only:
            connection.execute("PRAGMA query_only = ON")

    def require_same_file(*_: object) -> None:
        """Refuse to use a connection to a file that is not the one at ``path`` any more: SQLite does not notice."""
        found = _file_number(path)
        if found != opened:
            raise DatabaseError(
                f"the database {path} was {'replaced' if found else 'deleted'} while this process had it open",
                remedy="stop favsync, restore the file as docs/backup.md says, and start it again",
            )

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            "BEGIN" if connection.get_execution_options().get("is_reading") else "BEGIN IMMEDIATE"
        )

    event.listen(engine, "connect", prepare)
    event.listen(engine, "do_connect", require_same_file)  # or SQLite would create an empty one
    event.listen(engine, "checkout", require_same_file)
    event.listen(engine, "begin", begin)
    return engine


def _file_number(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, None if there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def is_pooled(bind: Engine | Connection) -> bool:
    """True if a session of PostgreSQL lasts for one transaction, so that it keeps neither locks nor settings."""
    return bool(bind.get_execution_options().get("is_pooled"))


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection for reading: it takes no write lock, and sees one state of the database throughout."""
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
    """Yield a connection in one transaction, which is committed at the end, or undone by whatever is raised."""
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
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    line = "; ".join(lines[1:]) if len(lines) > 1 and lines[0].startswith(SEVERAL_ATTEMPTS) else "".join(lines[:1])
    where = engine.url.render_as_string(hide_password=True)
    sqlstate = getattr(cause, "sqlstate", None)
    is_connected = sqlstate is not None or engine.dialect.name == "sqlite"
    if sqlstate == DEPENDENT_OBJECTS:
        line += f" ({'; '.join(cause.diag.message_detail.splitlines())})"  # type: ignore[attr-defined]
    line = line or type(cause).__name__
    return DatabaseError(f"{where}: {line}", remedy=remedy_for(line, sqlstate, is_connected=is_connected))

"""Holding something alone, across processes and machines.

PostgreSQL: a session-level advisory lock on a connection of its own. SQLite: ``flock`` on a file beside the database. Both are
let go by the server or the kernel when the process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from pathlib import Path

from sqlalchemy import Connection, Engine, Executable, text
from sqlalchemy.exc import SQLAlchemyError

from etl import clock
from etl.db.engine import database_errors
from etl.errors import DatabaseError, RunInProgress

NAP_SECONDS = 0.1


class LockKind(Enum):
    """What can be held, with its own space of advisory keys and its own kind of lock file."""

    RUN = (0x0FA5 << 44, ".lock-{}")
    TOKEN = (0x0FA6 << 44, ".lock-token-{}")
    SCHEDULER = (0x0FA7 << 44, ".lock-scheduler")


class Lock:
    """Something held; `is_lost` is true once the server has released it."""

    def __init__(self, connection: Connection | None = None) -> None:
        self._connection = connection

    def is_lost(self) -> bool:
        """Return whether the connection that holds it is gone; a lock file cannot get lost."""
        if self._connection is None:
            return False
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return True
        return False


@contextmanager
def try_lock(engine: Engine, what: LockKind, number: int = 0) -> Iterator[Lock | None]:
    """Hold ``what`` with this ``number`` for the block; None where somebody else does.

    Raises: DatabaseError.
    """
    space, suffix = what.value
    is_postgresql = engine.dialect.name == "postgresql"
    held = _postgresql(engine, space + number) if is_postgresql else _sqlite(engine, suffix.format(number))
    with held as mine:
        yield mine


@contextmanager
def try_lock_all(engine: Engine, what: LockKind, numbers: Iterable[int]) -> Iterator[int | None]:
    """Hold ``what`` with each of ``numbers`` for the block; yield the first that another process holds, else None.

    On PostgreSQL they share one connection, so that they may be many.

    Raises: DatabaseError.
    """
    wanted = sorted(numbers)
    if engine.dialect.name == "postgresql":
        with _all_postgresql(engine, [what.value[0] + number for number in wanted]) as missed:
            yield None if missed is None else missed - what.value[0]
        return
    with ExitStack() as held:
        yield next((n for n in wanted if held.enter_context(try_lock(engine, what, n)) is None), None)


@contextmanager
def _all_postgresql(engine: Engine, keys: list[int]) -> Iterator[int | None]:
    with database_errors(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        lock = text("SELECT pg_try_advisory_lock(:key)")
        missed = next((key for key in keys if not connection.execute(lock, {"key": key}).scalar()), None)
    try:
        yield missed
    finally:
        _let_go(connection, text("SELECT pg_advisory_unlock_all() IS NOT NULL"))


@contextmanager
def lock(engine: Engine, what: LockKind, number: int, wait_seconds: float) -> Iterator[None]:
    """Hold ``what`` with this ``number`` as soon as its holder releases it.

    Raises: RunInProgress, where that takes longer than ``wait_seconds``; DatabaseError.
    """
    until = clock.monotonic() + wait_seconds
    while True:
        with try_lock(engine, what, number) as mine:
            if mine is not None:
                yield
                return
        if clock.monotonic() > until:
            raise RunInProgress("another favsync renews this account's token", remedy="try again in a moment")
        threading.Event().wait(NAP_SECONDS)


@contextmanager
def _postgresql(engine: Engine, key: int) -> Iterator[Lock | None]:
    with database_errors(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        is_mine = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar())
    try:
        yield Lock(connection) if is_mine else None
    finally:
        _let_go(connection, text("SELECT pg_advisory_unlock(:key)").bindparams(key=key) if is_mine else None)


def _let_go(connection: Connection, unlock: Executable | None) -> None:
    """Return the connection; where the server does not say that it holds nothing any more, end it with all it holds."""
    is_free = unlock is None
    if unlock is not None:
        with suppress(SQLAlchemyError):
            is_free = bool(connection.execute(unlock).scalar())
    if not is_free:
        connection.invalidate()
    connection.close()


@contextmanager
def _sqlite(engine: Engine, suffix: str) -> Iterator[Lock | None]:
    path = Path(os.path.realpath(str(engine.url.database)) + suffix)  # one file has one lock, whatever leads to it
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        remedy = "let this user write to the database's folder"
        if path.exists():
            remedy = f"it is a lock of {_owner(path)}: remove it while no favsync runs, and run favsync as one user"
        raise DatabaseError(f"cannot open the lock {path}: {error.strerror}", remedy=remedy) from None
    try:
        yield Lock() if _try_flock(lock) else None
    finally:
        os.close(lock)


def _owner(path: Path) -> str:
    try:
        return f"user {path.owner()}"
    except KeyError:  # a user of a container or of another machine
        return f"user {path.stat().st_uid}"


def _try_flock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

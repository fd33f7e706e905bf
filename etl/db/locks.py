"""Holding something alone, across processes and machines.

PostgreSQL: advisory locks of a session, on one connection for all of a process (`Leases`). SQLite: ``flock`` on a file beside the
database. Both end with the process, however it dies. Behind a pooler in transaction mode, an advisory lock lasts for a
transaction, which is kept open.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from enum import Enum
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Executable, text
from sqlalchemy.exc import SQLAlchemyError

from etl import clock
from etl.db.engine import database_errors, is_pooled, write_transaction
from etl.errors import DatabaseError, RunInProgress

NAP_SECONDS = 0.1


class LockKind(Enum):
    """What can be held, with its own space of advisory keys and its own kind of lock file."""

    RUN = (0x0FA5 << 44, ".lock-{}")
    TOKEN = (0x0FA6 << 44, ".lock-token-{}")
    SCHEDULER = (0x0FA7 << 44, ".lock-scheduler")


class Lock:
    """Something held; `is_lost` is true once the server has released it."""

    def __init__(self, connection: Connection | None = None, leases: Leases | None = None) -> None:
        """``leases``: the owner of a connection that several locks share."""
        self._connection = connection
        self._leases = leases

    def is_lost(self) -> bool:
        """Return whether the connection that holds it is gone; a lock file cannot get lost."""
        if self._connection is None:
            return False
        with self._leases.mutex if self._leases else nullcontext():
            try:
                self._connection.execute(text("SELECT 1"))
            except SQLAlchemyError:
                if self._leases:
                    self._leases.drop(self._connection)
                return True
        return False


@contextmanager
def try_lock(engine: Engine, what: LockKind, number: int = 0) -> Iterator[Lock | None]:
    """Hold ``what`` with this ``number`` for the block; None where somebody else does.

    Raises: DatabaseError.
    """
    space, suffix = what.value
    if is_pooled(engine):
        with _in_transaction(engine, [space + number]) as (connection, missed):
            yield Lock(connection) if missed is None else None
        return
    is_postgresql = engine.dialect.name == "postgresql"
    held = leases(engine).lease(space + number) if is_postgresql else _sqlite(engine, suffix.format(number))
    with held as mine:
        yield mine


@contextmanager
def try_lock_all(engine: Engine, what: LockKind, numbers: Iterable[int]) -> Iterator[int | None]:
    """Hold ``what`` with each of ``numbers`` for the block; yield the first that another process holds, else None.

    On PostgreSQL they share one connection, so that they may be many.

    Raises: DatabaseError.
    """
    wanted = sorted(numbers)
    if is_pooled(engine):
        with _in_transaction(engine, [what.value[0] + number for number in wanted]) as (_, missed):
            yield None if missed is None else missed - what.value[0]
        return
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
def _in_transaction(engine: Engine, keys: list[int]) -> Iterator[tuple[Connection, int | None]]:
    """Hold the keys for a transaction; yield its connection, and the first key that another session holds."""
    lock = text("SELECT pg_try_advisory_xact_lock(:key)")
    with write_transaction(engine) as connection:
        yield connection, next((key for key in keys if not connection.execute(lock, {"key": key}).scalar()), None)


def wait_for(connection: Connection, what: LockKind, number: int) -> None:
    """Hold ``what`` with this ``number`` until the transaction ends, as soon as no other session has it. PostgreSQL only."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": what.value[0] + number})


class Leases:
    """The advisory locks of this process at one PostgreSQL server, over one connection. It is open while one is held.

    A session may take its own lock twice, so a key that a thread has is refused here. If the connection is lost, so are all
    locks.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.mutex = threading.RLock()
        self._connection: Connection | None = None
        self._held: dict[int, Lock] = {}

    @contextmanager
    def lease(self, key: int) -> Iterator[Lock | None]:
        """Hold ``key`` for the block; None if somebody else does.

        Raises: DatabaseError.
        """
        with database_errors(self._engine):
            mine = self._take(key)
        try:
            yield mine
        finally:
            if mine is not None:
                self._release(key, mine)

    def _take(self, key: int) -> Lock | None:
        lock = text("SELECT pg_try_advisory_lock(:key)")
        with self.mutex:
            if key in self._held and not self._held[key].is_lost():
                return None
            try:
                is_mine = self._open().execute(lock, {"key": key}).scalar()
            except SQLAlchemyError:  # the connection was lost meanwhile
                self.drop(self._connection)
                is_mine = self._open().execute(lock, {"key": key}).scalar()
            if is_mine:
                self._held[key] = Lock(self._connection, self)
            elif not self._held:
                self._close()
            return self._held[key] if is_mine else None

    def _release(self, key: int, mine: Lock) -> None:
        with self.mutex:
            if self._held.get(key) is not mine:
                return  # lost with its connection
            del self._held[key]
            is_free = False
            with suppress(SQLAlchemyError):
                unlock = text("SELECT pg_advisory_unlock(:key)")
                is_free = bool(self._open().execute(unlock, {"key": key}).scalar())
            if not is_free:
                self.drop(self._connection)
            elif not self._held:
                self._close()

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    def drop(self, connection: Connection | None) -> None:
        """End the connection with all that it holds, unless another one has replaced it."""
        if connection is not self._connection:
            return
        self._held.clear()
        if self._connection is not None:
            self._connection.invalidate()
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


_leases: WeakKeyDictionary[Engine, Leases] = WeakKeyDictionary()
_leases_mutex = threading.Lock()


def leases(engine: Engine) -> Leases:
    """Return the leases of this process at the engine's server."""
    with _leases_mutex:
        return _leases.setdefault(engine, Leases(engine))


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

"""Leader election: one scheduler per database is active, the others wait. A file of its own, since it owns the lock."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from sqlalchemy import Engine

from etl.db.locks import Lock, LockKind, try_lock
from etl.errors import DatabaseError


class Leadership:
    """The scheduler lock of a database. Use it from one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stack = ExitStack()
        self._lock: Lock | None = None

    def is_mine(self) -> bool:
        """True if this process holds the lock; tries to take it if not.

        Raises: DatabaseError, and the lock is no longer held.
        """
        if self._lock is None or self._lock.is_lost():
            self.resign()
            self._lock = self._stack.enter_context(try_lock(self._engine, LockKind.SCHEDULER))
            if self._lock is None:
                self.resign()
        return self._lock is not None

    def resign(self) -> None:
        """Release the lock."""
        self._lock = None
        with suppress(DatabaseError):
            self._stack.close()

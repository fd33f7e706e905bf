"""One scheduler at a time on one database; the others stand by."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import Engine

from etl.db.locks import Lock, LockKind, try_lock
from etl.errors import DatabaseError


class Leadership:
    """Whether this process is the scheduler of the database; asked by one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stack = ExitStack()
        self._hold: Lock | None = None

    def is_mine(self) -> bool:
        """Return whether this process is the one, trying to become it where it is not.

        Raises: DatabaseError, where the database cannot be asked; then it is not the one any more.
        """
        if self._hold is not None and not self._hold.is_lost():
            return True
        self.resign()
        self._hold = self._stack.enter_context(try_lock(self._engine, LockKind.SCHEDULER))
        if self._hold is None:
            self.resign()
        return self._hold is not None

    def resign(self) -> None:
        """Let another process be the one."""
        self._hold = None
        try:
            self._stack.close()
        except DatabaseError:
            return

"""A few threads at a time, each for one account.

Own, because `concurrent.futures` joins its threads at the interpreter's end, which a run that hangs would hold up; these are
daemons, and a run that dies with its process leaves the history as it was before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from etl import logs

log = logs.get(__name__)


class Pool:
    """At most ``size`` threads, each under the number of its account."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._running: set[int] = set()
        self._ended = threading.Condition()

    def running(self) -> set[int]:
        """Return the numbers under way."""
        with self._ended:
            return set(self._running)

    def start(self, number: int, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Do ``work`` in a thread, and ``then`` once the number is free again."""

        def carry_out() -> None:
            try:
                work()
            except Exception:
                log.exception("an account's turn ended in a bug")
            finally:
                with self._ended:
                    self._running.discard(number)
                    self._ended.notify_all()
            then()

        with self._ended:
            self._running.add(number)
        threading.Thread(target=carry_out, name=f"favsync-account-{number}", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait until none is under way, at most so long, and return whether that is so."""
        with self._ended:
            return self._ended.wait_for(lambda: not self._running, timeout=max(seconds, 0.0))

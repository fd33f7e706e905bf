"""The threads of the service: the ticker (sole user of APScheduler) and the workers, one account each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC

from etl import logs

log = logs.get(__name__)


@contextmanager
def ticker(tick: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call ``tick`` in a thread every ``seconds`` during the block, one call at a time."""
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns whenever it skips a tick during a long one
    # Without this misfire setting, APScheduler silently drops a tick that is a second late.
    defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)
    scheduler.add_job(tick, "interval", seconds=seconds)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


class Pool:
    """At most ``size`` threads, each under a number, such as the id of its account.

    `concurrent.futures` joins its threads when the interpreter exits, so one stuck run would block the exit. These threads are
    daemons: a run that dies with the process leaves the history unchanged.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._running: set[int] = set()
        self._ended = threading.Condition()

    def running(self) -> set[int]:
        """Return the numbers of the threads that run now."""
        with self._ended:
            return set(self._running)

    def start(self, number: int, work: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Run ``work`` in a thread, and ``then`` once the number is free again."""

        def run() -> None:
            try:
                work()
            except Exception:
                log.exception("unexpected error in a worker")
            finally:
                with self._ended:
                    self._running.discard(number)
                    self._ended.notify_all()
            then()

        with self._ended:
            self._running.add(number)
        threading.Thread(target=run, name=f"favsync-worker-{number}", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for all threads. True if all have ended."""
        with self._ended:
            return self._ended.wait_for(lambda: not self._running, timeout=max(seconds, 0.0))

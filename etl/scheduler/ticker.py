"""APScheduler with one job: the tick.

One job, since two processes on one job store ran each job twice; kept in memory, since the accounts' turns are in our own
tables; without a misfire limit, since APScheduler's one second drops late runs in silence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC


@contextmanager
def ticker(tick: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call ``tick`` every so many seconds, in a thread, one call at a time, for the block."""
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that takes long is skipped, which is no news
    defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)
    scheduler.add_job(tick, "interval", seconds=seconds)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)

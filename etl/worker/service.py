"""One worker process: takes jobs from the queue and syncs their accounts, until it is stopped.

After a stop signal it takes no further job; the others end, or are abandoned once the grace period is over, which changes nothing
and makes their accounts due again. A database that goes away is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import procrastinate
import psycopg
from procrastinate.exceptions import ProcrastinateException
from psycopg_pool import PoolTimeout
from sqlalchemy import Engine

from etl import clock, logs
from etl.config import Config
from etl.db.engine import is_pooled
from etl.db.postgresql import connection_options, session_statement
from etl.errors import FavsyncError
from etl.scheduler.due_sync import DueSync
from etl.scheduler.service import ServiceStatus
from etl.scheduler.systemd import notify
from etl.worker.engine_tables import require_workers
from etl.worker.jobs import HEARTBEAT_SECONDS, QUEUE, STALLED_SECONDS, Dispatcher, app_with_jobs, rescue_stalled

WAKE_SECONDS = 0.25
POLL_SECONDS = 5.0
RESTART_SECONDS = 5.0
# Beside the syncs: fetching jobs, listening, heartbeats, periodic jobs.
ENGINE_CONNECTIONS = 4
log = logs.get(__name__)


class Worker:
    """A worker process of a PostgreSQL database. ``sync`` has the hooks of its runs.

    Raises: UsageError, SettingsError, SchemaOutdated, where workers cannot run; DatabaseError.
    """

    def __init__(self, config: Config, engine: Engine, *, concurrency: int = 4, grace_seconds: float = 30.0) -> None:
        require_workers(engine)
        for name in ("procrastinate", "psycopg.pool"):  # they log each job and each lost connection
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._abandon = threading.Event()
        self.sync = DueSync(config, engine, self._abandon)
        self.pulse = ServiceStatus()
        self._config = config
        self._concurrency = concurrency
        self._grace_seconds = grace_seconds
        self._options = connection_options(config.database_url.reveal()) | {
            "fallback_application_name": "favsync worker"
        }
        self._is_pooled = is_pooled(engine)
        self._dispatcher = Dispatcher(config, engine)
        self._running = 0
        self._counting = threading.Lock()
        self.sync.before_run.append(lambda _name: self._count(1))
        self.sync.after_run.append(lambda _finished: self._count(-1))

    def run(self, stop: threading.Event) -> None:
        """Work off the queue until ``stop`` is set."""
        log.info("worker started", concurrency=self._concurrency, schedule=self._config.schedule)
        is_prepared = False
        while not stop.is_set():
            try:
                if not is_prepared:
                    self._dispatcher.reschedule(is_start=True)
                    is_prepared = True
                notify("READY=1")
                asyncio.run(self._work(stop, is_periodic=True))
            except (FavsyncError, ProcrastinateException, PoolTimeout, ExceptionGroup) as error:
                log.error("worker cannot work", error=str(error) or type(error).__name__)
            if not stop.is_set():
                log.warning("worker starts again", seconds=RESTART_SECONDS)
                stop.wait(RESTART_SECONDS)
        log.info("worker stopped", abandoned=self._abandon.is_set())

    def run_once(self, stop: threading.Event) -> None:
        """Sync the accounts that are due now with the jobs that wait, then return.

        Raises: DatabaseError, if the database goes away.
        """
        log.info("worker started", concurrency=self._concurrency, schedule=self._config.schedule, once=True)
        self._dispatcher.reschedule(is_start=True)
        is_first = True
        while not stop.is_set() and (self._dispatcher.dispatch() or is_first):
            is_first = False
            asyncio.run(self._work(stop, is_periodic=False))
        log.info("worker stopped", abandoned=self._abandon.is_set())

    async def _work(self, stop: threading.Event, *, is_periodic: bool) -> None:
        """Run the engine's worker until it ends or ``stop`` is set."""
        loop = asyncio.get_running_loop()
        # The default has a few threads for each core, however many accounts may be synced at once.
        loop.set_default_executor(ThreadPoolExecutor(self._concurrency + 1, "favsync-worker"))
        connector = procrastinate.PsycopgConnector(
            min_size=1,
            max_size=ENGINE_CONNECTIONS,
            kwargs=self._options | ({"prepare_threshold": None} if self._is_pooled else {}),
            configure=None if self._is_pooled else _prepare,
        )
        app = app_with_jobs(connector, self.sync, self._dispatcher, is_periodic=is_periodic)
        async with app.open_async():
            if not is_periodic:
                await rescue_stalled(app)
            engine_worker = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=self._concurrency,
                    wait=is_periodic,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    listen_notify=not self._is_pooled,
                    fetch_job_polling_interval=POLL_SECONDS,
                    update_heartbeat_interval=HEARTBEAT_SECONDS,
                    stalled_worker_timeout=STALLED_SECONDS,
                )
            )
            while not engine_worker.done() and not stop.is_set():
                self._beat()
                await asyncio.wait([engine_worker], timeout=WAKE_SECONDS)
            if not engine_worker.done():
                await self._end(engine_worker)
            with suppress(asyncio.CancelledError):
                await engine_worker

    async def _end(self, engine_worker: asyncio.Task[None]) -> None:
        """Stop taking jobs, and let the others end within the grace period."""
        notify("STOPPING=1")
        log.info("worker stopping", running=self._running)
        engine_worker.cancel()  # the engine stops gracefully
        await asyncio.wait([engine_worker], timeout=self._grace_seconds)
        if not engine_worker.done():
            self._abandon.set()

    def _beat(self) -> None:
        notify("WATCHDOG=1")
        self.pulse = ServiceStatus(is_leader=True, running=self._running, ticked_at=clock.monotonic())

    def _count(self, change: int) -> None:
        with self._counting:
            self._running += change


async def _prepare(connection: psycopg.AsyncConnection[Any]) -> None:
    """Set what the code depends on, whatever the defaults of role, database and environment are."""
    await connection.execute(session_statement())
    await connection.commit()

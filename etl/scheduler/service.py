"""The scheduler service: syncs the accounts that are due, until it is stopped.

Every tick checks that this process is the only scheduler of its database and fills the free workers; a worker that ends fills its
own place at once. The queue is a table, so accounts may change while the service runs, and downtime is caught up once.

Invariants: an account has one run at a time. Its next run is written when this one ends, so after a crash it is due. After a stop
no run begins; the others end or are abandoned within the grace period, which leaves the history unchanged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from etl import clock, logs
from etl.config import Config
from etl.db.engine import read_transaction, write_transaction
from etl.errors import FavsyncError, RunInProgress
from etl.scheduler import queue
from etl.scheduler.due_sync import DueSync, FinishedRun, reschedule_outdated
from etl.scheduler.leader import Leadership
from etl.scheduler.queue import DueAccount
from etl.scheduler.systemd import notify
from etl.scheduler.workers import Pool, ticker

__all__ = ["FinishedRun", "Service", "ServiceStatus"]
TICK_SECONDS = 2.0
COOLING_SECONDS = 60.0
LAST_SECONDS = 1.0
WAKE_SECONDS = 0.5
LATEST = datetime.max.replace(tzinfo=UTC)
log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The state of the service. ``lag_seconds``: how long the account that waits longest has been due."""

    is_leader: bool = False
    lag_seconds: float = 0.0
    running: int = 0
    ticked_at: float = float("-inf")


class Service:
    """Syncs the accounts of one database on their schedules. Callers may append to ``before_run`` and ``after_run``.

    Raises: UsageError, if FAVSYNC_SCHEDULE is not a schedule; SettingsError, if a setting is missing.
    """

    def __init__(self, config: Config, engine: Engine, *, workers: int = 4, grace_seconds: float = 30.0) -> None:
        self._abandon = threading.Event()
        self._sync = DueSync(config, engine, self._abandon)
        self.before_run, self.after_run = self._sync.before_run, self._sync.after_run
        self.pulse = ServiceStatus()
        self._config = config
        self._engine = engine
        self._grace_seconds = grace_seconds
        self._pool = Pool(workers)
        self._leadership = Leadership(engine)
        self._ticking = threading.Lock()
        self._filling = threading.Lock()
        self._is_stopping = False
        self._is_started = False
        self._was_leader: bool | None = None
        self._due_until = LATEST
        self._last_error = ""
        self._cooling: dict[int, float] = {}

    def run(self, stop: threading.Event, tick_seconds: float | None = None) -> bool:
        """Serve until ``stop`` is set. True if every run ended, or was given up in time."""
        log.info("scheduler started", workers=self._pool.size, schedule=self._config.schedule)
        self.tick()
        with ticker(self.tick, tick_seconds or TICK_SECONDS):
            notify("READY=1")
            while not stop.wait(WAKE_SECONDS):  # the main thread must wake up to handle a signal
                pass
            notify("STOPPING=1")
        return self.stop()

    def run_once(self, stop: threading.Event) -> bool:
        """Sync each account that is due now, once, then stop. Returns what `run` returns.

        Raises: RunInProgress, if another scheduler of this database is active; DatabaseError.
        """
        log.info("scheduler started", workers=self._pool.size, schedule=self._config.schedule, once=True)
        self._due_until = clock.now()
        try:
            if not self._leadership.is_mine():
                raise RunInProgress("another scheduler of this database is active", remedy="leave the accounts to it")
            self.pulse = ServiceStatus(is_leader=True, ticked_at=clock.monotonic())
            self._reschedule()
            while not stop.is_set() and (self._fill() or self._pool.running()):
                self._pool.wait(WAKE_SECONDS)
        finally:
            is_done = self.stop()
        return is_done

    def tick(self) -> None:
        """Check the leadership, then start the runs that are due and have a free worker."""
        with self._ticking:
            if self._is_stopping:
                return
            try:
                is_leader = self._leadership.is_mine()
                if is_leader != self._was_leader:
                    self._was_leader = is_leader
                    log.info("leadership acquired" if is_leader else "another scheduler leads")
                self._beat(is_leader)
                if is_leader:
                    self._reschedule()
                    self._fill()
                self._last_error = ""
            except FavsyncError as error:
                self._beat(is_leader=False)
                self._log_error(error)
            except Exception:
                log.exception("unexpected error in scheduler tick")

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the current runs. True if all have ended."""
        return self._pool.wait(seconds)

    def stop(self) -> bool:
        """Start no more runs. Let the current ones end, or abandon them shortly before the grace period is over."""
        with self._filling:
            self._is_stopping = True
        log.info("scheduler stopping", running=len(self._pool.running()))
        reserve = min(5.0, self._grace_seconds / 3)
        is_done = self._pool.wait(self._grace_seconds - reserve)
        if not is_done:
            self._abandon.set()
            is_done = self._pool.wait(max(reserve, LAST_SECONDS))
        with self._ticking:
            self._leadership.resign()
            self.pulse = ServiceStatus(ticked_at=self.pulse.ticked_at)
        log.info("scheduler stopped", abandoned=self._abandon.is_set())
        return is_done

    def _beat(self, is_leader: bool) -> None:
        notify("WATCHDOG=1")
        lag = self.pulse.lag_seconds if is_leader else 0.0
        self.pulse = ServiceStatus(is_leader, lag, len(self._pool.running()), clock.monotonic())

    def _log_error(self, error: FavsyncError) -> None:
        """Log an error that stops the service once, and not at every tick."""
        if str(error) != self._last_error:
            self._last_error = str(error)
            log.error("scheduler cannot work", error=str(error), remedy=error.remedy)

    def _reschedule(self) -> None:
        """Compute the next runs anew that are out of date. At a tick, an index shows whether there are any."""
        now, config = clock.now(), self._config
        with read_transaction(self._engine) as connection:
            is_wrong = bool(queue.dated_ahead(connection, config.schedule, now))
        if is_wrong or not self._is_started:
            with write_transaction(self._engine) as connection:
                reschedule_outdated(connection, config, now, is_start=not self._is_started)
        self._is_started = True

    def _fill(self) -> bool:
        """Start the runs that are due and have a free worker. True if there was one."""
        with self._filling:
            running = self._pool.running()
            free = self._pool.size - len(running)
            if self._is_stopping or not self.pulse.is_leader or free <= 0:
                return False
            now = min(clock.now(), self._due_until)
            self._cooling = {each: until for each, until in self._cooling.items() if until > clock.monotonic()}
            with read_transaction(self._engine) as connection:
                busy = running | self._cooling.keys()
                found = queue.due(connection, self._config.schedule, now, busy=busy, limit=free)
            waits = [(now - each.next_run_at).total_seconds() for each in found]
            self.pulse = ServiceStatus(True, max(waits, default=0.0), len(running) + len(found), clock.monotonic())
            for each in found:
                self._pool.start(each.account.account_id, self._job(each), self._refill)
            return bool(found)

    def _refill(self) -> None:
        try:
            self._fill()
        except FavsyncError as error:
            self._log_error(error)

    def _job(self, due: DueAccount) -> Callable[[], None]:
        """Return the work of one run."""

        def job() -> None:
            if not self._sync.sync(due).is_settled:
                # Without a new time the account stays due. It must not run in an endless loop, for example on a full disk.
                self._cooling = {**self._cooling, due.account.account_id: clock.monotonic() + COOLING_SECONDS}

        return job

"""The service: picks the accounts that are due and syncs them, until it is told to stop.

A tick makes sure that this is the one scheduler of the database, and fills the free places; whoever ends a turn fills its place
again at once. The queue is the database, so that accounts may be added, changed and removed while it runs, and downtime is
caught up once.

Invariants: an account has one turn at a time; its next turn is written when this one ends, so that after a crash it is due; told
to stop, no turn is begun, and those under way end or are abandoned within the grace, which leaves the history as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import Engine

from etl import clock, logs
from etl.accounts.session import connect, http_options
from etl.config import Config
from etl.db.engine import read_transaction, write_transaction
from etl.errors import CredentialsError, FavsyncError, RunInProgress, UsageError
from etl.model.records import Outcome, Trigger
from etl.scheduler import next_run, queue, schedule
from etl.scheduler.leader import Leadership
from etl.scheduler.queue import DueAccount
from etl.scheduler.systemd import notify
from etl.scheduler.ticker import ticker
from etl.scheduler.workers import Pool
from etl.sync import RunOptions, RunResult, sync_account

TICK_SECONDS = 2.0
COOLING_SECONDS = 60.0
LAST_SECONDS = 1.0
WAKE_SECONDS = 0.5
LATEST = datetime.max.replace(tzinfo=UTC)
log = logs.get(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """One turn that ended: the run's report, and the requests that it took, by HTTP status."""

    report: RunResult
    requests_by_status: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How the service is. ``lag_seconds``: how long the account that waits longest has been due."""

    is_leader: bool = False
    lag_seconds: float = 0.0
    running: int = 0
    ticked_at: float = float("-inf")


class Service:
    """Syncs the accounts of one database on their schedules. ``before_run`` and ``after_run`` may be appended to.

    Raises: UsageError, where FAVSYNC_SCHEDULE is no schedule, or a setting is missing.
    """

    def __init__(self, config: Config, engine: Engine, *, workers: int = 4, grace_seconds: float = 30.0) -> None:
        schedule.parse(config.schedule)
        http_options(config)
        self.before_run: list[Callable[[str], None]] = []
        self.after_run: list[Callable[[FinishedRun], None]] = []
        self._config = config
        self._engine = engine
        self._grace_seconds = grace_seconds
        self._way = RunOptions.configured(config, trigger=Trigger.SCHEDULE)
        self._pool = Pool(workers)
        self._leadership = Leadership(engine)
        self._ticking = threading.Lock()
        self._filling = threading.Lock()
        self._abandon = threading.Event()
        self._is_stopping = False
        self._pulse = ServiceStatus()
        self._until: datetime | None = None
        self._was_leader: bool | None = None
        self._trouble = ""
        self._told: dict[int, str] = {}
        self._cooling: dict[int, float] = {}

    @property
    def pulse(self) -> ServiceStatus:
        """How the service is now."""
        return self._pulse

    def run(self, stop: threading.Event, tick_seconds: float | None = None) -> bool:
        """Serve until ``stop`` is set, and return whether every turn ended by itself or was given up in time."""
        log.info("the scheduler starts", workers=self._pool.size, schedule=self._config.schedule)
        self.tick()
        with ticker(self.tick, tick_seconds or TICK_SECONDS):
            notify("READY=1")
            while not stop.wait(WAKE_SECONDS):  # a signal that another thread was given is seen when this one wakes
                pass
            notify("STOPPING=1")
        return self.stop()

    def run_once(self, stop: threading.Event) -> bool:
        """Sync the accounts that are due now, each once, then end; return what `run` does.

        Raises: RunInProgress, where another scheduler of this database is at work; DatabaseError.
        """
        log.info("the accounts that are due are synced, once", workers=self._pool.size, schedule=self._config.schedule)
        self._until = clock.now()
        try:
            if not self._leadership.is_mine():
                raise RunInProgress("another scheduler of this database is at work", remedy="leave the accounts to it")
            self._pulse = ServiceStatus(is_leader=True, ticked_at=clock.monotonic())
            self._move()
            while not stop.is_set() and (self._fill() or self._pool.running()):
                self._pool.wait(WAKE_SECONDS)
        finally:
            is_done = self.stop()
        return is_done

    def tick(self) -> None:
        """Make sure of the leadership, and begin the turns that are due and have a place."""
        with self._ticking:
            if not self._is_stopping:
                self._tick()

    def wait(self, seconds: float) -> bool:
        """Wait until no turn is under way, at most so long, and return whether that is so."""
        return self._pool.wait(seconds)

    def stop(self) -> bool:
        """Begin no more turns; let those under way end, or abandon them when the grace is nearly over."""
        with self._filling:
            self._is_stopping = True
        under_way = len(self._pool.running())
        log.info("the scheduler stops", runs_under_way=under_way)
        reserve = min(5.0, self._grace_seconds / 3)
        is_done = self._pool.wait(self._grace_seconds - reserve)
        if not is_done:
            self._abandon.set()
            is_done = self._pool.wait(max(reserve, LAST_SECONDS))
        with self._ticking:
            self._leadership.resign()
            self._pulse = ServiceStatus(ticked_at=self._pulse.ticked_at)
        log.info("the scheduler stopped", abandoned=self._abandon.is_set())
        return is_done

    def _tick(self) -> None:
        try:
            is_leader = self._leadership.is_mine()
            if is_leader != self._was_leader:
                self._was_leader = is_leader
                log.info("this scheduler syncs now" if is_leader else "another scheduler syncs; this one stands by")
            self._beat(is_leader)
            if is_leader:
                self._move()
                self._fill()
            self._trouble = ""
        except FavsyncError as error:
            self._beat(is_leader=False)
            self._complain(str(error))
        except Exception:
            log.exception("a tick ended in a bug")

    def _beat(self, is_leader: bool) -> None:
        notify("WATCHDOG=1")
        lag = self._pulse.lag_seconds if is_leader else 0.0
        self._pulse = ServiceStatus(is_leader, lag, len(self._pool.running()), clock.monotonic())

    def _complain(self, trouble: str) -> None:
        """Say once what keeps the service from working, and not every two seconds."""
        if trouble != self._trouble:
            self._trouble = trouble
            log.error("the scheduler cannot work", error=trouble)

    def _move(self) -> None:
        """Give a new next turn to accounts whose schedule was changed, or that work again, as a run by hand has shown."""
        with read_transaction(self._engine) as connection:
            moved = queue.moved(connection, self._config.schedule)
            recovered = queue.recovered(connection, self._config.schedule)
        now = clock.now()
        failures = {each: each.failures_in_a_row for each in moved} | dict.fromkeys(recovered, 0)
        for each, count in failures.items():
            at = self._schedule(each).next_after(now, each.account.account_id)
            self._put(each, next_run.NextRun(at, count), now)

    def _fill(self) -> bool:
        """Begin the turns that are due and have a place, and return whether there was one."""
        with self._filling:
            running = self._pool.running()
            free = self._pool.size - len(running)
            if self._is_stopping or not self._pulse.is_leader or free <= 0:
                return False
            now = min(clock.now(), self._until or LATEST)
            busy = running | self._cooled()
            with read_transaction(self._engine) as connection:
                found = queue.due(connection, self._config.schedule, now, busy=busy, limit=free)
            lag = max((_late(each, now).total_seconds() for each in found), default=0.0)
            self._pulse = ServiceStatus(True, lag, len(running) + len(found), clock.monotonic())
            for each in found:
                self._pool.start(each.account.account_id, self._turn(each), self._refill)
            return bool(found)

    def _refill(self) -> None:
        try:
            self._fill()
        except FavsyncError as error:
            self._complain(str(error))

    def _cooled(self) -> set[int]:
        """Return the accounts whose turn could not be settled lately, so that a full disk is no endless loop."""
        self._cooling = {number: until for number, until in self._cooling.items() if until > clock.monotonic()}
        return set(self._cooling)

    def _turn(self, appointment: DueAccount) -> Callable[[], None]:
        name, number = appointment.account.name, appointment.account.account_id

        def turn() -> None:
            for before in self.before_run:
                self._call(before, name, name)
            ran = self._ran(appointment)
            try:
                if not self._abandon.is_set() or ran.report.error is None:
                    self._settle(appointment, ran.report)
            except FavsyncError as error:
                self._cooling = {**self._cooling, number: clock.monotonic() + COOLING_SECONDS}
                log.error("an account's next turn cannot be written", account=name, error=str(error))
            for hook in self.after_run:
                self._call(hook, ran, name)

        return turn

    def _ran(self, appointment: DueAccount) -> FinishedRun:
        account = appointment.account
        started_at = clock.now()
        try:
            with connect(self._config, self._engine, account.name, self._abandon) as client:
                report = sync_account(self._engine, account, client, self._way)
                return FinishedRun(report, client.requests_by_status)
        except FavsyncError as error:
            self._tell(account.account_id, account.name, error)
            return FinishedRun(_failed(account.name, started_at, error))
        except Exception as error:
            log.exception("a run ended in a bug", account=account.name)
            return FinishedRun(_failed(account.name, started_at, FavsyncError(f"{type(error).__name__}: {error}")))

    def _tell(self, account_id: int, name: str, error: FavsyncError) -> None:
        """Say why there was no run, once for each reason."""
        if isinstance(error, RunInProgress):
            log.info("the account is busy", account=name, error=str(error))
        elif self._told.get(account_id) != str(error):
            self._told[account_id] = str(error)
            log.warning("the account cannot be synced", account=name, error=str(error), remedy=error.remedy)

    def _settle(self, appointment: DueAccount, report: RunResult) -> None:
        account = appointment.account
        if report.outcome != Outcome.FAILED:
            self._told.pop(account.account_id, None)
        result = next_run.RunOutcome(
            is_proven=report.proven,
            is_busy=isinstance(report.error, RunInProgress),
            is_dead=isinstance(report.error, CredentialsError) and report.run_id is None,
            retry_at=report.retry_at,
        )
        now = clock.now()
        schedule = self._schedule(appointment)
        turn = next_run.next_run(schedule, account.account_id, result, appointment.failures_in_a_row, now)
        self._put(appointment, turn, now)

    def _put(self, appointment: DueAccount, turn: next_run.NextRun, now: datetime) -> None:
        with write_transaction(self._engine) as connection:
            queue.set_next_run(
                connection,
                appointment.account.account_id,
                schedule=appointment.schedule,
                next_run_at=turn.next_run_at,
                failures_in_a_row=turn.failures_in_a_row,
                parked_until=turn.parked_until,
                now=now,
            )

    def _schedule(self, appointment: DueAccount) -> schedule.Schedule:
        try:
            return schedule.parse(appointment.schedule)
        except UsageError as error:
            log.warning("the account's schedule cannot be read", account=appointment.account.name, error=str(error))
            return schedule.parse(self._config.schedule)

    def _call(self, hook: Callable[[T], None], argument: T, name: str) -> None:
        try:
            hook(argument)
        except Exception:
            log.exception("what goes with a run failed", account=name)


def _failed(name: str, started_at: datetime, error: FavsyncError) -> RunResult:
    return RunResult(
        account=name,
        trigger=Trigger.SCHEDULE,
        started_at=started_at,
        reason=str(error),
        error=error,
        finished_at=clock.now(),
    )


def _late(appointment: DueAccount, now: datetime) -> timedelta:
    return now - appointment.next_run_at if appointment.next_run_at else timedelta(0)

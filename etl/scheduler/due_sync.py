"""Syncs one due account: connect, sync, write the next run. The scheduler and the workers share it.

The next run is written in the transaction that ends the run, so an account is never due for a run that is stored already. A run
that was abandoned writes none: the account stays due.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from etl import clock, logs
from etl.accounts.session import connect_known, http_options
from etl.accounts.token_rows import account_id_of
from etl.config import Config
from etl.db.engine import read_transaction, write_transaction
from etl.errors import CredentialsError, DatabaseError, FavsyncError, RunInProgress, UsageError
from etl.load.calendar import add_missing_rows, note_last_run
from etl.model.records import Outcome, RemovalGrace, Trigger
from etl.scheduler import queue, schedule
from etl.scheduler.next_run import NextRun, RunOutcome, look_delay, next_run
from etl.scheduler.queue import DueAccount
from etl.sync import RunOptions, RunResult, sync_account

log = logs.get(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The result of one scheduled run, and its requests by HTTP status. ``is_settled``: the next run is written."""

    report: RunResult
    requests_by_status: dict[str, int] = field(default_factory=dict)
    is_settled: bool = True


class DueSync:
    """Syncs due accounts of one database; safe to share between threads. Callers may append to ``before_run`` and ``after_run``.

    ``abandon``: once it is set, requests end early.

    Raises: UsageError, if FAVSYNC_SCHEDULE is not a schedule; SettingsError, if a setting is missing.
    """

    def __init__(self, config: Config, engine: Engine, abandon: threading.Event | None = None) -> None:
        schedule.parse(config.schedule)
        http_options(config)
        self.before_run: list[Callable[[str], None]] = []
        self.after_run: list[Callable[[FinishedRun], None]] = []
        self._config = config
        self._engine = engine
        self._abandon = abandon or threading.Event()
        self._options = RunOptions.configured(config, trigger=Trigger.SCHEDULE)
        self._logged: dict[int, str] = {}

    def sync_due_account(self, account_id: int) -> FinishedRun | None:
        """Sync the account if it is claimed or due, by the database's clock; None if it is neither.

        So a queue may deliver a job more than once. Raises: DatabaseError, if the calendar cannot be read.
        """
        with read_transaction(self._engine) as connection:
            due = queue.claimed(connection, self._config.schedule, account_id)
        return None if due is None else self.sync(due)

    def sync(self, due: DueAccount) -> FinishedRun:
        """Sync the account now, and write its next run. Failures are results."""
        name = due.account.name
        for before in self.before_run:
            _call(before, name, name)
        finished = self._sync(due)
        if finished.report.outcome != Outcome.FAILED:
            self._logged.pop(due.account.account_id, None)
        for after in self.after_run:
            _call(after, finished, name)
        return finished

    def _sync(self, due: DueAccount) -> FinishedRun:
        name, account_id, started_at = due.account.name, due.account.account_id, clock.now()

        def settle(connection: Connection, result: RunResult) -> None:
            self._settle(connection, due, result)

        options = replace(self._options, settle=settle)
        error: FavsyncError
        try:
            with connect_known(self._config, self._engine, due.account, due.token, self._abandon) as client:
                report = sync_account(self._engine, due.account, client, options)
                is_settled = not isinstance(report.error, DatabaseError)
                return FinishedRun(report, client.requests_by_status, is_settled)
        except FavsyncError as fault:
            error = fault
            if isinstance(error, RunInProgress):
                log.info("account is busy", account=name, error=str(error))
            elif self._logged.get(account_id) != str(error):
                self._logged[account_id] = str(error)
                log.warning("account not synced", account=name, error=str(error), remedy=error.remedy)
        except Exception as fault:
            log.exception("unexpected error in a run", account=name)
            error = FavsyncError(f"{type(fault).__name__}: {fault}")
        report = RunResult(
            account=name,
            trigger=Trigger.SCHEDULE,
            started_at=started_at,
            reason=str(error),
            error=error,
            finished_at=clock.now(),
        )
        return FinishedRun(report, is_settled=self._settle_failure(due, report))

    def _settle_failure(self, due: DueAccount, report: RunResult) -> bool:
        """Write the next run of an account whose run did not begin or broke off. True if that worked."""
        try:
            with write_transaction(self._engine) as connection:
                self._settle(connection, due, report)
        except FavsyncError as error:
            log.error("next run not saved", account=due.account.name, error=str(error), remedy=error.remedy)
            return False
        return True

    def _settle(self, connection: Connection, due: DueAccount, report: RunResult) -> None:
        """Write the account's next run, or release it if its run was abandoned."""
        account_id = due.account.account_id
        if self._abandon.is_set() and report.error is not None:
            queue.release(connection, account_id)
            return
        now = clock.now() + due.clock_offset
        outcome = run_outcome(report, self._options.grace, due.clock_offset)
        plan = parsed(due.schedule, self._config.schedule, due.account.name)
        coming = next_run(plan, account_id, outcome, due.failures_in_a_row, now)
        queue.set_next_run(connection, account_id, due.schedule, _with_stale_at(coming, plan, due, report), now)


def settle_manual(config: Config, account_id: int) -> Callable[[Connection, RunResult], None]:
    """Return what notes in the calendar how a manual run ended, and writes the account's next run if it proves the list."""

    def settle(connection: Connection, result: RunResult) -> None:
        if not result.proven:
            note_last_run(connection, account_id)
            return
        due = queue.calendar_row(connection, config.schedule, account_id)
        if due is not None:
            now, plan = clock.now(), parsed(due.schedule, config.schedule)
            coming = next_run(plan, account_id, run_outcome(result, config.grace), 0, now)
            queue.set_next_run(connection, account_id, due.schedule, _with_stale_at(coming, plan, due, result), now)

    return settle


def _with_stale_at(coming: NextRun, plan: schedule.Schedule, due: DueAccount, result: RunResult) -> NextRun:
    """Return the next run with the time from which on the account is stale."""
    since = result.observed_at if result.proven and result.observed_at else due.proven_at
    return (
        coming if since is None else dataclasses.replace(coming, stale_at=plan.stale_at(since, due.account.account_id))
    )


def reschedule(connection: Connection, config: Config, due: DueAccount, now: datetime) -> None:
    """Compute the account's next run from its schedule anew, as after a change of it. Its failures stay.

    Favourites that are missing are looked for in time.
    """
    account_id = due.account.account_id
    plan = parsed(due.schedule, config.schedule, due.account.name)
    at = plan.next_after(now, account_id)
    look_within = look_delay(config.grace.removal, queue.waiting_favourites(connection, account_id))
    if look_within is not None and not due.failures_in_a_row:
        at = min(at, now + look_within)
    stale_at = plan.stale_at(due.proven_at, account_id) if due.proven_at else None
    coming = NextRun(at, due.failures_in_a_row, stale_at=stale_at)
    queue.set_next_run(connection, account_id, due.schedule, coming, now)


def reschedule_outdated(connection: Connection, config: Config, now: datetime, *, is_start: bool) -> None:
    """Compute the next runs anew that a machine wrote while its clock was ahead.

    ``is_start``: also those of another schedule, and of accounts without a row; that reads all accounts.
    """
    found = queue.dated_ahead(connection, config.schedule, now)
    if is_start:
        add_missing_rows(connection, now)
        found += queue.outdated(connection, config.schedule)
    for each in found:
        reschedule(connection, config, each, now)


def reschedule_account(config: Config, engine: Engine, name: str) -> None:
    """Compute the next run of an account whose schedule was changed. One that never ran stays due.

    Raises: DatabaseError.
    """
    with write_transaction(engine) as connection:
        account_id = account_id_of(connection, name)
        due = queue.calendar_row(connection, config.schedule, account_id) if account_id is not None else None
        if due is not None and due.account.enabled and due.computed_from:
            reschedule(connection, config, due, clock.now())


def run_outcome(report: RunResult, grace: RemovalGrace, clock_offset: timedelta = timedelta()) -> RunOutcome:
    """Return the result of a run, as far as the next one depends on it."""
    return RunOutcome(
        is_proven=report.proven,
        is_busy=isinstance(report.error, RunInProgress),
        is_dead=isinstance(report.error, CredentialsError) and report.run_id is None,
        is_stored=report.observed_at is not None,
        retry_at=report.retry_at + clock_offset if report.retry_at else None,
        look_within=look_delay(grace.removal, report.missing - report.held),
    )


def parsed(text: str, default: str, account: str = "") -> schedule.Schedule:
    """Return the schedule, or the default one if ``text`` in the database is none; warn about ``account`` then."""
    try:
        return schedule.parse(text)
    except UsageError as error:
        if account:
            log.warning("invalid schedule, using the default", account=account, error=str(error))
        return schedule.parse(default)


def _call(hook: Callable[[T], None], argument: T, account: str) -> None:
    try:
        hook(argument)
    except Exception:
        log.exception("run hook failed", account=account)

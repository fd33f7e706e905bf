"""A sync of several accounts side by side. Also what other verbs that sync print, and report to the healthcheck."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from queue import Empty, SimpleQueue

from msgspec.structs import replace
from sqlalchemy import Engine

from etl import clock
from etl.accounts.session import connect
from etl.cli.context import Context
from etl.cli.errors import INTERRUPTED
from etl.cli.progress_bar import counter
from etl.cli.signals import stop_event
from etl.cli.targets import UNSAVED_DEFAULT, failed_result, is_new_file, no_account, target_accounts
from etl.errors import ApiUnreachable, FavsyncError, RunInProgress, SettingsError, counted
from etl.load.accounts import Account
from etl.monitor.healthcheck_ping import HealthcheckPinger
from etl.reporting.run_summary import report_fields, report_lines
from etl.scheduler.due_sync import settle_manual
from etl.scheduler.workers import Pool
from etl.settings import LOST_WITHOUT_RAW
from etl.sync import RunOptions, RunResult, plan_account, sync_account

WAKE_SECONDS = 0.25
LAST_SECONDS = 1.0
MAX_SILENT = 3
COMPLETE = (0, 7)  # the whole list was read; held removals are reported elsewhere


def sync_accounts(context: Context, names: Sequence[str], workers: int, *, is_plan: bool) -> None:
    """Sync or plan these accounts, ``workers`` at a time; all enabled ones if none is named."""
    with stop_event() as stop, ExitStack() as stack:
        pinger = stack.enter_context(healthcheck(context, is_round=True)) if not (is_plan or names) else None
        engine = None if is_new_file(context) and is_plan else context.open_database(create=not is_plan)
        warn_no_raw(context)
        targets: Sequence[Account] = [UNSAVED_DEFAULT]
        if engine is not None:
            has_token = context.config.access_token is not None
            targets = target_accounts(engine, names, may_create=has_token, is_plan=is_plan)
        if not targets:
            raise no_account()
        sync_round = SyncRound(context, engine, is_plan, stop, pinger)
        sync_round.run(targets, workers)
        reports = [sync_round.reports[account.name] for account in targets]
    if context.json:
        context.show_json([report_fields(report) for report in reports])
    if stop.is_set() and any(report.error for report in reports):
        context.exit_code = INTERRUPTED


class SyncRound:
    """One sync of each of several accounts, side by side. ``reports``: the results by account."""

    def __init__(
        self,
        context: Context,
        engine: Engine | None,
        is_plan: bool,
        stop: threading.Event,
        pinger: HealthcheckPinger | None,
    ) -> None:
        self.reports: dict[str, RunResult] = {}
        self._context = context
        self._engine = engine
        self._is_plan = is_plan
        self._stop = stop
        self._pinger = pinger
        self._showing = threading.Lock()
        self._silent = 0  # accounts in a row that got no answer at all
        self._is_alone = True
        self._unshown: list[Account] = []
        self._errors: list[BaseException] = []

    def run(self, targets: Sequence[Account], workers: int) -> None:
        """Sync ``targets``, one alone in this thread, several in daemon threads, which do not keep the process alive.

        Raises: KeyboardInterrupt, if a signal comes before the last one; what is wrong with every account, as SettingsError.
        """
        self._unshown = list(targets)
        queue: SimpleQueue[Account] = SimpleQueue()
        for account in targets:
            queue.put(account)
        self._is_alone = len(targets) == 1 or workers == 1  # a terminal shows the progress of one account
        if self._is_alone:
            self._work(queue)
        else:
            pool = Pool(min(workers, len(targets)))
            for number in range(pool.size):
                pool.start(number, lambda: self._work(queue))
            while not pool.wait(WAKE_SECONDS):  # the main thread must wake up to handle a signal
                if self._stop.is_set():
                    pool.wait(LAST_SECONDS)
                    break
        if self._errors:
            raise self._errors[0]
        missing = [account for account in targets if account.name not in self.reports]
        if missing and self._stop.is_set():
            raise KeyboardInterrupt
        self._report_untried(missing)

    def _work(self, queue: SimpleQueue[Account]) -> None:
        try:
            while not (self._stop.is_set() or self._silent >= MAX_SILENT or self._errors):
                self._sync(queue.get_nowait())
        except Empty:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised by the thread that waits
            self._errors.append(error)

    def _sync(self, account: Account) -> None:
        if self._pinger is not None:
            self._pinger.started(account.name)
        report = self._sync_account(account)
        with self._showing:
            self._add(report)
            while self._unshown and (first := self.reports.get(self._unshown[0].name)):
                del self._unshown[0]
                if not self._context.json:
                    show_report(self._context, first)

    def _add(self, report: RunResult) -> None:
        if self._pinger is not None:
            report_run(self._pinger, report)
        self._context.add_exit_codes([report.exit_code])
        self.reports[report.account] = report

    def _report_untried(self, accounts: Sequence[Account]) -> None:
        """Report the accounts that were left out because the service does not answer, in one line."""
        if not accounts:
            return
        url = self._context.config.api_url
        error = ApiUnreachable(
            f"not tried: {url} answered none of the last {self._silent} accounts",
            remedy="check the network and BOOMPLAY_API_URL, then sync again",
        )
        for account in accounts:
            self._add(failed_result(self._engine, account, "manual", clock.now(), error))
        if not self._context.json:
            more = counted(len(accounts), "more account")
            self._context.say(f"{more} {error.message}\n  what to do: {error.remedy}")

    def _sync_account(self, account: Account) -> RunResult:
        """Sync or plan one account; an error becomes its result."""
        context, engine, started_at = self._context, self._engine, clock.now()
        try:
            with (
                counter(context, account.name) if self._is_alone else nullcontext() as progress,
                connect(context.config, engine, account.name, self._stop) as api,
            ):
                options = RunOptions.configured(context.config, progress=progress)
                try:
                    if self._is_plan or engine is None:
                        return plan_account(engine, account, api, options)
                    settle = settle_manual(context.config, account.account_id)
                    return sync_account(engine, account, api, replace(options, settle=settle))
                finally:
                    self._silent = self._silent + 1 if api.requests_by_status.keys() == {"none"} else 0
        except SettingsError:
            raise
        except FavsyncError as error:
            return failed_result(engine, account, "manual", started_at, error)


def warn_no_raw(context: Context) -> None:
    """Warn, before a read, that items are not stored as received."""
    if not context.config.keep_raw:
        context.say(LOST_WITHOUT_RAW)


def show_report(context: Context, report: RunResult, details: Iterable[str] = ()) -> None:
    """Print a run with its details; for a failed run, on stderr, with what to do."""
    lines = [*report_lines(report), *details]
    if report.error is None:
        context.show(*lines)
        return
    if report.remedy:
        lines.append(f"  what to do: {report.remedy}")
    context.say("\n".join(lines))


@contextmanager
def healthcheck(context: Context, *, is_round: bool) -> Iterator[HealthcheckPinger | None]:
    """Yield the healthcheck pinger, or None if no URL is set. ``is_round``: the verb ends, and then pings a shared URL."""
    if context.config.ping_url is None:
        yield None
        return
    pinger = HealthcheckPinger(context.config.ping_url.reveal(), is_round=is_round)
    pinger.service_started()
    try:
        yield pinger
    except RunInProgress:
        pinger.left()
        raise
    except BaseException as error:
        if is_round:
            pinger.ended("favsync", str(error) or type(error).__name__)
        raise
    finally:
        pinger.close()


def report_run(pinger: HealthcheckPinger, report: RunResult) -> None:
    """Report a run. Only a complete read counts as success. If another run holds the account, that run reports."""
    if isinstance(report.error, RunInProgress):
        pinger.left()
    else:
        fault = None if report.exit_code in COMPLETE else (report.reason or str(report.outcome))
        pinger.ended(report.account, fault)

"""``favsync sync``: sync accounts now. Also what other verbs that sync print, and report to the healthcheck."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.errors import INTERRUPTED
from etl.cli.options import accounts_argument, json_option
from etl.cli.progress_bar import counter
from etl.cli.signals import stop_event
from etl.errors import RunInProgress
from etl.reporting.run_summary import report_fields, report_lines

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.load.accounts import Account
    from etl.monitor.healthcheck_ping import HealthcheckPinger
    from etl.sync import RunResult

WORST_FIRST = (70, 2, 5, 4, 3, 6, 7, 75, 0)


@click.command("sync", cls=Verb)
@accounts_argument
@click.option("--plan", is_flag=True, help="Print what would be written, and write nothing.")
@json_option
@pass_context
def sync(context: Context, accounts: tuple[str, ...], plan: bool) -> int:
    r"""Sync the favourites of ACCOUNTs, or of all enabled accounts.

    A favourite that is not in the list any more is missing at first, and still counts as a favourite. Its removal is
    recorded after five complete reads without it over two days (FAVSYNC_REMOVAL_GRACE), or when you approve it.

    \b
    favsync runs approve --account NAME    record what is missing or held, now
    favsync runs reject --account NAME     keep these favourites

    Removals that look like a fault of the service are held: they wait for your decision. The failure of one account does
    not stop the others.

    \b
    Exit code, the worst of all accounts:
      0    the list was read completely
      3    Boomplay's API is unreachable or refuses requests
      4    the token is missing, dead or another user's
      5    the database failed
      6    partial: not proven complete, so nothing was removed
      7    held: removals wait for approval
      75   another run of the account is in progress
      130  stopped by a signal; the unfinished run changed nothing
    """
    from etl.cli.targets import UNSAVED_DEFAULT, is_new_file, no_account, target_accounts

    with stop_event() as stop, ExitStack() as stack:
        pinger = stack.enter_context(healthcheck(context, is_round=True)) if not (plan or accounts) else None
        engine = None if is_new_file(context) and plan else context.open_database(create=not plan)
        warn_no_raw(context)
        targets = [UNSAVED_DEFAULT]
        if engine is not None:
            has_token = context.config.access_token is not None
            targets = list(target_accounts(engine, accounts, may_create=has_token, is_plan=plan))
        if not targets:
            raise no_account()
        reports = []
        for account in targets:
            if stop.is_set():
                raise KeyboardInterrupt
            if pinger is not None:
                pinger.started(account.name)
            report = _sync_account(context, engine, account, plan=plan, stop=stop)
            if pinger is not None:
                report_run(pinger, report)
            context.exit_code = worst_exit_code((context.exit_code, report.exit_code))
            if not context.json:
                show_report(context, report)
            reports.append(report)
    if context.json:
        context.show_json([report_fields(report) for report in reports])
    if stop.is_set() and any(report.error for report in reports):
        context.exit_code = INTERRUPTED
    return context.exit_code


def _sync_account(
    context: Context, engine: Engine | None, account: Account, *, plan: bool, stop: threading.Event
) -> RunResult:
    """Sync or plan one account; an error becomes its result."""
    from msgspec.structs import replace

    from etl import clock
    from etl.accounts.session import connect
    from etl.cli.targets import failed_result
    from etl.errors import FavsyncError, SettingsError
    from etl.scheduler.due_sync import settle_manual
    from etl.sync import RunOptions, plan_account, sync_account

    started_at = clock.now()
    try:
        with counter(context, account.name) as progress, connect(context.config, engine, account.name, stop) as api:
            options = RunOptions.configured(context.config, progress=progress)
            if plan or engine is None:
                return plan_account(engine, account, api, options)
            settle = settle_manual(context.config, account.account_id)
            return sync_account(engine, account, api, replace(options, settle=settle))
    except SettingsError:
        raise
    except FavsyncError as error:
        return failed_result(engine, account, "manual", started_at, error)


def worst_exit_code(codes: Iterable[int]) -> int:
    """Return the exit code of several accounts together (docs/settings.md)."""
    given = set(codes)
    return next((code for code in WORST_FIRST if code in given), max(given, default=0))


def warn_no_raw(context: Context) -> None:
    """Warn, before a read, that items are not stored as received."""
    if not context.config.keep_raw:
        from etl.settings import LOST_WITHOUT_RAW

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
    from etl.monitor.healthcheck_ping import HealthcheckPinger

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
        pinger.ended(report.account, None if report.proven else (report.reason or str(report.outcome)))

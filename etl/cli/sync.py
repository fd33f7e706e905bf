"""``favsync sync``: sync accounts now."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.errors import INTERRUPTED
from etl.cli.healthcheck import healthcheck, report_run
from etl.cli.options import accounts_argument, json_option
from etl.cli.progress import counter
from etl.cli.signals import stop_event

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.errors import SettingsError
    from etl.load.accounts import Account
    from etl.monitor.healthcheck_ping import HealthcheckPinger
    from etl.sync import RunResult

WORST_FIRST = (70, 2, 5, 4, 3, 6, 7, 75, 0)
DEFAULT_ACCOUNT = "default"


@click.command("sync", cls=Verb)
@accounts_argument
@click.option("--plan", is_flag=True, help="Print exactly what would be written, and write nothing at all.")
@json_option
@pass_context
def sync(context: Context, accounts: tuple[str, ...], plan: bool) -> int:
    """Sync the favourites of ACCOUNTs, or of all enabled ones.

    Nothing is removed unless the whole list was read and proven, twice; removing many at once waits for
    `favsync runs approve`. One account's failure never stops the others.

    \b
    Exit code, the worst of all accounts:
      0  the list was read in full
      3  Boomplay's API cannot be reached, or refuses
      4  the token is missing, dead or another user's
      5  the database
      6  partial: not proven whole, so nothing was removed
      7  held: removals wait for your word
      75 another run of the account is in progress
      130 it was stopped; what was under way changed nothing
    """  # noqa: D301 - click wants the character itself, not the text
    with stop_event() as stop, ExitStack() as stack:
        is_whole = not plan and not accounts
        pinger = stack.enter_context(healthcheck(context, is_round=True)) if is_whole else None
        engine = _engine(context, plan=plan)
        context.say_what_is_lost()
        reports = list(_reports(context, engine, accounts, plan=plan, stop=stop, pinger=pinger))
    if context.json:
        from etl.reporting.run_summary import report_fields

        context.show_json([report_fields(report) for report in reports])
    if stop.is_set() and any(report.error for report in reports):
        context.exit_code = INTERRUPTED
    return context.exit_code


def worst_exit_code(codes: Iterator[int] | Sequence[int]) -> int:
    """Return the code that speaks for all of ``codes`` (docs/settings.md)."""
    given = set(codes)
    return next((code for code in WORST_FIRST if code in given), max(given, default=0))


def _engine(context: Context, *, plan: bool) -> Engine | None:
    """Open the database; a plan makes none."""
    from etl.db.migrate import ready_engine

    is_new = is_new_file(context)
    return None if plan and is_new else ready_engine(context.config.database_url.reveal(), create=not plan)


def is_new_file(context: Context) -> bool:
    """Say whether the database is a SQLite file that is not there; it is made for an account alone.

    Raises: SettingsError, where it is not there and the settings have no account's token either.
    """
    from etl.db.engine import sqlite_path

    path = sqlite_path(context.config.database_url.reveal())
    is_new = path is not None and not path.exists()
    if is_new and context.config.access_token is None:
        raise no_account()
    return is_new


def no_account() -> SettingsError:
    """Return the error where no account is there, and no token of one in the settings."""
    from etl.errors import SettingsError

    return SettingsError(
        "there is no account to sync",
        remedy="set BOOMPLAY_ACCESS_TOKEN and BOOMPLAY_APP_ID, or run `favsync accounts add NAME`; "
        "`favsync demo` needs neither",
    )


def _reports(
    context: Context,
    engine: Engine | None,
    names: Sequence[str],
    *,
    plan: bool,
    stop: threading.Event,
    pinger: HealthcheckPinger | None,
) -> Iterator[RunResult]:
    for account in _accounts(context, engine, names, plan=plan):
        if stop.is_set():
            raise KeyboardInterrupt
        if pinger is not None:
            pinger.started(account.name)
        report = _report(context, engine, account, plan=plan, stop=stop)
        if pinger is not None:
            report_run(pinger, report)
        context.exit_code = worst_exit_code((context.exit_code, report.exit_code))
        if not context.json:
            _tell(context, report)
        yield report


def _accounts(context: Context, engine: Engine | None, names: Sequence[str], *, plan: bool) -> Sequence[Account]:
    """Find the accounts; the one that the environment's token belongs to is made when it is first synced."""
    from etl import clock
    from etl.db.engine import read_transaction, write_transaction
    from etl.load.accounts import Account, ensure_account, find_accounts

    blank = Account(account_id=0, name=DEFAULT_ACCOUNT, boomplay_user_id=None, region=None, enabled=True)
    wants_default = context.config.access_token is not None and (not names or DEFAULT_ACCOUNT in names)
    if engine is None:
        return [blank]
    with read_transaction(engine) as connection:
        is_new = wants_default and not _has_accounts(connection, names)
    if is_new and plan:
        return [blank]
    if is_new:
        with write_transaction(engine) as connection:
            ensure_account(connection, DEFAULT_ACCOUNT, clock.now())
    with read_transaction(engine) as connection:
        found = find_accounts(connection, names)
    if not found:
        raise no_account()
    return found


def _has_accounts(connection: object, names: Sequence[str]) -> bool:
    """Say whether an account is there that the command means: the one called default if it is named, else any."""
    from typing import cast

    from sqlalchemy import Connection, select

    from etl.db.tables import accounts

    query = select(accounts.c.name)
    if DEFAULT_ACCOUNT in names:
        query = query.where(accounts.c.name == DEFAULT_ACCOUNT)
    return cast(Connection, connection).execute(query.limit(1)).first() is not None


def _report(
    context: Context, engine: Engine | None, account: Account, *, plan: bool, stop: threading.Event
) -> RunResult:
    """Sync or plan one account; what goes wrong is its report."""
    from etl import clock
    from etl.accounts.session import connect
    from etl.errors import FavsyncError, SettingsError
    from etl.sync import RunOptions, RunResult, plan_account, sync_account

    started_at = clock.now()
    try:
        with counter(context, account.name) as progress, connect(context.config, engine, account.name, stop) as source:
            way = RunOptions.configured(context.config, progress=progress)
            if plan:
                return plan_account(engine, account, source, way)
            if engine is None:
                raise SettingsError("there is no database")
            return sync_account(engine, account, source, way)
    except SettingsError:
        raise
    except FavsyncError as error:
        return RunResult(
            account=account.name,
            trigger="manual",
            started_at=started_at,
            reason=str(error),
            error=error,
            favourites=open_favourites(engine, account),
        )


def open_favourites(engine: Engine | None, account: Account) -> int:
    """Return how many favourites a run leaves open that did not even begin; 0 too where the database is what failed."""
    from etl.db.engine import read_transaction
    from etl.errors import DatabaseError
    from etl.load.baseline import open_count

    if engine is None:
        return 0
    try:
        with read_transaction(engine) as connection:
            return open_count(connection, account.account_id)
    except DatabaseError:
        return 0


def _tell(context: Context, report: RunResult) -> None:
    """Say in one line how it went, and what to do where there is something to do."""
    from etl.reporting.run_summary import plan_lines, report_line

    if report.error is not None:
        context.say(report_line(report))
        if report.remedy:
            context.say(f"  what to do: {report.remedy}")
        return
    context.show(report_line(report))
    for line in plan_lines(report):
        context.show(line)

"""``favsync schedule``: the service."""

from __future__ import annotations

import gc
from contextlib import ExitStack

import click
from sqlalchemy import Engine, select

from etl import clock
from etl.accounts.credentials import DEFAULT_ACCOUNT
from etl.cli.commands import verb
from etl.cli.context import Context
from etl.cli.errors import INTERRUPTED
from etl.cli.service_hooks import grace_option, monitored, watch_runs
from etl.cli.signals import stop_event
from etl.cli.sync_round import warn_no_raw
from etl.cli.targets import is_default_missing
from etl.db.engine import read_transaction, write_transaction
from etl.db.tables import accounts
from etl.errors import SettingsError, UsageError
from etl.load.accounts import ensure_account
from etl.scheduler.queue import failing
from etl.scheduler.schedule import parse
from etl.scheduler.service import Service

COLLECTOR_THRESHOLDS = (20_000, 10, 10)  # `gc.set_threshold`: unlike other verbs, this process runs for a long time


@verb("schedule", has_json=False)
@click.option(
    "--concurrency",
    "--workers",
    "workers",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    help="Number of accounts synced in parallel.",
)
@grace_option
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Serve /healthz, /readyz and /metrics at this address, such as 127.0.0.1:9108. [default: none]",
)
@click.option(
    "--metrics-accounts",
    metavar="N",
    type=click.IntRange(0),
    default=1_000,
    help="With more accounts than this, /metrics has totals only.",
)
@click.option(
    "--once",
    is_flag=True,
    help="Sync the accounts that are due now, then exit: for a timer or cron. See the exit codes.",
)
def schedule(context: Context, workers: int, grace: int, http: str | None, metrics_accounts: int, once: bool) -> None:
    """Sync every enabled account on its schedule, in the foreground, until SIGTERM, SIGINT or SIGHUP.

    Changes to accounts take effect while it runs. Runs that were missed while it was stopped are caught up once. A second
    scheduler on the same database waits and takes over when the first one stops. A second signal stops it at once.

    Exit code: 0 after a stop signal. With --once, the worst of its runs, as in `favsync sync`; 75 if another scheduler is
    active; 130 if a signal stopped it early.
    """
    config = context.config
    try:
        parse(config.schedule)
    except UsageError as error:
        raise SettingsError(f"FAVSYNC_SCHEDULE: {error.message}", remedy=error.remedy) from None
    engine = context.open_database(create=True)
    _ensure_account(context, engine)
    warn_no_raw(context)
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    service = Service(config, engine, workers=workers, grace_seconds=grace)
    with stop_event() as stop, ExitStack() as stack:
        pinger = watch_runs(context, engine, stack, service, is_round=once)
        if http is not None:
            served = monitored(context, engine, service, lambda: service.pulse, http, limit=metrics_accounts)
            stack.enter_context(served)
        if not once:
            service.run(stop)
            return
        service.run_once(stop)
        if (
            pinger is not None
        ):  # a stopped round is no success, nor is an account that failed and waits for its next run
            if stop.is_set():
                pinger.still_failing("favsync", "stopped before the end")
            with read_transaction(engine) as connection:
                for name, failures in failing(connection):
                    pinger.still_failing(name, f"failed {failures} times in a row; the next run is scheduled")
        if stop.is_set():
            context.exit_code = INTERRUPTED


def _ensure_account(context: Context, engine: Engine) -> None:
    """Create the account of the token in the settings where there is no account at all, as `favsync sync` does."""
    if context.config.access_token is not None or context.config.refresh_token is not None:
        with write_transaction(engine) as connection:
            if is_default_missing(connection):
                ensure_account(connection, DEFAULT_ACCOUNT, clock.now())
    with read_transaction(engine) as connection:
        if connection.execute(select(accounts.c.account_id).where(accounts.c.enabled).limit(1)).first() is None:
            context.say("no account is enabled: `favsync accounts add NAME` adds one while the scheduler runs")

"""``favsync schedule``: the service."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.errors import INTERRUPTED
from etl.cli.healthcheck import healthcheck, report_run, report_still_failing
from etl.cli.signals import stop_event

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.monitor.healthcheck_ping import HealthcheckPinger
    from etl.scheduler.service import FinishedRun, Service

COLLECTING = (20_000, 10, 10)
"""How often the collector looks for cycles (`gc.set_threshold`): this process does not end soon, as those of other verbs do."""


@click.command("schedule", cls=Verb)
@click.option(
    "--workers", metavar="N", type=click.IntRange(1, 64), default=4, show_default=True, help="Accounts at a time."
)
@click.option(
    "--grace",
    metavar="SECONDS",
    type=click.IntRange(0, 3600),
    default=30,
    show_default=True,
    help="Told to stop, let runs go on so long, then abandon them, which changes nothing.",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Serve /healthz, /readyz and /metrics, such as at 127.0.0.1:9108. [default: nowhere]",
)
@click.option(
    "--metrics-accounts",
    metavar="N",
    type=click.IntRange(0),
    default=1_000,
    show_default=True,
    help="With more accounts than this, /metrics has sums alone.",
)
@click.option(
    "--once",
    is_flag=True,
    help="Sync the accounts that are due now, then end: for a timer, or cron. See the exit codes.",
)
@pass_context
def schedule(
    context: Context, workers: int, grace: int, http: str | None, metrics_accounts: int, once: bool
) -> int | None:
    """Sync every enabled account on its schedule, in the foreground, until SIGTERM or SIGINT.

    Accounts that are added, changed or removed are noticed while it runs. What was missed while it did not run is caught
    up, once. A second one on the same database stands by, and takes over when the first is gone. A second signal stops it
    at once.

    Exit code: 0 when it was told to stop. With --once the worst of its runs, as `favsync sync` has it; 75 where another
    scheduler is at work; 130 when it was told to stop before it was done.
    """
    from etl.db.migrate import ready_engine
    from etl.scheduler.service import Service

    config = context.config
    _require_schedule(config.schedule)
    engine = ready_engine(config.database_url.reveal(), create=True)
    _ensure_default(context, engine)
    context.say_what_is_lost()
    gc.set_threshold(*COLLECTING)
    service = Service(config, engine, workers=workers, grace_seconds=grace)
    if once:
        service.after_run.append(lambda ran: _remember(context, ran))
    with stop_event() as stop, ExitStack() as stack:
        pinger = stack.enter_context(healthcheck(context, is_round=once))
        if pinger is not None:
            service.before_run.append(pinger.started)
            service.after_run.append(partial(_tell, pinger))
        if context.config.digest_url is not None:
            url, kind = context.config.digest_url.reveal(), context.config.digest_format
            stack.enter_context(_telling(url, kind, engine, service))
        if http is not None:
            address = stack.enter_context(_watched(context, engine, service, http, metrics_accounts))
            context.say(f"{address}/metrics, /healthz and /readyz are served")
        if not once:
            service.run(stop)
            return None
        service.run_once(stop)
        if pinger is not None:
            report_still_failing(pinger, engine, is_cut=stop.is_set())
        return INTERRUPTED if stop.is_set() else context.exit_code


def _require_schedule(text: str) -> None:
    from etl.errors import SettingsError, UsageError
    from etl.scheduler.schedule import parse

    try:
        parse(text)
    except UsageError as error:
        raise SettingsError(f"FAVSYNC_SCHEDULE: {error.message}", remedy=error.remedy) from None


def _tell(pinger: HealthcheckPinger, ran: FinishedRun) -> None:
    report_run(pinger, ran.report)


def _remember(context: Context, ran: FinishedRun) -> None:
    from etl.cli.sync import worst_exit_code

    context.exit_code = worst_exit_code((context.exit_code, ran.report.exit_code))


def _ensure_default(context: Context, engine: Engine) -> None:
    """Make the account of the environment's token where there is no account at all, as `favsync sync` does."""
    from sqlalchemy import select

    from etl import clock
    from etl.accounts.session import DEFAULT_ACCOUNT
    from etl.db.engine import read_transaction, write_transaction
    from etl.db.tables import accounts
    from etl.load.accounts import ensure_account

    if context.config.access_token is not None or context.config.refresh_token is not None:
        with write_transaction(engine) as connection:
            if connection.execute(select(accounts.c.account_id).limit(1)).first() is None:
                ensure_account(connection, DEFAULT_ACCOUNT, clock.now())
    with read_transaction(engine) as connection:
        if connection.execute(select(accounts.c.account_id).where(accounts.c.enabled).limit(1)).first() is None:
            context.say("no account is enabled: `favsync accounts add NAME` adds one, which is noticed at once")


@contextmanager
def _telling(url: str, kind: str, engine: Engine, service: Service) -> Iterator[None]:
    from etl.monitor.webhook import WebhookSender

    teller = WebhookSender(engine, url, kind)
    service.after_run.append(teller.ended)
    try:
        yield
    finally:
        teller.close()


@contextmanager
def _watched(context: Context, engine: Engine, service: Service, http: str, account_limit: int) -> Iterator[str]:
    from etl.db.migrate import require_newest
    from etl.monitor.http import Answers, serving
    from etl.monitor.metrics import Metrics
    from etl.monitor.status import statuses

    metrics = Metrics(
        lambda: statuses(engine, context.config.schedule), lambda: service.pulse, account_limit=account_limit
    )
    service.after_run.append(metrics.count)
    with serving(http, Answers(metrics, lambda: service.pulse, lambda: require_newest(engine))) as address:
        yield address

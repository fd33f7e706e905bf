"""What the services of `favsync schedule` and `favsync worker` share: healthcheck, digests, metrics and the exit code.

Each service has hooks before and after a run; these functions append to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click
from sqlalchemy import Engine

from etl.cli.context import Context
from etl.cli.sync_round import healthcheck, report_run
from etl.db.migrate import require_newest
from etl.monitor.http import Answers, serving
from etl.monitor.metrics import Metrics
from etl.monitor.overview import ACCOUNT_LIMIT, OverviewReader, calendar_and_budgets
from etl.monitor.webhook import Webhook, WebhookSender
from etl.scheduler.due_sync import FinishedRun
from etl.scheduler.service import ServiceStatus

if TYPE_CHECKING:
    from etl.monitor.healthcheck_ping import HealthcheckPinger

grace_option: Callable[..., Any] = click.option(
    "--grace",
    metavar="SECONDS",
    type=click.IntRange(0, 3600),
    default=30,
    help="On a stop signal, wait this long for runs in progress, then abandon them without changes.",
)


class RunHooks(Protocol):
    """A service that calls hooks: with the account's name before a run, with the result after it."""

    before_run: list[Callable[[str], None]]
    after_run: list[Callable[[FinishedRun], None]]


def watch_runs(
    context: Context, engine: Engine, stack: ExitStack, hooks: RunHooks, *, is_round: bool
) -> HealthcheckPinger | None:
    """Report runs to the healthcheck and the digest's webhook until ``stack`` ends; return the pinger, if a URL is set.

    ``is_round``: the service ends after one round, and the worst exit code of its runs becomes the context's.
    """
    pinger = stack.enter_context(healthcheck(context, is_round=is_round))
    if pinger is not None:
        hooks.before_run.append(pinger.started)
        hooks.after_run.append(lambda ran: report_run(pinger, ran.report))
    if context.config.digest_url is not None:
        webhook = Webhook(context.config.digest_url.reveal(), context.config.digest_format)
        sender = WebhookSender(engine, webhook)
        stack.callback(sender.close)
        hooks.after_run.append(sender.ended)

    def remember(ran: FinishedRun) -> None:
        context.add_exit_codes([ran.report.exit_code])

    if is_round:
        hooks.after_run.append(remember)
    return pinger


@contextmanager
def monitored(
    context: Context, engine: Engine, hooks: RunHooks, pulse: Callable[[], ServiceStatus], http: str, **limits: int
) -> Iterator[None]:
    """Serve health checks and metrics at the address ``http``. ``limits``: the ``limit`` of `OverviewReader`, if any."""
    config = context.config
    overview = OverviewReader(engine, config.schedule, limit=limits.get("limit", ACCOUNT_LIMIT))
    metrics = Metrics(overview.read, pulse, calendar=lambda: calendar_and_budgets(engine))
    hooks.after_run.append(metrics.count)
    with serving(http, Answers(metrics, pulse, lambda: require_newest(engine))) as address:
        context.say(f"serving {address}/metrics, /healthz and /readyz")
        yield

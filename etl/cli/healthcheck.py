"""Reports runs to the healthcheck in the settings (a dead man's switch), for verbs that sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.cli.context import Context
from etl.errors import RunInProgress

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.monitor.healthcheck_ping import HealthcheckPinger
    from etl.sync import RunResult


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
        return
    pinger.ended(report.account, None if report.proven else (report.reason or str(report.outcome)))


def report_still_failing(pinger: HealthcheckPinger, engine: Engine, *, is_cut: bool) -> None:
    """Report accounts that failed and wait for their next run, and a round that was stopped: neither is a success."""
    from etl.db.engine import read_transaction
    from etl.scheduler.queue import failing

    if is_cut:
        pinger.still_failing("favsync", "stopped before the end")
    with read_transaction(engine) as connection:
        for name, failures in failing(connection):
            pinger.still_failing(name, f"failed {failures} times in a row; the next run is scheduled")

"""Telling the dead man's switch of the settings how runs go, for verbs that sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.cli.context import Context

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.monitor.healthcheck_ping import HealthcheckPinger
    from etl.sync import RunResult


@contextmanager
def healthcheck(context: Context, *, is_round: bool) -> Iterator[HealthcheckPinger | None]:
    """Give who tells the switch; None where none is set. ``is_round``: the work ends, and a shared switch is told then."""
    if context.config.ping_url is None:
        yield None
        return
    from etl.errors import RunInProgress
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
    """Tell how a run ended: only a proven list is a success. An account that another run has is told of by that one."""
    from etl.errors import RunInProgress

    if isinstance(report.error, RunInProgress):
        pinger.left()
        return
    pinger.ended(report.account, None if report.proven else (report.reason or str(report.outcome)))


def report_still_failing(pinger: HealthcheckPinger, engine: Engine, *, is_cut: bool) -> None:
    """Tell of the accounts that fail and wait for their next turn: a round without them is no success, nor is one cut short."""
    from etl.db.engine import read_transaction
    from etl.scheduler.queue import failing

    if is_cut:
        pinger.still_failing("favsync", "it was told to stop before it was done")
    with read_transaction(engine) as connection:
        for name, failures in failing(connection):
            pinger.still_failing(name, f"its last turn failed, {failures} in a row; it waits for the next")

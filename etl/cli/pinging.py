"""Telling the dead man's switch of the settings how runs go, for verbs that sync. Not here: the switch (`etl.monitor.ping`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.cli.context import Context

if TYPE_CHECKING:
    from etl.monitor.ping import Pinger
    from etl.sync import Report


@contextmanager
def pinging(context: Context, *, is_round: bool) -> Iterator[Pinger | None]:
    """Give who tells the switch; None where none is set. ``is_round``: the work ends, and a shared switch is told then."""
    if context.config.ping_url is None:
        yield None
        return
    from etl.monitor.ping import Pinger

    pinger = Pinger(context.config.ping_url.reveal(), is_round=is_round)
    pinger.service_started()
    try:
        yield pinger
    except BaseException as error:
        if is_round:
            pinger.ended("favsync", str(error) or type(error).__name__)
        raise
    finally:
        pinger.close()


def tell_end(pinger: Pinger, report: Report) -> None:
    """Tell how a run ended: only a proven list is a success. An account that another run has is told of by that one."""
    from etl.errors import RunInProgress

    if isinstance(report.error, RunInProgress):
        return
    pinger.ended(report.account, None if report.proven else (report.reason or str(report.outcome)))

"""``favsync status``: how fresh each account is."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import accounts_argument, json_option
from etl.errors import UsageError
from etl.model.result import counted

if TYPE_CHECKING:
    from datetime import datetime

    from etl.monitor.status import AccountStatus

COLUMNS = (
    "account",
    "freshness",
    "last proven",
    "next run",
    "favourites",
    "missing",
    "held",
    "failures",
    "last outcome",
    "token",
)


@click.command("status", cls=Verb)
@accounts_argument
@click.option(
    "--max-age", metavar="TIME", help="Maximum age before an account is stale, such as 2h, instead of its schedule."
)
@click.option(
    "--prometheus",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write metrics to FILE for node_exporter's textfile collector.",
)
@json_option
@pass_context
def status(context: Context, accounts: tuple[str, ...], max_age: str | None, prometheus: Path | None) -> int:
    r"""Show for each account the last proven sync, the next run, held removals and the state of the token.

    \b
    Exit code, for a monitor (the first that applies to an enabled account):
      4  a token is dead
      3  an account is stale: it missed two scheduled runs, or --max-age
      7  removals are held
      0  everything is in order
    """
    from etl import clock
    from etl.monitor.status import statuses, worst_code

    age = _age(max_age)
    found = statuses(context.open_database(), context.config.schedule, names=accounts, max_age=age)
    if prometheus is not None:
        from etl.monitor.metrics import Metrics, write_text_file

        write_text_file(Metrics(lambda: found), prometheus)
    context.exit_code = worst_code(found)
    if context.json:
        context.show_json([asdict(each) for each in found])
    else:
        _show(context, found, clock.now())
    return context.exit_code


def _show(context: Context, found: list[AccountStatus], now: datetime) -> None:
    rows = [
        (
            each.account,
            each.freshness,
            ago(each.age_seconds),
            _until(each.next_run_at, now) + (", parked" if each.parked_until else "") if each.next_run_at else None,
            each.favourites,
            each.missing or None,
            each.held or None,
            each.failures_in_a_row or None,
            each.last_outcome,
            each.token,
        )
        for each in found
    ]
    context.show_rows(COLUMNS, rows)
    for each in found:
        if each.exit_code:
            context.say(f"{each.account}: {_advice(each)}")
        if each.missing_since is not None:
            are = counted(each.missing, "favourite is", "favourites are")
            context.say(f"{each.account}: {are} missing from the list, since {each.missing_since:%Y-%m-%d %H:%M} UTC")
        if each.removals_blocked_since is not None:
            since, reason = each.removals_blocked_since, each.removals_blocked_reason
            why = f"{each.removals_blocked_by}; {reason}" if reason else each.removals_blocked_by
            context.say(f"{each.account}: no removal can be recorded since {since:%Y-%m-%d %H:%M} UTC: {why}")


def _advice(each: AccountStatus) -> str:
    if each.token == "dead":  # noqa: S105 - a state
        return f"the token is dead ({each.token_reason}): renew it with `favsync accounts login {each.account}`"
    if each.is_stale:
        why = f"the last run failed: {each.last_reason}; " if each.last_reason and each.failures_in_a_row else ""
        return f"{why}run `favsync doctor` to find the cause, or `favsync sync {each.account}` to retry"
    removals = counted(each.held, "removal waits", "removals wait")
    return f"{removals} for `favsync runs approve {each.held_run_id}` or `reject {each.held_run_id}`"


def _age(text: str | None) -> timedelta | None:
    from etl.scheduler.schedule import parse

    if text is None:
        return None
    try:
        return parse(f"every {text.strip()}").period
    except UsageError:
        raise UsageError(f"{text!r} is not a length of time", remedy="write it as 90m, 6h or 2d") from None


def ago(seconds: float | None) -> str | None:
    """Return a length of time in the past in words."""
    return None if seconds is None else f"{_length(max(seconds, 0.0))} ago"


def _until(instant: datetime, now: datetime) -> str:
    seconds = (instant - now).total_seconds()
    return f"in {_length(seconds)}" if seconds > 0 else "due"


def _length(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""The table of ``favsync status``: accounts with their state, and what is wrong with them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from etl import clock
from etl.cli.context import Context
from etl.db.engine import read_transaction
from etl.errors import UsageError, counted
from etl.load.accounts import enabled_accounts
from etl.monitor.overview import CalendarStatus, OverviewReader, Summary, calendar_and_budgets, summed
from etl.monitor.status import AccountStatus, statuses
from etl.scheduler.schedule import parse

COLUMNS = ("account", "state", "last proven", "next run", "favourites", "missing", "held")
WIDE_COLUMNS = (*COLUMNS, "failures", "last outcome", "token")
FEW_ACCOUNTS = 10  # so many are all shown
SHOWN_PROBLEMS = 10  # with their remedies, they fit a screen
DEAD_CODE, STALE_CODE = 4, 3
RANKS = (DEAD_CODE, STALE_CODE, 7, 0)


def show_status(
    context: Context, names: Sequence[str], max_age: str | None, prometheus: Path | None, *, is_all: bool
) -> None:
    """Show these accounts, or all; write their metrics to the file ``prometheus``; set the exit code."""
    age = _age(max_age)
    engine = context.open_database()
    if names:
        with read_transaction(engine) as connection:
            names = [each.name for each in enabled_accounts(connection, names)]
    reader = OverviewReader(engine, context.config.schedule, max_age=age)
    if names or is_all or context.wide or context.json:
        overview = summed(statuses(engine, context.config.schedule, names=names, max_age=age))
    else:
        overview = reader.read()
    if prometheus is not None:
        from etl.monitor.metrics import Metrics, write_text_file

        write_text_file(Metrics(lambda: overview, calendar=lambda: calendar_and_budgets(engine)), prometheus)
    context.exit_code = overview.summary.exit_code
    found = overview.accounts
    if context.json:
        context.show_json([asdict(each) for each in found or ()])
        return
    if found is None:
        _show_sums(context, overview.summary, reader.need_attention(SHOWN_PROBLEMS), clock.now())
    else:
        _show(context, list(found), clock.now(), is_short=not (is_all or context.wide) and len(found) > FEW_ACCOUNTS)
    if not names:
        _show_calendar(context, calendar_and_budgets(engine))


def _show_calendar(context: Context, status: CalendarStatus) -> None:
    """Say what waits for a run, if anything does."""
    if status.due or status.in_work:
        waits = f", the first one for {_length(status.oldest_due_seconds)}" if status.due else ""
        rates = "".join(f"; budget {rate:g} requests/s, next in {wait:.1f} s" for rate, wait in status.budgets)
        context.say(f"{status.due} due{waits}; {status.in_work} with workers{rates}")


def _show_sums(context: Context, summary: Summary, worst: list[AccountStatus], now: datetime) -> None:
    """Show how many accounts are in trouble, and the worst of them."""
    kinds = {
        "with a dead token": summary.token_dead,
        "stale": summary.stale,
        "held": summary.held,
        "with blocked removals": summary.blocked,
        "never synced": summary.never_synced,
    }
    counts = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    context.show(f"{counted(summary.accounts, 'enabled account')}: {', '.join(counts) or 'all in order'}")
    if worst:
        _show_accounts(context, sorted(worst, key=_rank), now)
    if summary.missing:
        _say_missing(context, summary.missing, counted(summary.missing_accounts, "account"))
    context.say("`favsync status --all` lists every account, `favsync status 'a*'` those whose names match")


def _show(context: Context, found: list[AccountStatus], now: datetime, *, is_short: bool) -> None:
    """Show these accounts; if ``is_short``, those in trouble, and how many are in order."""
    ranked = sorted(found, key=_rank)
    troubled = [each for each in ranked if each.needs_attention]
    shown = troubled[:SHOWN_PROBLEMS] if is_short else ranked
    if len(found) > 1:
        counts = Counter(_state(each) for each in ranked)
        context.show(f"{counted(len(found), 'account')}: {', '.join(f'{n:,} {state}' for state, n in counts.items())}")
    if shown or not found:
        _show_accounts(context, shown, now)
    if is_short and len(troubled) > len(shown):
        context.say(f"{len(troubled) - len(shown):,} more accounts need attention: `favsync status --all` lists them")
    never = sum(_state(each) == "never synced" for each in found)
    if never:
        context.say(f"{counted(never, 'account')} never synced: `favsync sync` syncs now, `favsync schedule` regularly")
    missing = [each.missing for each in found if each.missing and each not in shown]
    if missing:
        _say_missing(context, sum(missing), counted(len(missing), "other account"))


def _show_accounts(context: Context, shown: list[AccountStatus], now: datetime) -> None:
    """Show a row of each account, and what is wrong with it."""
    rows = [
        (
            each.account,
            _state(each),
            ago(each.age_seconds),
            _until(each.next_run_at, now) + (", parked" if each.parked_until else "") if each.next_run_at else None,
            each.favourites,
            each.missing or None,
            each.held or None,
            each.failures_in_a_row or None,
            each.last_outcome,
            each.token,
        )
        for each in shown
    ]
    columns = WIDE_COLUMNS if context.wide else COLUMNS
    context.show_rows(columns, [row[: len(columns)] for row in rows])
    for each in shown:
        for note in _notes(each):
            context.say(f"{each.account}: {note}")


def _say_missing(context: Context, missing: int, where: str) -> None:
    favourites = counted(missing, "favourite")
    context.say(f"{favourites} of {where} are missing from the lists; their removal is not recorded yet")


def _rank(each: AccountStatus) -> tuple[int, bool, str]:
    """Return the order of accounts: as the exit codes, then blocked removals, then the rest by name."""
    return (RANKS.index(each.exit_code), not each.needs_attention, each.account)


def _state(each: AccountStatus) -> str:
    if each.freshness != "disabled" and each.token == "dead":  # noqa: S105 - a state
        return "token dead"
    if each.is_stale or each.freshness in ("disabled", "never synced"):
        return each.freshness
    return "held" if each.held else "removals blocked" if each.needs_attention else each.freshness


def _notes(each: AccountStatus) -> Iterator[str]:
    """Yield what is wrong with the account, and what to do."""
    quoted = shlex.quote(each.account)
    if each.exit_code == DEAD_CODE:
        yield f"the token is dead ({each.token_reason}): renew it with `favsync accounts login {quoted}`"
    elif each.exit_code == STALE_CODE:
        why = f"the last run failed: {each.last_reason}; " if each.last_reason and each.failures_in_a_row else ""
        yield f"{why}run `favsync doctor` to find the cause, or `favsync sync {quoted}` to retry"
    elif each.exit_code:
        run_id = each.held_run_id
        removals = counted(each.held, "removal waits", "removals wait")
        yield f"{removals} for `favsync runs approve {run_id}` or `favsync runs reject {run_id}`"
    if each.missing_since is not None:
        are = counted(each.missing, "favourite is", "favourites are")
        yield f"{are} missing from the list, since {each.missing_since:%Y-%m-%d %H:%M} UTC"
    if each.removals_blocked_since is not None:
        since, reason = each.removals_blocked_since, each.removals_blocked_reason
        causes = "; ".join(filter(None, (each.removals_blocked_by, reason)))
        yield f"no removal can be recorded since {since:%Y-%m-%d %H:%M} UTC: {causes}"


def _age(text: str | None) -> timedelta | None:
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

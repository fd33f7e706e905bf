"""``favsync runs``: list and inspect runs; approve or reject held and missing removals; retract a run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click
from sqlalchemy import Connection

from etl import clock
from etl.cli.commands import VerbGroup
from etl.cli.completers import account_names, held_run_ids, run_ids
from etl.cli.context import Context, moment
from etl.cli.options import WholeNumber, wide_option
from etl.db.engine import in_transaction, read_transaction
from etl.errors import counted
from etl.load.accounts import find_account
from etl.load.run_lock import run_lock
from etl.load.runs import find_run, future_runs
from etl.model.records import Outcome, Review
from etl.replay import retract as retraction
from etl.replay.review import review_account, review_run
from etl.reporting.run_list import LIST_COLUMNS, list_runs, run_details
from etl.reporting.run_summary import sentences
from etl.setting_values import plain_value

SHOWN = 30
SHORT_COLUMNS = ("run_id", "account", "outcome", "started_at", "favourites", "added", "removed")
run_argument = click.argument("run_id", metavar="RUN", type=WholeNumber(1), shell_complete=run_ids)
reviewed_run_argument = click.argument(
    "run_id", metavar="[RUN]", type=WholeNumber(1), required=False, shell_complete=held_run_ids
)
reviewed_account_option = click.option(
    "--account",
    metavar="NAME",
    shell_complete=account_names,
    help="Instead of RUN: all that is held or missing in the newest list of this account.",
)


@click.group("runs", cls=VerbGroup)
def runs() -> None:
    """See what each sync did; approve, reject or retract it."""


@runs.verb("list")
@click.option("--account", metavar="NAME", shell_complete=account_names, help="Only runs of this account.")
@click.option("--outcome", type=click.Choice([str(each) for each in Outcome]), help="Only runs with this outcome.")
@click.option("--limit", metavar="N", type=WholeNumber(0), default=20, help="At most N runs; 0 means all.")
@wide_option
def list_(context: Context, account: str | None, outcome: str | None, limit: int) -> None:
    """Show the newest runs with their results; --wide adds what was held or missing, and why."""
    with read_transaction(context.open_database()) as connection:
        if account is not None:
            find_account(connection, account)
        rows = list_runs(connection, account=account, outcome=outcome, limit=limit or WholeNumber.LARGEST)
    columns = SHORT_COLUMNS if context.is_short else LIST_COLUMNS
    runs_by_column = [dict(zip(LIST_COLUMNS, row, strict=True)) for row in rows]
    if context.is_short:
        runs_by_column = [run | {"started_at": f"{run['started_at']:%Y-%m-%d %H:%M}"} for run in runs_by_column]
    context.show_rows(columns, [[run[name] for name in columns] for run in runs_by_column], is_limited=False)


@runs.verb("show")
@run_argument
def show(context: Context, run_id: int) -> None:
    """Show what a run added and removed, what was missing or held, and which items were unreadable."""
    with read_transaction(context.open_database()) as connection:
        details = run_details(connection, run_id)
    context.show_result(details, _lines(details))


@runs.verb("approve")
@reviewed_run_argument
@reviewed_account_option
def approve(context: Context, run_id: int | None, account: str | None) -> None:
    """Record removals that are held, or of favourites that are only missing, now.

    Name the held RUN, or with --account the account.
    """
    _review(context, run_id, account, Review.APPROVED)


@runs.verb("reject")
@reviewed_run_argument
@reviewed_account_option
def reject(context: Context, run_id: int | None, account: str | None) -> None:
    """Keep favourites that are held or missing, as long as the list stays the same.

    Name the held RUN, or with --account the account.
    """
    _review(context, run_id, account, Review.REJECTED)


@runs.verb("retract")
@click.argument("run_id", metavar="[RUN]", type=WholeNumber(1), required=False)
@click.option("--undo", is_flag=True, help="Restore a retracted run.")
@click.option("--future", is_flag=True, help="Instead of RUN: every run that a wrong clock dated in the future.")
def retract(context: Context, run_id: int | None, undo: bool, future: bool) -> None:
    """Take a run out of the history. It stays on record, and --undo restores it.

    This works for any run that read the wrong list or imported the wrong file, not only for the newest. Set the clock before
    you use --future.
    """
    if (run_id is None) != future or (future and undo):
        raise click.UsageError("name either the number of a run or --future")
    engine = context.open_database()
    with read_transaction(engine) as connection:
        found = future_runs(connection, clock.now()) if run_id is None else [find_run(connection, run_id)]
    retracted = []
    for run in found:

        def work(connection: Connection, run_id: int = run.run_id) -> retraction.Retraction:
            threshold = context.config.removal_brake
            if undo:
                return retraction.restore(connection, run_id, threshold)
            return retraction.retract(connection, run_id, clock.now(), threshold)

        with run_lock(engine, run.account_id, run.account):
            retracted.append(in_transaction(engine, work))
        if not context.json:
            _show_retraction(context, retracted[-1], undo)
    if context.json:
        fields = [_retraction_fields(each) for each in retracted]
        context.show_json(fields if future else fields[0])
    elif not found:
        context.show("no run is dated in the future")


def _retraction_fields(done: retraction.Retraction) -> dict[str, Any]:
    return {
        "run_id": done.run_id,
        "account": done.account,
        "retracted_at": done.retracted_at,
        "intervals_new": len(done.difference.missing),
        "intervals_gone": len(done.difference.surplus),
        "intervals_with_other_bounds": len(done.difference.unequal),
        "tracks_with_other_facts": done.tracks,
    }


def _show_retraction(context: Context, done: retraction.Retraction, is_undone: bool) -> None:
    words = done.difference.words or "no interval changed"
    changed = f"{words}; {counted(done.tracks, 'track')} changed"
    verb = "is restored to" if is_undone else "is retracted from"
    hints = [] if is_undone else [f"`favsync runs retract {done.run_id} --undo` restores it"]
    context.show_result(None, f"run {done.run_id} {verb} the history of {done.account}: {changed}", *hints)


def _review(context: Context, run_id: int | None, account: str | None, decision: Review) -> None:
    if (run_id is None) == (account is None):
        raise click.UsageError("name either the number of a held run or --account NAME")
    engine, threshold = context.open_database(), context.config.removal_brake
    if run_id is not None:
        count = review_run(engine, run_id, decision, threshold)
    else:
        with read_transaction(engine) as connection:
            found = find_account(connection, account or "")
        run_id, count = review_account(engine, found, decision, threshold)
    done = "recorded" if decision is Review.APPROVED else "discarded; the favourites stay"
    fields = {"run_id": run_id, "decision": str(decision), "removals": count}
    context.show_result(fields, f"run {run_id} {decision}: {counted(count, 'removal')} {done}")


def _lines(details: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that describe a run."""
    yield f"run {details['run_id']} of {details['account']}: {details['outcome'] or 'in progress'}"
    yield from sentences(details["reason"])
    proof = "proven" if details["proven"] else "not proven"
    cost = f"{details['pages']} pages, {details['requests']} requests, {details['retries']} retries"
    yield f"  {details['trigger']}, {proof}, {cost}"
    yield f"  started {moment(details['started_at'])}"
    yield f"  observed {moment(details['observed_at'])}, finished {moment(details['finished_at'])}"
    if details["retry_at"]:
        yield f"  next attempt at {moment(details['retry_at'])}"
    if details["retracted_at"]:
        yield f"  retracted {moment(details['retracted_at'])}"
    yield f"  {details['favourites'] or 0:,} favourites afterwards, {counted(details['changed'], 'track')} changed"
    if details["removal_grace_seconds"] is not None:
        graces = (details[f"{word}_grace_seconds"] for word in ("removal", "withdrawal"))
        shown = " and ".join(str(plain_value(timedelta(seconds=each))) for each in graces)
        owner = "confirmed" if details["user_confirmed"] else "not confirmed"
        total = "unknown" if details["total"] is None else f"{details['total']:,}"
        yield f"  owner of the list {owner}, total by the service {total}, grace {shown}"
    answers = details["evidence"].get("catalogue", {})
    for kind in ("added", "removed", "held", "missing"):
        tracks = details[f"{kind}_tracks"]
        if tracks:
            yield f"  {kind}: {len(tracks):,}"
        for track in tracks[:SHOWN]:
            reason = track.get("removal_reason") or answers.get(str(track["track_id"]))
            yield f"    {track['track_id']}  {track['title'] or ''}" + (f" ({reason})" if reason else "")
        if len(tracks) > SHOWN:
            yield f"    … and {len(tracks) - SHOWN:,} more (--json lists all)"
    if details["rejects"]:
        yield f"  unreadable items: {len(details['rejects']):,}"
    for item in details["rejects"][:SHOWN]:
        yield f"    at {item['position']}: {item['reason']}: {item['body'][:200]}"

"""``favsync runs``: list and inspect runs; approve or reject held removals; retract a run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
from sqlalchemy import Connection

from etl import clock
from etl.cli.commands import VerbGroup
from etl.cli.context import Context, pass_context
from etl.cli.options import WholeNumber, json_option
from etl.db.engine import in_transaction, read_transaction
from etl.load.accounts import find_accounts
from etl.load.run_lock import run_lock
from etl.load.runs import find_run
from etl.model.records import Review
from etl.replay import retract as retraction
from etl.replay.review import review_run
from etl.reporting.run_list import LIST_COLUMNS, list_runs, run_details

SHOWN = 30
OUTCOMES = ("succeeded", "unchanged", "held", "partial", "failed")
run_argument = click.argument("run_id", metavar="RUN", type=WholeNumber(1))


@click.group("runs", cls=VerbGroup)
def runs() -> None:
    """List and inspect runs; approve, reject or retract them."""


@runs.command("list")
@click.option("--account", metavar="NAME", help="Only runs of this account.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only runs with this outcome.")
@click.option(
    "--limit", metavar="N", type=WholeNumber(0), default=20, show_default=True, help="At most N runs; 0 means all."
)
@json_option
@pass_context
def list_(context: Context, account: str | None, outcome: str | None, limit: int) -> None:
    """List the newest runs."""
    with read_transaction(context.open_database()) as connection:
        if account is not None:
            find_accounts(connection, [account])
        rows = list_runs(connection, account=account, outcome=outcome, limit=limit or WholeNumber.LARGEST)
    context.show_rows(LIST_COLUMNS, rows, is_limited=False)


@runs.command("show")
@run_argument
@json_option
@pass_context
def show(context: Context, run_id: int) -> None:
    """Show what a run added, removed and holds, and the items that it could not read."""
    with read_transaction(context.open_database()) as connection:
        details = run_details(connection, run_id)
    if context.json:
        context.show_json(details)
    else:
        context.show_lines(_lines(details))


@runs.command("approve")
@run_argument
@json_option
@pass_context
def approve(context: Context, run_id: int) -> None:
    """Apply the removals that a run holds."""
    _review(context, run_id, Review.APPROVED)


@runs.command("reject")
@run_argument
@json_option
@pass_context
def reject(context: Context, run_id: int) -> None:
    """Discard the removals that a run holds. A later sync that finds them again holds them again."""
    _review(context, run_id, Review.REJECTED)


@runs.command("retract")
@run_argument
@click.option("--undo", is_flag=True, help="Restore a retracted run.")
@json_option
@pass_context
def retract(context: Context, run_id: int, undo: bool) -> None:
    """Remove a run from the history. It stays on record, and --undo restores it.

    For any run that read the wrong list or imported the wrong file, not only the newest one.
    """
    engine, threshold = context.open_database(), context.config.removal_brake
    with read_transaction(engine) as connection:
        run = find_run(connection, run_id)

    def work(connection: Connection) -> retraction.Retraction:
        if undo:
            return retraction.restore(connection, run_id, threshold)
        return retraction.retract(connection, run_id, clock.now(), threshold)

    with run_lock(engine, run.account_id, run.account):
        done = in_transaction(engine, work)
    difference = done.difference
    if context.json:
        fields = {
            "run_id": run_id,
            "account": done.account,
            "retracted_at": done.retracted_at,
            "intervals_new": len(difference.missing),
            "intervals_gone": len(difference.surplus),
            "intervals_with_other_bounds": len(difference.unequal),
            "tracks_with_other_facts": done.tracks,
        }
        context.show_json(fields)
        return
    verb = "is restored to" if undo else "is retracted from"
    words = difference.words or "no interval changed"
    context.show(f"run {run_id} {verb} the history of {done.account}: {words}; {done.tracks:,} tracks changed")
    if not undo:
        context.say(f"`favsync runs retract {run_id} --undo` restores it")


def _review(context: Context, run_id: int, decision: Review) -> None:
    count = review_run(context.open_database(), run_id, decision, context.config.removal_brake)
    if context.json:
        context.show_json({"run_id": run_id, "decision": str(decision), "removals": count})
    else:
        done = "applied" if decision is Review.APPROVED else "discarded; the favourites stay"
        context.show(f"run {run_id} {decision}: {count:,} removals {done}")


def _lines(details: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that describe a run."""
    yield f"run {details['run_id']} of {details['account']}: {details['outcome'] or 'in progress'}"
    if details["reason"]:
        yield f"  {details['reason']}"
    proof = "proven" if details["proven"] else "not proven"
    cost = f"{details['pages']} pages, {details['requests']} requests, {details['retries']} retries"
    yield f"  {details['trigger']}, {proof}, {cost}"
    began, observed, ended = (_instant(details[f"{word}_at"]) for word in ("started", "observed", "finished"))
    yield f"  started {began}, observed {observed}, finished {ended}"
    if details["retry_at"]:
        yield f"  next attempt at {_instant(details['retry_at'])}"
    if details["retracted_at"]:
        yield f"  retracted {_instant(details['retracted_at'])}"
    yield f"  {details['favourites'] or 0:,} favourites afterwards, {details['changed']:,} tracks changed"
    kinds = (("added", "added"), ("removed", "removed"), ("held: favourites missing from the list", "held"))
    for words, kind in kinds:
        tracks = details[f"{kind}_tracks"]
        if tracks:
            yield f"  {words}: {len(tracks):,}"
        yield from (f"    {track['track_id']}  {track['title'] or ''}" for track in tracks[:SHOWN])
        if len(tracks) > SHOWN:
            yield f"    … and {len(tracks) - SHOWN:,} more (--json lists all)"
    if details["rejects"]:
        yield f"  unreadable items: {len(details['rejects']):,}"
    for item in details["rejects"][:SHOWN]:
        yield f"    at {item['position']}: {item['reason']}: {item['body'][:200]}"


def _instant(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else "-"

"""``favsync runs``: what each run saw and did, and the operator's word on held ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import VerbGroup
from etl.cli.context import Context, pass_context
from etl.cli.options import WholeNumber, json_option
from etl.cli.runs_retract import retract

if TYPE_CHECKING:
    from sqlalchemy import Engine

SHOWN = 30
run_argument = click.argument("run_id", metavar="RUN", type=WholeNumber(1))


@click.group("runs", cls=VerbGroup)
def runs() -> None:
    """Look at runs, and decide on removals that are held."""


runs.add_command(retract)


def _engine(context: Context) -> Engine:
    from etl.db.migrate import ready_engine

    return ready_engine(context.config.database_url.reveal())


@runs.command("list")
@click.option("--account", metavar="NAME", help="Only runs of this account.")
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "unchanged", "held", "partial", "failed"]),
    help="Only runs that ended so.",
)
@click.option("--limit", metavar="N", type=WholeNumber(1), default=20, show_default=True, help="At most N runs.")
@json_option
@pass_context
def list_(context: Context, account: str | None, outcome: str | None, limit: int) -> None:
    """List the newest runs."""
    from etl.db.engine import read_transaction
    from etl.load.accounts import find_accounts
    from etl.reporting.run_list import LIST_COLUMNS, list_runs

    with read_transaction(_engine(context)) as connection:
        if account is not None:
            find_accounts(connection, [account])
        rows = list_runs(connection, account=account, outcome=outcome, limit=limit)
    context.show_rows(LIST_COLUMNS, rows)


@runs.command("show")
@run_argument
@json_option
@pass_context
def show(context: Context, run_id: int) -> None:
    """Show a run: what it added, removed and holds, with the evidence, and the items that it could not read."""
    from etl.db.engine import read_transaction
    from etl.reporting.run_list import run_details

    with read_transaction(_engine(context)) as connection:
        details = run_details(connection, run_id)
    if context.json:
        context.show_json(details)
        return
    for line in _lines(details):
        context.show(line)


@runs.command("approve")
@run_argument
@json_option
@pass_context
def approve(context: Context, run_id: int) -> None:
    """Apply the removals that a run holds: the list really is that short."""
    from etl.model.records import Review

    _decide(context, run_id, Review.APPROVED)


@runs.command("reject")
@run_argument
@json_option
@pass_context
def reject(context: Context, run_id: int) -> None:
    """Throw away the removals that a run holds: what it read was wrong. A later sync that finds the same holds again."""
    from etl.model.records import Review

    _decide(context, run_id, Review.REJECTED)


def _decide(context: Context, run_id: int, decision: Any) -> None:
    from etl.replay.review import review_run

    count = review_run(_engine(context), run_id, decision, context.config.removal_brake)
    if context.json:
        context.show_json({"run_id": run_id, "decision": str(decision), "removals": count})
    else:
        done = "applied" if str(decision) == "approved" else "thrown away; the favourites stay"
        context.show(f"run {run_id} {decision}: {count:,} removals {done}")


def _lines(details: dict[str, Any]) -> Iterator[str]:
    """Yield a run as a person reads it."""
    yield f"run {details['run_id']} of {details['account']}: {details['outcome'] or 'in progress'}"
    if details["reason"]:
        yield f"  {details['reason']}"
    proof = "proven" if details["proven"] else "not proven"
    cost = f"{details['pages']} pages, {details['requests']} requests, {details['retries']} retries"
    yield f"  {details['trigger']}, {proof}, {cost}"
    began, observed, ended = (_instant(details[f"{word}_at"]) for word in ("started", "observed", "finished"))
    yield f"  began {began}, observed {observed}, ended {ended}"
    if details["retry_at"]:
        yield f"  next try at {_instant(details['retry_at'])}"
    if details["retracted_at"]:
        yield f"  retracted {_instant(details['retracted_at'])}"
    yield f"  {details['favourites'] or 0:,} favourites afterwards, facts of {details['changed']:,} tracks changed"
    yield from _tracks("added", details["added_tracks"])
    yield from _tracks("removed", details["removed_tracks"])
    yield from _tracks("held: favourites that the list lacks", details["held_tracks"])
    if details["rejects"]:
        yield f"  unreadable items: {len(details['rejects']):,}"
    for reject in details["rejects"][:SHOWN]:
        yield f"    at {reject['position']}: {reject['reason']}: {reject['body'][:200]}"


def _tracks(word: str, listed: list[dict[str, Any]]) -> Iterator[str]:
    if not listed:
        return
    yield f"  {word}: {len(listed):,}"
    for track in listed[:SHOWN]:
        yield f"    {track['track_id']}  {track['title'] or ''}"
    if len(listed) > SHOWN:
        yield f"    … and {len(listed) - SHOWN:,} more (--json lists all)"


def _instant(instant: Any) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else "-"

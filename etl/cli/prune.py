"""``favsync prune``: keep less without changing the history."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option
from etl.cli.time_input import instant

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.replay.prune import PrunePlan, PrunePolicy

MONTH = "1 month"


class Age(click.ParamType[datetime]):
    """The click type of an age such as ``90 days``: the instant so long ago. A date is taken as it is."""

    name = "age"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant.

        Raises: UsageError.
        """
        from etl.errors import UsageError

        if isinstance(value, datetime):
            return value
        for text in (f"{value} ago", value):
            try:
                return instant(text)
            except UsageError:
                continue
        raise UsageError(
            f"{value!r} is not an age", remedy='write "90 days", "6 months", "1 year", or a date such as 2025-11-03'
        )


AGE = Age()


@click.command("prune", cls=Verb)
@click.option(
    "--raw-older-than",
    metavar="AGE",
    type=AGE,
    help='Drop the bodies of items that were last seen longer ago, such as "1 year". Their facts stay as they are stored.',
)
@click.option(
    "--keep-daily",
    metavar="[AGE]",
    type=AGE,
    is_flag=False,
    flag_value=MONTH,
    help="Of unchanged observations longer ago, keep the last of each day.  [AGE if left out: 1 month]",
)
@click.option("--plan", "is_plan", is_flag=True, help="Say what would be freed, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@json_option
@pass_context
def prune(
    context: Context, raw_older_than: datetime | None, keep_daily: datetime | None, is_plan: bool, yes: bool
) -> None:
    r"""Keep less: thin out observations that changed nothing, and drop items as they were received.

    No interval, no bound and no fact changes: the history is compared before and after, and `favsync rebuild --check` stays
    clean. What is lost: with observations, the record that favsync looked at those times; with bodies, the means to read old
    items again after a fix in how they are read.

    \b
    favsync prune --keep-daily --plan
    favsync prune --keep-daily "6 months" --raw-older-than "1 year"
    """
    from etl.db.migrate import ready_engine
    from etl.replay.prune import PrunePolicy, plan
    from etl.replay.prune import prune as carry_out

    if raw_older_than is None and keep_daily is None:
        raise click.UsageError("say what may go: --raw-older-than AGE, --keep-daily, or both")
    engine = ready_engine(context.config.database_url.reveal())
    limits = PrunePolicy(raw_older_than, keep_daily)
    found = plan(engine, limits, context.config.removal_brake)
    if is_plan or not found:
        _tell(context, found, limits, is_done=False)
        return
    if not context.json:
        context.say(_words(found, limits))
    if not _is_meant(context, yes=yes):
        return
    done = carry_out(engine, limits, context.config.removal_brake)
    _tell(context, done, limits, is_done=True, sizes=_compacted(context, engine))


def _is_meant(context: Context, *, yes: bool) -> bool:
    from etl.errors import UsageError

    if yes:
        return True
    if context.json or not sys.stdin.isatty():
        raise UsageError("nothing was deleted: nobody is there to ask", remedy="add --yes, or look first with --plan")
    return context.is_agreed("Delete this?", "nothing was deleted")


def _compacted(context: Context, engine: Engine) -> tuple[int, int] | None:
    from etl.errors import DatabaseError
    from etl.replay.prune import compact

    try:
        return compact(engine)
    except DatabaseError as error:
        context.say(f"the file keeps its size for now: {error.message}")
        return None


def _tell(
    context: Context, found: PrunePlan, limits: PrunePolicy, *, is_done: bool, sizes: tuple[int, int] | None = None
) -> None:
    if context.json:
        context.show_json(_fields(found, sizes, is_done=is_done))
        return
    if not found:
        context.show("there is nothing to prune")
        return
    context.show(f"{'pruned' if is_done else 'would go'}: {_words(found, limits)}")
    if sizes is not None:
        context.show(f"the database file had {_bytes(sizes[0])} and has {_bytes(sizes[1])}")
    if not is_done:
        context.show("nothing was deleted")


def _words(found: PrunePlan, limits: PrunePolicy) -> str:
    parts = []
    if limits.daily_before is not None:
        when = _day(limits.daily_before)
        parts.append(f"{len(found.runs):,} of {found.observations:,} observations (unchanged, before {when})")
    if limits.raw_before is not None:
        parts.append(
            f"the bodies of {len(found.bodies):,} items last seen before {_day(limits.raw_before)} "
            f"({found.bodies_kept:,} are kept); their facts stay as stored, but cannot be read anew"
        )
    if found.orphans.snapshots or found.orphans.items:
        parts.append(
            f"{len(found.orphans.snapshots):,} lists and {len(found.orphans.items):,} items that no run refers to"
        )
    return f"{'; '.join(parts)}: about {_bytes(found.bytes_freed)}"


def _day(instant_: datetime) -> str:
    return f"{instant_:%Y-%m-%d %H:%M} UTC"


def _bytes(count: int) -> str:
    amount, unit = float(count), "bytes"
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"


def _fields(found: PrunePlan, sizes: tuple[int, int] | None, *, is_done: bool) -> dict[str, Any]:
    return {
        "pruned": is_done,
        "observations": len(found.runs),
        "of_observations": found.observations,
        "bodies": len(found.bodies),
        "bodies_kept": found.bodies_kept,
        "lists": len(found.orphans.snapshots),
        "items": len(found.orphans.items),
        "bytes_freed": found.bytes_freed,
        "file_bytes_before": sizes[0] if sizes else None,
        "file_bytes_after": sizes[1] if sizes else None,
    }

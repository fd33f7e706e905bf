"""``favsync prune``: delete old raw data without changing the history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option
from etl.cli.time_input import instant
from etl.errors import DatabaseError, UsageError
from etl.replay.prune import PrunePlan, PrunePolicy, compact, plan
from etl.replay.prune import prune as delete_planned

MONTH = "1 month"


class Age(click.ParamType[datetime]):
    """The click type of an age such as ``90 days``: the instant that long ago. A date stays as it is."""

    name = "age"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant.

        Raises: UsageError.
        """
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
    help='Delete the raw bodies of items last seen longer ago, such as "1 year". Their stored attributes stay.',
)
@click.option(
    "--keep-daily",
    metavar="[AGE]",
    type=AGE,
    is_flag=False,
    flag_value=MONTH,
    help="Of unchanged snapshots longer ago, keep only the last of each day.  [AGE if omitted: 1 month]",
)
@click.option("--plan", "is_plan", is_flag=True, help="Show what would be freed, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@json_option
@pass_context
def prune(
    context: Context, raw_older_than: datetime | None, keep_daily: datetime | None, is_plan: bool, yes: bool
) -> None:
    r"""Delete old raw data: snapshots that changed nothing, and the raw bodies of items.

    No interval, bound or attribute changes: the history is compared before and after, and `favsync rebuild --check` stays
    clean. Without the snapshots, it is no longer recorded that favsync looked at those times. Without the raw bodies, a
    later fix in the parser cannot be applied to those items.

    \b
    favsync prune --keep-daily --plan
    favsync prune --keep-daily "6 months" --raw-older-than "1 year"
    """
    if raw_older_than is None and keep_daily is None:
        raise click.UsageError("name what to delete: --raw-older-than AGE, --keep-daily, or both")
    engine = context.open_database()
    policy = PrunePolicy(raw_older_than, keep_daily)
    found = plan(engine, policy, context.config.removal_brake)
    if is_plan or not found:
        _show(context, found, policy, is_done=False)
        return
    if not context.json:
        context.say(_summary(found, policy))
    if not yes and (context.json or not context.can_ask):
        remedy = "add --yes, or look first with --plan"
        raise UsageError("nothing was deleted: confirmation is needed, but there is no terminal", remedy=remedy)
    if not yes and not context.ask_yes_no("Delete this?", "nothing was deleted"):
        return
    done = delete_planned(engine, policy, context.config.removal_brake)
    try:
        sizes = compact(engine)
    except DatabaseError as error:
        context.say(f"the database file was not compacted: {error.message}")
        sizes = None
    _show(context, done, policy, is_done=True, sizes=sizes)


def _show(
    context: Context, found: PrunePlan, policy: PrunePolicy, *, is_done: bool, sizes: tuple[int, int] | None = None
) -> None:
    if context.json:
        context.show_json(_fields(found, sizes, is_done=is_done))
        return
    if not found:
        context.show("there is nothing to prune")
        return
    context.show(f"{'pruned' if is_done else 'would be deleted'}: {_summary(found, policy)}")
    if sizes is not None:
        context.show(f"the database file shrank from {_bytes(sizes[0])} to {_bytes(sizes[1])}")
    if not is_done:
        context.show("nothing was deleted")


def _summary(found: PrunePlan, policy: PrunePolicy) -> str:
    parts = []
    if policy.daily_before is not None:
        before = f"{policy.daily_before:%Y-%m-%d %H:%M} UTC"
        parts.append(f"{len(found.runs):,} of {found.observations:,} snapshots (unchanged, before {before})")
    if policy.raw_before is not None:
        parts.append(
            f"the raw bodies of {len(found.bodies):,} items last seen before {policy.raw_before:%Y-%m-%d %H:%M} UTC "
            f"({found.bodies_kept:,} are kept); their stored attributes stay, but cannot be parsed again"
        )
    if found.orphans.snapshots or found.orphans.items:
        parts.append(
            f"{len(found.orphans.snapshots):,} lists and {len(found.orphans.items):,} items that no run refers to"
        )
    return f"{'; '.join(parts)}: about {_bytes(found.bytes_freed)}"


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

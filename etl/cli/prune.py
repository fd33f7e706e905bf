"""``favsync prune``: delete old raw data without changing the history."""

from __future__ import annotations

from datetime import datetime

import click
from rich.filesize import decimal

from etl.cli.commands import verb
from etl.cli.context import Context
from etl.cli.options import plan_option
from etl.cli.time_input import age
from etl.errors import DatabaseError, UsageError
from etl.replay.prune import PrunePlan, PrunePolicy, compact, plan
from etl.replay.prune import prune as delete_planned


@verb("prune")
@click.option(
    "--raw-older-than",
    metavar="AGE",
    type=age,
    help='Delete the raw bodies of items last seen longer ago, such as "1 year". Their stored attributes stay.',
)
@click.option(
    "--keep-daily",
    metavar="[AGE]",
    type=age,
    is_flag=False,
    flag_value="1 month",
    help="Of unchanged snapshots longer ago, keep only the last of each day.  [AGE if omitted: 1 month]",
)
@plan_option
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
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
    sizes, is_done = None, False
    if found and not is_plan:
        if not context.json:
            context.say(_summary(found, policy))
        if not yes and (context.json or not context.can_ask):
            remedy = "add --yes, or look first with --plan"
            raise UsageError("nothing was deleted: confirmation is needed, but there is no terminal", remedy=remedy)
        if not yes and not context.ask_yes_no("Delete this?", "nothing was deleted"):
            return
        found, is_done = delete_planned(engine, policy, context.config.removal_brake), True
        try:
            sizes = compact(engine)
        except DatabaseError as error:
            context.say(f"the database file was not compacted: {error.message}")
    fields = {
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
    lines = ["there is nothing to prune"]
    if found:
        lines = [f"{'pruned' if is_done else 'would be deleted'}: {_summary(found, policy)}"]
        lines += [f"the database file shrank from {decimal(sizes[0])} to {decimal(sizes[1])}"] if sizes else []
        lines += [] if is_done else ["nothing was deleted"]
    context.show_result(fields, lines)


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
    lists, items = len(found.orphans.snapshots), len(found.orphans.items)
    if lists or items:
        parts.append(f"{lists:,} lists and {items:,} items that no run refers to")
    return f"{'; '.join(parts)}: about {decimal(found.bytes_freed)}"

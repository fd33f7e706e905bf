"""``favsync rebuild``: recompute the history from the stored snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from etl.cli.commands import verb
from etl.cli.context import Context, shortened
from etl.cli.options import accounts_argument, plan_option
from etl.replay.favourites import FavouriteDiff
from etl.replay.rebuild import RebuildResult, compare, rewrite
from etl.replay.tracks import TrackDiff

SHOWN = 10
DIFFERS = 1


@verb("rebuild")
@accounts_argument
@click.option("--check", is_flag=True, help="Only compare: exit code 0 if nothing differs, 1 otherwise.")
@plan_option
@click.option("--yes", is_flag=True, help="Do not ask before writing. Without a terminal it never asks.")
def rebuild(context: Context, accounts: tuple[str, ...], check: bool, is_plan: bool, yes: bool) -> None:
    r"""Recompute the history of ACCOUNTs, or of all accounts, from their stored snapshots, and correct differences.

    The history differs only if the tables were changed by hand, or if a newer favsync parses items differently. The
    differences are shown before they are written. Track attributes are shared between accounts and recomputed over all.

    \b
    favsync rebuild --check
    favsync rebuild --plan
    favsync rebuild
    """
    engine = context.open_database()
    brake = context.config.removal_brake
    found = compare(engine, accounts, brake)
    lines = [f"the history matches its {found.observations:,} snapshots"]
    if found:
        lines = [*_lines(found), "nothing was written"]
    is_written = bool(found) and not (check or is_plan)
    if is_written:
        if not context.json:
            context.say("\n".join(lines[:-1]))
        asks = not yes and not context.json and context.can_ask
        if asks and not context.ask_yes_no("Write these corrections?", "nothing was written"):
            return
        rewrite(engine, accounts, brake)
        lines = [f"rebuilt the history from {found.observations:,} snapshots"]
    context.exit_code = DIFFERS if check and found else 0
    hints = []
    if found.facts.bodiless:
        hints = [f"{found.facts.bodiless:,} items have no raw body; their stored attributes were used as they are"]
    context.show_result(_fields(found, is_written=is_written), lines, *hints)


def _lines(found: RebuildResult) -> Iterator[str]:
    for name, difference in found.accounts:
        yield from _interval_lines(name, difference)
    yield from _track_lines(found.facts)
    if found.market_sets:
        yield f"market sets with changed members: {shortened(found.market_sets, SHOWN)}"


def _interval_lines(name: str, difference: FavouriteDiff) -> Iterator[str]:
    kinds = (
        ("missing", difference.missing),
        ("in the tables but in no snapshot", difference.surplus),
        ("with wrong bounds or runs", difference.unequal),
    )
    for words, intervals in kinds:
        if intervals:
            yield f"{name}: {len(intervals):,} intervals {words}:"
        for each in intervals[:SHOWN]:
            end = f"to {each.valid_to:%Y-%m-%d %H:%M:%SZ}" if each.valid_to else "still open"
            yield f"  track {each.track_id} from {each.valid_from:%Y-%m-%d %H:%M:%SZ} {end}"
        if len(intervals) > SHOWN:
            yield f"  … and {len(intervals) - SHOWN:,} more"
    if difference.runs:
        yield f"{name}: runs with wrong counts or outcome: {shortened(difference.runs, SHOWN)}"


def _track_lines(tracks: TrackDiff) -> Iterator[str]:
    if tracks.tracks:
        yield f"attributes of {len(tracks.tracks):,} tracks differ:"
        for track_id, field, stored, replayed in tracks.samples:
            change = "past versions" if field == "versions" else f"{field}: {_value(stored)} -> {_value(replayed)}"
            yield f"  track {track_id}: {change}"
        if len(tracks.tracks) > len({sample[0] for sample in tracks.samples}):
            yield "  … and more tracks"
    if tracks.surplus:
        yield f"tracks in no snapshot: {shortened(tracks.surplus, SHOWN)}"
    if tracks.names:
        yield f"albums and artists with another name: {tracks.names:,}"
    if tracks.turned:
        yield f"items that became readable or unreadable: {tracks.turned:,}"


def _value(value: Any) -> str:
    text = "nothing" if value in (None, ()) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _fields(found: RebuildResult, *, is_written: bool) -> dict[str, Any]:
    accounts = [
        {"account": name, "runs": list(each.runs)}
        | {kind: len(getattr(each, kind)) for kind in ("missing", "surplus", "unequal")}
        for name, each in found.accounts
    ]
    facts = {name: getattr(found.facts, name) for name in ("tracks", "surplus", "names")}
    facts |= {"items": found.facts.turned, "without_body": found.facts.bodiless}
    return {
        "differs": bool(found),
        "written": is_written,
        "observations": found.observations,
        "accounts": accounts,
        "facts": facts,
        "market_sets": found.market_sets,
    }

"""``favsync rebuild``: history from observations alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import accounts_argument, json_option

if TYPE_CHECKING:
    from etl.model.records import FavouriteInterval
    from etl.replay.favourites import FavouriteDiff
    from etl.replay.rebuild import RebuildResult
    from etl.replay.tracks import TrackDiff

SHOWN = 10
DIFFERS = 1


@click.command("rebuild", cls=Verb)
@accounts_argument
@click.option(
    "--check", is_flag=True, help="Only compare: exit 0 if nowhere different, 1 if somewhere. Writes nothing."
)
@click.option("--plan", is_flag=True, help="Show what would become different, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before writing. Without a terminal nothing is asked either.")
@json_option
@pass_context
def rebuild(context: Context, accounts: tuple[str, ...], check: bool, plan: bool, yes: bool) -> int:
    r"""Fold the observations of ACCOUNTs, or of all, again, and write where the history is not what they tell.

    It always is, unless somebody changed the tables by hand or a newer favsync reads items in another way: then this shows
    what would differ before it writes. Facts of tracks are shared between accounts and are folded over all of them.

    \b
    favsync rebuild --check
    favsync rebuild --plan
    favsync rebuild
    """
    from etl.db.migrate import ready_engine
    from etl.replay.rebuild import compare, rewrite

    engine = ready_engine(context.config.database_url.reveal())
    brake = context.config.removal_brake
    found = compare(engine, accounts, brake)
    is_written = False
    if found and not (check or plan):
        asks = not yes and not context.json and sys.stdin.isatty()
        if not context.json:
            for line in _lines(found):
                context.say(line)
        if asks and not context.is_agreed("Write this?", "nothing was written"):
            return 0
        rewrite(engine, accounts, brake)
        is_written = True
    context.exit_code = DIFFERS if check and found else 0
    if context.json:
        context.show_json(_fields(found, is_written=is_written))
    else:
        _tell(context, found, is_written=is_written)
    return context.exit_code


def _tell(context: Context, found: RebuildResult, *, is_written: bool) -> None:
    if is_written:
        context.show(f"rebuilt from {found.observations:,} observations: the history is what they tell again")
    elif found:
        for line in _lines(found):
            context.show(line)
        context.show("nothing was written")
    else:
        context.show(f"the history is what its {found.observations:,} observations tell")
    if found.facts.bodiless:
        context.say(
            f"{found.facts.bodiless:,} items are stored without their bodies: what is stored of their facts was believed"
        )


def _lines(found: RebuildResult) -> Iterator[str]:
    for name, difference in found.accounts:
        yield from _interval_lines(name, difference)
    yield from _fact_lines(found.facts)
    if found.market_sets:
        yield f"market sets whose members were changed: {_listed(found.market_sets)}"


def _interval_lines(name: str, difference: FavouriteDiff) -> Iterator[str]:
    kinds = (
        ("missing", difference.missing),
        ("in the tables though no observation tells them", difference.surplus),
        ("with wrong bounds or runs", difference.unequal),
    )
    for words, intervals in kinds:
        if intervals:
            yield f"{name}: {len(intervals):,} intervals {words}:"
            yield from (f"  {_interval(interval)}" for interval in intervals[:SHOWN])
        if len(intervals) > SHOWN:
            yield f"  … and {len(intervals) - SHOWN:,} more"
    if difference.runs:
        yield f"{name}: runs with wrong counts or outcome: {_listed(difference.runs)}"


def _interval(interval: FavouriteInterval) -> str:
    end = f"to {interval.valid_to:%Y-%m-%d %H:%M:%SZ}" if interval.valid_to else "still open"
    return f"track {interval.track_id} from {interval.valid_from:%Y-%m-%d %H:%M:%SZ} {end}"


def _fact_lines(facts: TrackDiff) -> Iterator[str]:
    if facts.tracks:
        yield f"facts of {len(facts.tracks):,} tracks differ:"
        for track_id, field, stored, told in facts.samples:
            change = "their past" if field == "versions" else f"{field}: {_value(stored)} -> {_value(told)}"
            yield f"  track {track_id}: {change}"
        if len(facts.tracks) > len({sample[0] for sample in facts.samples}):
            yield "  … and more tracks"
    if facts.surplus:
        yield f"tracks that no observation shows: {_listed(facts.surplus)}"
    if facts.names:
        yield f"albums and artists that are called otherwise: {facts.names:,}"
    if facts.turned:
        yield f"items that have become readable or unreadable: {facts.turned:,}"


def _value(value: Any) -> str:
    text = "nothing" if value in (None, ()) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _listed(numbers: list[int] | tuple[int, ...]) -> str:
    more = f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    return ", ".join(map(str, numbers[:SHOWN])) + more


def _fields(found: RebuildResult, *, is_written: bool) -> dict[str, Any]:
    return {
        "differs": bool(found),
        "written": is_written,
        "observations": found.observations,
        "accounts": [
            {
                "account": name,
                "missing": len(difference.missing),
                "surplus": len(difference.surplus),
                "unequal": len(difference.unequal),
                "runs": list(difference.runs),
            }
            for name, difference in found.accounts
        ],
        "facts": {
            "tracks": found.facts.tracks,
            "surplus": found.facts.surplus,
            "names": found.facts.names,
            "items": found.facts.turned,
            "without_body": found.facts.bodiless,
        },
        "market_sets": found.market_sets,
    }

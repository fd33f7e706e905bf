"""The top of the page as HTML, so that it reads without scripts and in the previews of messengers.

Every value is escaped: a hostile title stays text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import floor
from typing import Any

from etl.errors import counted
from etl.reporting.html.document import head_tags
from etl.reporting.year_text import day

Row = Mapping[str, Any]


def static_blocks(accounts: Sequence[Row]) -> dict[str, str]:
    """Return the blocks HEAD, TITLE, LEDE and TILES of the template, about the first of ``accounts``."""
    if not accounts:
        return {"HEAD": head_tags("Favourites", "favsync"), "TITLE": "No account yet", "LEDE": "", "TILES": ""}
    first = accounts[0]
    name, others = first["account"]["name"], len(accounts) - 1
    title = f"{name}: favourites" if not others else f"{name} and {others:,} more: favourites"
    lede = summary_line(first)
    tiles = "".join(f"<div><dt>{dt}</dt><dd>{dd}</dd></div>" for dt, dd in _tiles(first))
    return {"HEAD": head_tags(title, lede), "TITLE": escape(name), "LEDE": escape(lede), "TILES": tiles}


def summary_line(report: Row) -> str:
    """Return what the report says in one sentence or two."""
    summary, looks = report["summary"], report["looks"]
    if looks["last"] is None:
        return "favsync has not read this list yet."
    music = duration_words(summary)
    by = f" by {counted(report['artists']['count'], 'artist')}" if report["artists"]["count"] else ""
    changes = f"{counted(summary['added'], 'addition')} and {counted(summary['removed'], 'removal')}"
    return (
        f"{counted(summary['favourites'], 'favourite')}{f', {music} of music' if music else ''}{by}. "
        f"{changes} seen from {day(looks['first'])} to {day(looks['last'])}."
    )


def playing_time(summary: Row) -> tuple[str, str] | None:
    """Return how long the favourites play (``17.8``, ``hours``), None where no duration is known.

    Where only some are known it is a lower bound, so it is not rounded up.
    """
    if not summary["known_durations"]:
        return None
    seconds = summary["seconds"]
    rounded = floor if summary["known_durations"] < summary["favourites"] else round
    if seconds >= 48 * 3600:
        return f"{rounded(seconds / 8640) / 10:,.1f}", "days"
    if seconds >= 3600:
        return f"{rounded(seconds / 360) / 10:.1f}", "hours"
    count, unit = (rounded(seconds / 60), "minute") if seconds >= 60 else (seconds, "second")
    return str(count), unit if count == 1 else f"{unit}s"


def duration_words(summary: Row) -> str:
    """Return the playing time as words (``at least 17.8 hours``), an empty text where it is not known."""
    words = " ".join(playing_time(summary) or ())
    return f"at least {words}" if words and summary["known_durations"] < summary["favourites"] else words


def _tiles(report: Row) -> list[tuple[str, str]]:
    summary = report["summary"]
    return [
        ("Favourites", f"{summary['favourites']:,}"),
        ("Artists", f"{report['artists']['count']:,}"),
        ("Playing time", duration_words(summary) or "not known"),
        ("Added and removed", f"+{summary['added']:,} −{summary['removed']:,}"),
    ]

"""The review of a year as text for a terminal, and the facts that the page and the card show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from etl.errors import counted
from etl.logs import visible

Row = dict[str, Any]


class YearFact(NamedTuple):
    """A line of the review: what it is, the answer, and what makes it so."""

    label: str
    answer: str
    detail: str


def headline(review: Row) -> str:
    """Return the year in one sentence."""
    if not review["observed"]["looks"]:
        return f"Nobody looked at this list in {review['year']}, so nothing is known of that year."
    start, end = review["favourites_at_start"], review["favourites_at_end"]
    grew = (
        f"from {start:,} to {counted(end, 'favourite')}"
        if start is not None
        else f"{counted(end, 'favourite')} at its end"
    )
    return (
        f"{counted(review['added'], 'addition')} of {counted(review['added_tracks'], 'track')} and "
        f"{counted(review['removed'], 'removal')}: {grew}."
    )


def honesty(review: Row) -> str:
    """Return what of the year was observed."""
    seen = review["observed"]
    if not seen["looks"]:
        return ""
    span = "the whole year" if seen["is_whole_year"] else f"{day(seen['from'])} to {day(seen['to'])}"
    words = f"Seen: {span}, on {seen['days_looked']:,} of {seen['days']:,} days."
    before = ((review["uncertain"], "addition"), (review["uncertain_removals"], "removal"))
    if any(count for count, _ in before):
        found = " and ".join(counted(count, word) for count, word in before if count)
        words += f" {found} may belong to the year before."
    if review["seen_later"]:
        words += f" {counted(review['seen_later'], 'change')} seen later may belong to this year."
    return words


def facts(review: Row) -> list[YearFact]:
    """Return what the year had, in the order of the page; nothing of a year without a look."""
    if not review["observed"]["looks"]:
        return []
    return [fact(label, review[key]) for key, (label, fact) in _FACTS.items() if review[key]]


def _love(label: str, found: Row) -> YearFact:
    return YearFact(
        label, title(found), f"{_by(found)}added between {day(found['not_before'])} and {day(found['seen_at'])}"
    )


def _most(label: str, found: Row) -> YearFact:
    return YearFact(label, name(found), f"{counted(found['tracks'], 'track')} added")


def _lasting(label: str, found: Row) -> YearFact:
    return YearFact(
        label, title(found), f"{_by(found)}the addition that stayed longest: {counted(found['days'], 'day')}"
    )


def _comeback(label: str, found: Row) -> YearFact:
    return YearFact(label, title(found), f"{_by(found)}back after {counted(found['days_away'], 'day')}")


def _discoveries(label: str, found: Row) -> YearFact:
    return YearFact(label, counted(found["count"], "new artist"), ", ".join(map(name, found["top"])))


def _longest(label: str, found: Row) -> YearFact:
    since = "at least " if found["is_at_least"] else ""
    return YearFact(label, title(found), f"{_by(found)}there for {since}{counted(found['days'], 'day')}")


def _crush(label: str, found: Row) -> YearFact:
    return YearFact(label, title(found), f"{_by(found)}gone after at most {found['at_most_days']:g} days")


def _streak(label: str, found: Row) -> YearFact:
    weeks = f"an addition in each, {day(found['from'])} to {day(found['to'])}"
    return YearFact(label, counted(found["weeks"], "week"), weeks)


def _withdrawn(label: str, found: list[Row]) -> YearFact:
    return YearFact(label, counted(len(found), "track"), ", ".join(map(title, found[:3])))


def _on_this_day(label: str, found: list[Row]) -> YearFact:
    return YearFact(label, title(found[-1]), f"{_by(found[-1])}first seen on {day(found[-1]['seen_at'])}")


_FACTS: Final[dict[str, tuple[str, Callable[[str, Any], YearFact]]]] = {
    "first_love": ("First love", _love),
    "last_love": ("Last love", _love),
    "artist": ("Artist of the year", _most),
    "album": ("Album of the year", _most),
    "track": ("Track of the year", _lasting),
    "comeback": ("Comeback of the year", _comeback),
    "discoveries": ("Discoveries", _discoveries),
    "longest_loved": ("Longest loved", _longest),
    "shortest_crush": ("Shortest crush", _crush),
    "streak": ("Longest streak", _streak),
    "withdrawn": ("Withdrawn by Boomplay", _withdrawn),
    "on_this_day": ("On this day", _on_this_day),
}


def year_text(review: Row) -> str:
    """Return the review as lines of text."""
    lines = [f"{visible(review['account'])} in {review['year']}", headline(review)]
    for fact in facts(review):
        lines += [f"  {fact.label:<22}{fact.answer}", f"  {'':<22}{fact.detail}"]
    return "\n".join([*lines, honesty(review)]).rstrip()


def overview(review: Row) -> Row:
    """Return a row of the overview of many accounts; None is not known: the year has no look."""
    artist, is_seen = review["artist"], review["observed"]["looks"] > 0
    discoveries = review["discoveries"]["count"] if review["discoveries"] else 0
    return {
        "account": review["account"],
        "favourites": review["favourites_at_end"],
        "added": review["added"] if is_seen else None,
        "removed": review["removed"] if is_seen else None,
        "discoveries": discoveries if is_seen else None,
        "artist": name(artist) if artist else None,
        "days_looked": review["observed"]["days_looked"],
    }


def fact_tracks(review: Row) -> list[Row]:
    """Return the tracks that the facts name, in the order of the page."""
    found = [review[key] for key in ("first_love", "last_love", "track", "comeback", "longest_loved", "shortest_crush")]
    found += [*review["withdrawn"][:3], *review["on_this_day"][-1:]]
    return [track for track in found if track]


def title(track: Row) -> str:
    """Return the title of a track, on one line."""
    return visible(track["title"]) if track["title"] else f"track {track['track_id']}"


def name(found: Row) -> str:
    """Return the name of an artist, album or genre, on one line."""
    return visible(found["name"]) if found["name"] else "(no name)"


def day(instant: datetime | date) -> str:
    """Return a day as ``3 Sep 2026``."""
    return f"{instant.day} {instant:%b %Y}"


def _by(track: Row) -> str:
    return f"{visible(track['artists'])}; " if track["artists"] else ""

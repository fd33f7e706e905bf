"""A year of an account's favourites: what it began and ended with, what was found, loved, lost and came back.

Everything is counted from what the looks at the list saw. A review says which part of the year was observed, and how many
additions may belong to the year before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from etl.db.tables import accounts, albums, artists, favourites, genres, track_artists, track_genres, tracks
from etl.reporting.query import Query, looks_of, run_query
from etl.reporting.views import view_named

Row = dict[str, Any]
TOP: Final = 5
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class AccountHistory:
    """What a review counts. ``stays``: rows of ``report_favourite_history``. ``looks``: when the list was read.

    ``artists``, ``albums``, ``genres``: id and name of those of each track.
    """

    account: str
    stays: Sequence[Row]
    looks: Sequence[datetime]
    artists: Mapping[int, Sequence[tuple[int, str | None]]]
    albums: Mapping[int, Sequence[tuple[int, str | None]]]
    genres: Mapping[int, Sequence[tuple[int, str | None]]]


def read_history(connection: Connection, account: str) -> AccountHistory:
    """Return the history of ``account``."""

    def rows(view: str) -> list[Row]:
        result = run_query(connection, Query(view_named(view), accounts=(account,)))
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    def names(key: Any, name: Any, source: Any) -> dict[int, list[tuple[int, str | None]]]:
        own = select(favourites.c.track_id).join(accounts).where(accounts.c.name == account)
        track_id = source.c.track_id
        query = select(track_id, key, name).select_from(source.join(key.table)).where(track_id.in_(own))
        found = defaultdict(list)
        if "position" in source.c:
            query = query.order_by(track_id, source.c.position)
        for number, identity, word in connection.execute(query):
            found[number].append((identity, word))
        return found

    return AccountHistory(
        account,
        sorted(rows("favourite-history"), key=lambda stay: (stay["valid_from"], stay["track_id"])),
        looks_of(connection, account),
        names(artists.c.artist_id, artists.c.name, track_artists),
        names(albums.c.album_id, albums.c.title, tracks),
        names(genres.c.genre_id, genres.c.name, track_genres),
    )


def artwork_urls(connection: Connection, track_ids: Collection[int]) -> dict[int, str]:
    """Return the addresses of the covers of these tracks, where one is known."""
    query = select(tracks.c.track_id, tracks.c.artwork_url).where(tracks.c.track_id.in_(track_ids))
    found = connection.execute(query.where(tracks.c.artwork_url.is_not(None)).order_by(tracks.c.track_id))
    return {row.track_id: row.artwork_url for row in found}


def review(history: AccountHistory, year: int, today: date) -> Row:
    """Return the review of ``year`` as JSON values. ``today``: the day of *on this day*."""
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    stays = history.stays
    added = [stay for stay in stays if stay["added_after"] and start <= stay["valid_from"] < end]
    removed = [stay for stay in stays if stay["valid_to"] and start <= stay["valid_to"] < end]
    looks = [look for look in history.looks if start <= look < end]
    returned = _returned(stays, start, end)
    by_artist = _most(added, history.artists)
    last = looks[-1] if looks else None
    return {
        "account": history.account,
        "year": year,
        "observed": _observed(looks, start, end),
        "favourites_at_start": _open_at(stays, start) if history.looks and history.looks[0] <= start else None,
        "favourites_at_end": _open_at(stays, last) if last else None,
        "added": len(added),
        "added_tracks": len({stay["track_id"] for stay in added}),
        "uncertain": sum(stay["added_after"] < start for stay in added),
        "uncertain_removals": sum((stay["removed_after"] or stay["valid_from"]) < start for stay in removed),
        "seen_later": _seen_later(stays, end),
        "removed": len(removed),
        "removed_by_reason": dict(Counter(stay["removal_reason"] or "unknown" for stay in removed)),
        "came_back": len(returned),
        "first_love": _track(added[0]) if added else None,
        "last_love": _track(added[-1]) if added else None,
        "artist": by_artist[0] if by_artist else None,
        "album": next(iter(_most(added, history.albums)), None),
        "track": _lasting(added, last),
        "comeback": _comeback(returned),
        "discoveries": _discoveries(history, added, start),
        "longest_loved": _longest(stays, last),
        "shortest_crush": _crush([stay for stay in removed if stay["added_after"]]),
        "streak": _streak(added),
        "withdrawn": [_track(stay) for stay in removed if stay["removal_reason"] == "withdrawn"],
        "on_this_day": [
            _track(stay)
            for stay in stays
            if stay["added_after"]
            and (stay["valid_from"].month, stay["valid_from"].day) == (today.month, today.day)
            and stay["valid_from"].year < today.year
        ],
        "top_artists": by_artist[:TOP],
        "top_genres": _most(added, history.genres)[:TOP],
        "months": _months(added, removed, looks),
    }


def _observed(looks: Sequence[datetime], start: datetime, end: datetime) -> Row:
    day = timedelta(days=1)
    is_whole = bool(looks) and looks[0] <= start + day and looks[-1] >= end - day
    return {
        "from": looks[0] if looks else None,
        "to": looks[-1] if looks else None,
        "looks": len(looks),
        "days_looked": len({look.date() for look in looks}),
        "days": (end - start).days,
        "is_whole_year": is_whole,
    }


def _seen_later(stays: Iterable[Row], end: datetime) -> int:
    """Return how many additions and removals that were seen after ``end`` may have been made before it."""
    bounds = [(stay["added_after"], stay["valid_from"]) for stay in stays]
    bounds += [(stay["removed_after"] or stay["valid_from"], stay["valid_to"]) for stay in stays if stay["valid_to"]]
    return sum(after is not None and after < end <= at for after, at in bounds)


def _open_at(stays: Iterable[Row], instant: datetime) -> int:
    return sum(stay["valid_from"] <= instant and (not stay["valid_to"] or stay["valid_to"] > instant) for stay in stays)


def _track(stay: Row, **more: Any) -> Row:
    return {
        "track_id": stay["track_id"],
        "title": stay["title"],
        "artists": stay["artists"],
        "not_before": stay["added_after"],
        "seen_at": stay["valid_from"],
        **more,
    }


def _most(added: Iterable[Row], names: Mapping[int, Sequence[tuple[int, str | None]]]) -> list[Row]:
    """Return the names with the most different tracks among ``added``, the most first."""
    tracks_of: dict[tuple[int, str | None], set[int]] = defaultdict(set)
    for stay in added:
        for each in names.get(stay["track_id"], ()):
            tracks_of[each].add(stay["track_id"])
    ordered = sorted(tracks_of.items(), key=lambda each: (-len(each[1]), each[0][0]))
    return [{"id": number, "name": name, "tracks": len(own)} for (number, name), own in ordered]


def _lasting(added: Sequence[Row], last: datetime | None) -> Row | None:
    """Return the addition of the year that was kept longest, of those that are still there at the last look."""
    kept = [stay for stay in added if last and (not stay["valid_to"] or stay["valid_to"] > last)]
    return _track(kept[0], days=(last - kept[0]["valid_from"]).days) if kept and last else None


def _returned(stays: Sequence[Row], start: datetime, end: datetime) -> list[tuple[Row, Row]]:
    """Return each stay that began in the year after an earlier one of its track, with that one."""
    before: dict[int, Row] = {}
    found = []
    for stay in stays:
        former = before.get(stay["track_id"])
        if former is not None and start <= stay["valid_from"] < end:
            found.append((former, stay))
        before[stay["track_id"]] = stay
    return found


def _comeback(returned: Sequence[tuple[Row, Row]]) -> Row | None:
    if not returned:
        return None
    former, stay = max(returned, key=lambda pair: (pair[1]["valid_from"] - pair[0]["valid_to"], -pair[1]["track_id"]))
    return _track(stay, days_away=(stay["valid_from"] - former["valid_to"]).days)


def _discoveries(history: AccountHistory, added: Sequence[Row], start: datetime) -> Row | None:
    """Return how many artists of this year's additions had no favourite before, and those with the most tracks."""
    known = {
        number
        for stay in history.stays
        if stay["valid_from"] < start or not stay["added_after"]
        for number, _ in history.artists.get(stay["track_id"], ())
    }
    new = [each for each in _most(added, history.artists) if each["id"] not in known]
    return {"count": len(new), "top": new[:TOP]} if new else None


def _longest(stays: Sequence[Row], last: datetime | None) -> Row | None:
    """Return the oldest stay that was there at the last look. It is older still if it was there at the first one."""
    there = [stay for stay in stays if last and stay["valid_from"] <= last and _open_at([stay], last)]
    if not there or last is None:
        return None
    return _track(there[0], days=(last - there[0]["valid_from"]).days, is_at_least=not there[0]["added_after"])


def _crush(ended: Sequence[Row]) -> Row | None:
    """Return the stay that ended soonest after it was added, by the most that it can have lasted."""
    if not ended:
        return None
    stay = min(ended, key=lambda each: (each["valid_to"] - each["added_after"], each["track_id"]))
    least = max(timedelta(0), (stay["removed_after"] or stay["valid_from"]) - stay["valid_from"])
    most = stay["valid_to"] - stay["added_after"]
    tenth = timedelta(days=0.1)  # bounds are rounded outwards
    return _track(stay, at_least_days=least // tenth / 10, at_most_days=-(-most // tenth) / 10)


def _streak(added: Iterable[Row]) -> Row | None:
    """Return the longest run of weeks (from Monday) in each of which an addition was seen."""
    weeks = sorted({(day := stay["valid_from"].date()) - timedelta(days=day.weekday()) for stay in added})
    best: list[date] = []
    run: list[date] = []
    for week in weeks:
        run = [*run, week] if run and week - run[-1] == WEEK else [week]
        best = max(best, run, key=len)
    return {"weeks": len(best), "from": best[0], "to": best[-1] + timedelta(days=6)} if best else None


def _months(added: Iterable[Row], removed: Iterable[Row], looks: Iterable[datetime]) -> list[Row]:
    """Return what each month saw. ``days_looked`` 0: without a look, nothing is known."""

    def by_month(values: Iterable[Any], month: Callable[[Any], int]) -> Counter[int]:
        return Counter(map(month, values))

    came = by_month(added, lambda stay: stay["valid_from"].month)
    went = by_month(removed, lambda stay: stay["valid_to"].month)
    days = by_month({look.date() for look in looks}, lambda day: day.month)
    return [
        {"month": month, "added": came[month], "removed": went[month], "days_looked": days[month]}
        for month in range(1, 13)
    ]

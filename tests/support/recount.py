"""Counts again what the pages show, from the base tables and as simply as possible: no view, no code of the pages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from etl.db.tables import (
    accounts,
    albums,
    artists,
    favourites,
    genres,
    market_set_members,
    markets,
    runs,
    track_artists,
    track_genres,
    track_versions,
    tracks,
)

Row = dict[str, Any]
KINDS = ("artist", "album", "genre")


@dataclass(frozen=True)
class Recount:
    """The rows of one account. ``looks``: when its list was read. ``names``: of each kind, id and name by track."""

    account: Any
    runs: Sequence[Any]
    looks: Sequence[datetime]
    stays: Sequence[Any]
    tracks: dict[int, Any]
    names: dict[str, dict[int, list[tuple[int, str | None]]]]
    sets: dict[int | None, set[str]]
    markets: dict[str, Any]

    @property
    def last(self) -> datetime:
        return self.looks[-1]

    @property
    def current(self) -> list[Any]:
        return [stay for stay in self.stays if stay.valid_to is None]

    @property
    def ended(self) -> list[Any]:
        return [stay for stay in self.stays if stay.valid_to is not None]

    @property
    def dated(self) -> list[Any]:
        return [stay for stay in self.stays if stay.added_after is not None]

    def open_at(self, instant: datetime, stays: Iterable[Any] | None = None) -> int:
        """Return how many of the stays had begun at ``instant`` and not ended."""
        every = self.stays if stays is None else stays
        return sum(stay.valid_from <= instant and (stay.valid_to is None or stay.valid_to > instant) for stay in every)

    def codes(self, stay: Any) -> set[str] | None:
        """Return the markets of a favourite's track, None where they are not known."""
        number = self.tracks[stay.track_id].market_set_id
        return None if number is None else self.sets[number]


def recount(connection: Connection, name: str) -> Recount:
    """Return the base rows of the account ``name``."""
    account = connection.execute(select(accounts).where(accounts.c.name == name)).one()

    def own(table: Any, *order: Any) -> list[Any]:
        return list(connection.execute(select(table).where(table.c.account_id == account.account_id).order_by(*order)))

    every = own(runs, runs.c.run_id)
    seen = [run.observed_at for run in every if run.snapshot_id and run.outcome and run.retracted_at is None]
    by_track = {row.track_id: row for row in connection.execute(select(tracks))}
    titles = dict(connection.execute(select(albums.c.album_id, albums.c.title)).all())
    found: dict[str, dict[int, list[tuple[int, str | None]]]] = {kind: defaultdict(list) for kind in KINDS}
    for kind, link, key, named in (
        ("artist", track_artists, "artist_id", artists),
        ("genre", track_genres, "genre_id", genres),
    ):
        words = dict(connection.execute(select(named.c[key], named.c.name)).all())
        for row in connection.execute(select(link).order_by(link.c.track_id, link.c.position)).mappings():
            found[kind][row["track_id"]].append((row[key], words[row[key]]))
    for track_id, track in by_track.items():
        if track.album_id is not None:
            found["album"][track_id].append((track.album_id, titles[track.album_id]))
    members: dict[int | None, set[str]] = defaultdict(set)
    for number, code in connection.execute(select(market_set_members)):
        members[number].add(code)
    by_code = {row.market_code: row for row in connection.execute(select(markets))}
    stays = own(favourites, favourites.c.valid_from, favourites.c.track_id)
    return Recount(account, every, sorted(seen), stays, by_track, found, members, by_code)


def summary(found: Recount) -> Row:
    """Return the numbers of the summary."""

    def within(days: int) -> Row:
        since = found.last.date() - timedelta(days=days)
        return {
            "added": sum(stay.valid_from.date() > since for stay in found.dated),
            "removed": sum(stay.valid_to.date() > since for stay in found.ended),
        }

    lengths = [found.tracks[stay.track_id].duration_seconds for stay in found.current]
    missing = [stay.missing_since for stay in found.current if stay.missing_since]
    months = Counter(stay.valid_from.date().replace(day=1) for stay in found.dated)
    busiest = min(months.items(), key=lambda each: (-each[1], each[0]), default=None)
    return {
        "favourites": len(found.current),
        "missing": len(missing),
        "missing_since": min(missing, default=None),
        "seconds": sum(length or 0 for length in lengths),
        "known_durations": sum(length is not None for length in lengths),
        "known_markets": sum(found.codes(stay) is not None for stay in found.current),
        "added": len(found.dated),
        "added_tracks": len({stay.track_id for stay in found.dated}),
        "removed": len(found.ended),
        "month": within(30),
        "year": within(365),
        "busiest_month": list(busiest) if busiest else None,
    }


def daily(found: Recount) -> list[list[Any]]:
    """Return the days of change: additions, removals, favourites at the end, and those of the first look."""
    days = {stay.valid_from.date() for stay in found.stays} | {stay.valid_to.date() for stay in found.ended}

    def row(day: date) -> list[Any]:
        began = [stay for stay in found.stays if stay.valid_from.date() == day]
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) - timedelta(microseconds=1)
        added = sum(stay.added_after is not None for stay in began)
        removed = sum(stay.valid_to.date() == day for stay in found.ended)
        return [day, added, removed, found.open_at(end), len(began) - added]

    return [row(day) for day in sorted(days)]


def coverage(found: Recount) -> dict[str, tuple[int, int]]:
    """Return in how many favourites of how many known ones each market is, if there are favourites."""
    known = [codes for stay in found.current if (codes := found.codes(stay)) is not None]
    every = found.markets if found.current else {}
    return {code: (sum(code in codes for codes in known), len(known)) for code in every}


def unavailable(found: Recount) -> set[int]:
    """Return the favourites that do not play at home."""
    home = (found.account.region or "").upper()
    known = {stay.track_id: codes for stay in found.current if (codes := found.codes(stay)) is not None}
    return {track_id for track_id, codes in known.items() if home and home not in codes}


def losses(found: Recount, connection: Connection) -> Counter[str]:
    """Return how many favourites each market lost while they were favourites."""
    lost = set()
    since = {stay.track_id: stay.valid_from for stay in found.current}
    former = select(track_versions).where(track_versions.c.valid_to.is_not(None))
    for version in connection.execute(former):
        now = found.tracks[version.track_id].market_set_id
        if version.track_id in since and now is not None and version.valid_to > since[version.track_id]:
            lost |= {(version.track_id, code) for code in found.sets[version.market_set_id] - found.sets[now]}
    return Counter(code for _, code in lost)


def completeness(found: Recount) -> dict[str, int]:
    """Return for how many favourites each fact is known."""
    own = [found.tracks[stay.track_id] for stay in found.current]
    columns = {"title": "title", "album": "album_id", "duration": "duration_seconds", "isrc": "isrc"}
    columns |= {"markets": "market_set_id", "web_url": "web_url"}
    counts = {fact: sum(getattr(track, name) is not None for track in own) for fact, name in columns.items()}
    linked = {f"{kind}s": sum(bool(found.names[kind].get(track.track_id)) for track in own) for kind in KINDS}
    return counts | {name: linked[name] for name in ("artists", "genres")} if own else {}


def changes(found: Recount) -> Counter[Any]:
    """Return each addition, removal and missing track, with its bounds."""
    began = [
        ("already there" if stay.added_after is None else "added", stay.track_id, stay.added_after, stay.valid_from)
        for stay in found.stays
    ]
    left = [("removed", stay.track_id, stay.removed_after, stay.valid_to) for stay in found.ended]
    missing = [stay for stay in found.current if stay.missing_since]
    return Counter(
        began + left + [("missing", stay.track_id, stay.last_seen_at, stay.missing_since) for stay in missing]
    )


def regrets(found: Recount) -> Counter[Any]:
    """Return each removal that another stay of the track followed: track, end, beginning."""
    by_track = defaultdict(list)
    for stay in found.stays:
        by_track[stay.track_id].append(stay)
    return Counter(
        (own[place].track_id, own[place].valid_to, own[place + 1].valid_from)
        for own in by_track.values()
        for place in range(len(own) - 1)
    )


def month_ends(found: Recount) -> list[datetime]:
    """Return the last moment of each month from the first stay on; the last one is the last look."""
    first = min((stay.valid_from for stay in found.stays), default=found.last)
    places = range(first.year * 12 + first.month, found.last.year * 12 + found.last.month)
    ends = [datetime(place // 12, place % 12 + 1, 1, tzinfo=UTC) for place in places]
    return [*(end - timedelta(microseconds=1) for end in ends), found.last]


def year_before(found: Recount) -> datetime:
    """Return the moment that trends compare with: a year before the last look, or the first stay."""
    first = min((stay.valid_from for stay in found.stays), default=found.last)
    return max(found.last - timedelta(days=365), first)


def by_name(found: Recount, kind: str) -> dict[int, Row]:
    """Return for each artist, album or genre its favourites now, ever, at the ends of the months and a year ago."""
    stays_of: dict[int, list[Any]] = defaultdict(list)
    words: dict[int, str | None] = {}
    for stay in found.stays:
        for number, word in found.names[kind].get(stay.track_id, ()):
            stays_of[number].append(stay)
            words[number] = word
    return {
        number: {
            "name": words[number],
            "now": sum(stay.valid_to is None for stay in own),
            "ever": len({stay.track_id for stay in own}),
            "series": [found.open_at(end, own) for end in month_ends(found)],
            "before": found.open_at(year_before(found), own),
        }
        for number, own in stays_of.items()
    }


def most(counts: Iterable[Row], measure: Callable[[Row], float]) -> set[tuple[str | None, int, int]]:
    """Return every row that has the largest measure: name, now, before."""
    rows = list(counts)
    largest = max(map(measure, rows), default=0)
    return {(row["name"], row["now"], row["before"]) for row in rows if abs(measure(row) - largest) < 1e-12}

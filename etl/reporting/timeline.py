"""What happened, as events in order of time: of a track, of an artist's tracks, of an account.

An event of membership lies between two instants (``not_before``, ``at``]; where ``not_before`` is None, nobody looked before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, func, select

from etl.db.tables import artists, favourites, track_artists, track_versions, tracks
from etl.load.accounts import Account
from etl.load.stored_tracks import StoredVersion, market_codes_by_set, stored_versions
from etl.model.records import Track

COMPARED = (
    "title", "track_number", "isrc", "duration_seconds", "album_title", "album_id", "artists", "genres", "markets",
    "web_url", "mobile_url", "artwork_url",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. ``change``: ``there`` (when first looked), ``added``, ``removed`` or ``changed`` (facts).

    ``account`` None: of the track itself. ``is_again``: it was a favourite before. ``run_id``: the run that saw it.
    ``field``, ``old_value``, ``new_value``: of ``changed``.
    """

    at: datetime
    change: str
    track_id: int
    account: str | None = None
    not_before: datetime | None = None
    is_again: bool = False
    run_id: int | None = None
    field: str | None = None
    old_value: Any = None
    new_value: Any = None
    title: str | None = None
    artists: str | None = None


def tracks_of_artist(connection: Connection, wanted: str) -> dict[int, str | None]:
    """Return the artists that ``wanted`` means, by id: a number, else a name, whatever its case."""
    if wanted.isdecimal():
        return _named(connection, artists.c.artist_id, artists.c.name, artists.c.artist_id == _id(wanted))
    return _called(connection, artists.c.artist_id, artists.c.name, wanted)


def tracks_called(connection: Connection, wanted: str) -> set[int]:
    """Return the tracks that ``wanted`` means: an id, else a title that they have or had, whatever its case."""
    if wanted.isdecimal():
        found = _named(connection, tracks.c.track_id, tracks.c.title, tracks.c.track_id == _id(wanted))
        if found:
            return set(found)
    now = _called(connection, tracks.c.track_id, tracks.c.title, wanted)
    return {*now, *_called(connection, track_versions.c.track_id, track_versions.c.title, wanted)}


def _id(digits: str) -> int:
    """Return the number, or one that nothing has where it is larger than any id."""
    return int(digits) if len(digits) < 19 else -1


def _called(connection: Connection, key: Column[int], name: Column[str], wanted: str) -> dict[int, str | None]:
    found = _named(connection, key, name, func.lower(name) == wanted.lower())
    if found or wanted.isascii():
        return found
    every = connection.execute(select(key, name).where(name.is_not(None)))  # SQLite lowers ASCII alone
    return {number: text for number, text in every if text.casefold() == wanted.casefold()}


def _named(
    connection: Connection, key: Column[int], name: Column[str], where: ColumnElement[bool]
) -> dict[int, str | None]:
    return {row[0]: row[1] for row in connection.execute(select(key, name).where(where))}


def tracks_by(connection: Connection, artist_ids: Collection[int]) -> set[int]:
    """Return the tracks that these artists have a part in."""
    query = select(track_artists.c.track_id).where(track_artists.c.artist_id.in_(artist_ids))
    return set(connection.execute(query).scalars())


def events(
    connection: Connection, accounts: Sequence[Account], track_ids: Collection[int] | None = None
) -> list[Event]:
    """Return what happened to these tracks, or to all, among the accounts' favourites, and to their facts, oldest first."""
    names = {account.account_id: account.name for account in accounts}
    found = list(_membership(connection, names, track_ids))
    concerned = {event.track_id for event in found} if track_ids is None else set(track_ids)
    versions = stored_versions(connection, concerned, market_codes_by_set(connection))
    for track_id, each in versions.items():
        found += _facts(track_id, each)
    words = _words(connection, concerned)
    named = [replace(e, title=words[e.track_id][0], artists=words[e.track_id][1]) for e in found]
    order = {"there": 0, "removed": 1, "added": 2, "changed": 3}
    return sorted(named, key=lambda event: (event.at, order[event.change], event.account or "", event.track_id))


def _membership(connection: Connection, names: dict[int, str], track_ids: Collection[int] | None) -> Iterator[Event]:
    query = select(favourites).where(favourites.c.account_id.in_(names))
    if track_ids is not None:
        query = query.where(favourites.c.track_id.in_(track_ids))
    had: set[tuple[int, int]] = set()
    for row in connection.execute(
        query.order_by(favourites.c.account_id, favourites.c.track_id, favourites.c.valid_from)
    ):
        key, name = (row.account_id, row.track_id), names[row.account_id]
        word = "added" if row.added_after is not None else "there"
        yield Event(row.valid_from, word, row.track_id, name, row.added_after, key in had, row.added_run_id)
        had.add(key)
        if row.valid_to is not None:
            yield Event(row.valid_to, "removed", row.track_id, name, row.removed_after, run_id=row.removed_run_id)


def _facts(track_id: int, versions: Sequence[StoredVersion]) -> Iterator[Event]:
    for before, after in pairwise(versions):
        for name in COMPARED:
            old, new = _shown(before.track, name), _shown(after.track, name)
            if old != new:
                yield Event(after.valid_from, "changed", track_id, field=name, old_value=old, new_value=new)


def _shown(track: Track, name: str) -> Any:
    value = getattr(track, name)
    if name == "artists":
        return [artist.name or str(artist.artist_id) for artist in value]
    if name in ("genres", "markets"):
        return sorted(value)
    return msgspec.to_builtins(value)


def _words(connection: Connection, track_ids: Collection[int]) -> dict[int, tuple[str | None, str | None]]:
    """Return title and artists by track, of now."""
    wanted = set(track_ids)
    titles = {row.track_id: row.title for row in connection.execute(select(*tracks.c["track_id", "title"]))}
    query = select(track_artists.c.track_id, artists.c.name, artists.c.artist_id).join(artists)
    named: dict[int, list[str]] = {}
    for row in connection.execute(query.order_by(track_artists.c.track_id, track_artists.c.position)):
        if row.track_id in wanted:
            named.setdefault(row.track_id, []).append(row.name or str(row.artist_id))
    return {i: (titles.get(i), ", ".join(named[i]) if i in named else None) for i in wanted}

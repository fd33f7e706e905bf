"""Late-arriving data that only moves a version's start back: the same attributes, observed slightly earlier.

Accounts that sync at the same time write the tracks that they share in another order than they see them. A replay of such a
track has the same result, but reads the history of every account that ever had it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, Table

from etl.db import bulk
from etl.db.tables import albums, artists, track_versions, tracks
from etl.load.stored_tracks import track_from
from etl.model.records import Track
from etl.transform.track_versions import StoredVersionRef, attributes_digest

CLOSE = timedelta(minutes=10)
"""What an album or an artist is called is the newest version's word; versions that begin in between might have another."""


def backdate_versions(
    connection: Connection, late: Sequence[Track], known: Mapping[int, StoredVersionRef], observed_at: datetime
) -> set[int]:
    """Let the facts of those ``late`` tracks begin at ``observed_at`` of which that is all there is to say, and return their ids.

    It is where the facts are, to the order of genres, the only ones ever stored of the track, and what its album and its artists
    are called is stored too. The caller has locked the tracks.
    """
    same = {track.track_id: track for track in late if _is_close(known[track.track_id], track, observed_at)}
    if not same:
        return set()
    alone = _without_a_past(connection, same)
    moved = alone - _named_otherwise(connection, [same[track_id] for track_id in alone])
    convert = bulk.instants(connection)
    at = convert(observed_at)
    seen = bulk.select_in(connection, "track_id, first_seen_at", tracks, "track_id", moved)
    rows = [(track_id, min(first_seen_at, at), at, convert(known[track_id].newest)) for track_id, first_seen_at in seen]
    bulk.update(connection, tracks, ("track_id",), ("first_seen_at", "changed_at", "sighted_at"), rows)
    return moved


def _is_close(known: StoredVersionRef, track: Track, observed_at: datetime) -> bool:
    """True if the facts of ``track`` are those that are known, and since a moment after ``observed_at``."""
    if known.changed_at is None or not observed_at < known.changed_at <= observed_at + CLOSE:
        return False
    return known.digest == attributes_digest(track)


def _without_a_past(connection: Connection, found: Mapping[int, Track]) -> set[int]:
    """Return the tracks of which one version is stored, and that is what was found."""
    stored: dict[int, list[Track]] = {}
    for track_id, facts in bulk.select_in(connection, "track_id, facts", track_versions, "track_id", found):
        stored.setdefault(track_id, []).append(track_from(track_id, facts, ()))
    return {track_id for track_id, versions in stored.items() if versions == [_told(found[track_id])]}


def _told(track: Track) -> Track:
    """Return the track as a version describes it; the digest covers the markets."""
    return msgspec.structs.replace(track, markets=(), notes=(), has_facts=True)


def _named_otherwise(connection: Connection, found: Collection[Track]) -> set[int]:
    """Return the tracks whose album or one of whose artists is called otherwise by now."""
    titles = _names(connection, albums, "album_id", "title", {t.album_id for t in found if t.album_title})
    names = _names(connection, artists, "artist_id", "name", {a.artist_id for t in found for a in t.artists if a.name})
    return {
        track.track_id
        for track in found
        if (track.album_title and titles.get(track.album_id) != track.album_title)
        or any(artist.name and names.get(artist.artist_id) != artist.name for artist in track.artists)
    }


def _names(
    connection: Connection, table: Table, key: str, column: str, wanted: Collection[int | None]
) -> dict[int | None, str | None]:
    rows = bulk.select_in(connection, f"{key}, {column}", table, key, [each for each in wanted if each is not None])
    return {row[0]: row[1] for row in rows}

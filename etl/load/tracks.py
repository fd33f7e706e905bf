"""Writes tracks, their versions and links, in the caller's transaction.

`track_versions` decides what is new or changed. Two writers at once must take locks in the same order: first the existing
tracks, then albums, artists, market sets, new tracks, genres, links and versions; the rows of each table sorted by key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Connection

from etl.db import bulk
from etl.db.tables import track_artists, track_genres, track_versions, tracks
from etl.load.baseline import stored_version_refs
from etl.load.dimensions import genre_ids, market_set_ids, write_names
from etl.load.late_tracks import backdate_versions
from etl.model.records import TRACK_ATTRIBUTES, Digest, Track
from etl.transform.track_versions import TrackChanges, attributes_digest, attributes_json, track_changes

# The attributes that ``tracks`` holds itself; album titles, artists and genres have tables of their own.
_OWN_ATTRIBUTES = tuple(name for name in TRACK_ATTRIBUTES if name in tracks.c)
FACT_COLUMNS = (*_OWN_ATTRIBUTES, "market_set_id", "changed_at", "facts_digest")
_own_values = attrgetter(*_OWN_ATTRIBUTES)
VERSION_COLUMNS = (
    "track_id", "valid_from", "valid_to", "title", "album_id", "market_set_id", "facts", "facts_digest",
)  # fmt: skip
BATCH = 2_000
SetIds = Mapping[tuple[str, ...], int]


def upsert_tracks(
    connection: Connection,
    seen: Sequence[Track],
    bare_ids: Collection[int],
    observed_at: datetime,
    *,
    is_alone: bool = False,
) -> TrackChanges:
    """Write what the tracks ``seen`` at ``observed_at`` change, and return it.

    ``bare_ids``: tracks of which only the id could be read. ``is_alone``: the caller called `bulk.lock_track_tables`, so every
    other writer waits. Late tracks are not written: the caller replays them.
    """
    ids = [track.track_id for track in seen]
    bulk.lock_tracks(connection, ids)
    known = stored_version_refs(connection, ids)
    change = track_changes(known, seen, observed_at)
    earlier = backdate_versions(connection, change.late, known, observed_at)
    change = TrackChanges(change.new, change.changed, tuple(t for t in change.late if t.track_id not in earlier))
    at = bulk.instants(connection)(observed_at)
    bare = [track_id for track_id in bare_ids if track_id not in known]
    bare += [track.track_id for track in seen if not track.has_facts and track.track_id not in known]
    bulk.insert(
        connection,
        tracks,
        ("track_id", "first_seen_at"),
        [(i, at) for i in bare],
        key=("track_id",),
    )
    again = {t.track_id for t in seen if t.track_id in known and not known[t.track_id].is_later(observed_at)}
    bulk.update(connection, tracks, ("track_id",), ("sighted_at",), [(track_id, at) for track_id in again])
    touched = (*change.new, *change.changed)
    if not touched:
        return change
    set_ids = _write_dimensions(connection, touched)
    genres = genre_ids(connection, {name for track in touched for name in track.genres})
    raced: set[int] = set()
    for batch in _batches(sorted(touched, key=lambda track: track.track_id)):
        raced |= _write_batch(connection, batch, known.keys(), at, (set_ids, genres), is_alone=is_alone)
    if not raced:
        return change
    second = upsert_tracks(connection, [t for t in seen if t.track_id in raced], (), observed_at)
    first = tuple(t for t in change.new if t.track_id not in raced)
    return TrackChanges(first + second.new, change.changed + second.changed, change.late + second.late)


def _batches(touched: Sequence[Track]) -> Iterator[Sequence[Track]]:
    """Yield the tracks a few thousand at a time, to limit the memory of a first load."""
    for start in range(0, len(touched), BATCH):
        yield touched[start : start + BATCH]


def _write_batch(
    connection: Connection,
    batch: Sequence[Track],
    known: Collection[int],
    at: object,
    ids: tuple[SetIds, Mapping[str, int]],
    *,
    is_alone: bool,
) -> set[int]:
    """Write attributes, links and versions of ``batch``; return the tracks that another writer inserted first.

    ``ids``: of market sets and of genres.
    """
    set_ids, genres = ids
    written = {track.track_id: encode_attributes(track) for track in batch}
    fresh = {t.track_id: track_row(t, at, set_ids, written[t.track_id][1]) for t in batch}
    columns = ("track_id", *FACT_COLUMNS, "first_seen_at", "sighted_at")
    new = [(*row, at, at) for track_id, row in fresh.items() if track_id not in known]
    raced = bulk.insert_if_absent(connection, tracks, columns, new, is_alone=is_alone)
    there = [track_id for track_id in fresh if track_id in known]
    _update_tracks(connection, [fresh[track_id] for track_id in there])
    _end_versions(connection, there, at)
    mine = [track for track in batch if track.track_id not in raced]
    write_links(connection, mine, genres)
    insert_versions(connection, [version_row(t, at, None, set_ids, written[t.track_id]) for t in mine])
    return raced


def _write_dimensions(connection: Connection, touched: Sequence[Track]) -> SetIds:
    """Write albums, artists and market sets; return the ids of the sets by their codes."""
    titles: dict[int, str | None] = {}
    names: dict[int, str | None] = {}
    for track in sorted(touched, key=lambda track: track.track_id):
        if track.album_id is not None:
            titles[track.album_id] = track.album_title or titles.get(track.album_id)
        for artist in track.artists:
            names[artist.artist_id] = artist.name or names.get(artist.artist_id)
    write_names(connection, titles, names)
    return market_set_ids(connection, {track.markets for track in touched})


def track_row(track: Track, at: object, set_ids: SetIds, digest: Digest | None = None) -> bulk.Row:
    """Return the row of a track's current attributes: its id, then `FACT_COLUMNS`."""
    return (track.track_id, *_own_values(track), set_ids.get(track.markets), at, digest or attributes_digest(track))


def _update_tracks(connection: Connection, rows: Sequence[bulk.Row]) -> None:
    bulk.update(connection, tracks, ("track_id",), FACT_COLUMNS, rows)
    ids = [row[0] for row in rows]
    bulk.delete_in(connection, track_artists, "track_id", ids)
    bulk.delete_in(connection, track_genres, "track_id", ids)


def write_links(connection: Connection, touched: Sequence[Track], genres: Mapping[str, int] | None = None) -> None:
    """Insert the artists and genres of tracks, whose old rows are deleted. ``genres``: ids by name, if known."""
    ids = genres if genres is not None else genre_ids(connection, {name for t in touched for name in t.genres})
    artist_rows = [
        (t.track_id, n, artist.artist_id, artist.role) for t in touched for n, artist in enumerate(t.artists, start=1)
    ]
    genre_rows = [(t.track_id, n, ids[name]) for t in touched for n, name in enumerate(t.genres, start=1)]
    bulk.insert(
        connection,
        track_artists,
        ("track_id", "position", "artist_id", "role"),
        artist_rows,
    )
    bulk.insert(connection, track_genres, ("track_id", "position", "genre_id"), genre_rows)


def _end_versions(connection: Connection, track_ids: Collection[int], at: object) -> None:
    current = bulk.select_in(
        connection,
        "track_id, valid_from",
        track_versions,
        "track_id",
        track_ids,
        " AND valid_to IS NULL",
    )
    bulk.update(
        connection,
        track_versions,
        ("track_id", "valid_from"),
        ("valid_to",),
        [(*row, at) for row in current],
    )


def encode_attributes(track: Track) -> tuple[str, Digest]:
    """Return the attributes as ``track_versions`` holds them, and their digest."""
    encoded = attributes_json(track)
    return encoded.decode(), attributes_digest(track, encoded)


def version_row(
    track: Track, valid_from: object, valid_to: object, set_ids: SetIds, written: tuple[str, Digest] | None = None
) -> bulk.Row:
    """Return a row of ``track_versions`` in the order of `VERSION_COLUMNS`. ``written``: the encoded attributes, if known."""
    facts, digest = written or encode_attributes(track)
    set_id = set_ids.get(track.markets)
    return (track.track_id, valid_from, valid_to, track.title, track.album_id, set_id, facts, digest)


def insert_versions(connection: Connection, rows: Sequence[bulk.Row]) -> None:
    """Insert rows of ``track_versions``."""
    bulk.insert(connection, track_versions, VERSION_COLUMNS, rows)

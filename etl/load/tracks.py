"""Writes tracks, their versions and links in the caller's transaction. `track_versions` decides what is new or changed.

Order matters for two writers at once: the tracks that are there are locked first, then come albums, artists, market sets, new
tracks, genres, links and versions; each table's rows sorted by key. So nobody who waits holds what the other one needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from etl.db import bulk
from etl.db.tables import track_artists, track_genres, track_versions, tracks
from etl.load.baseline import stored_version_refs
from etl.load.dimensions import genre_ids, market_set_ids, write_names
from etl.load.late_tracks import backdate_versions
from etl.model.records import Digest, Track
from etl.transform.track_versions import TrackChanges, attributes_digest, attributes_json, track_changes

FACT_COLUMNS = (
    "title", "track_number", "isrc", "duration_seconds", "album_id", "market_set_id", "web_url", "mobile_url",
    "artwork_url", "artwork_width", "artwork_height", "changed_at", "facts_digest",
)  # fmt: skip
VERSION_COLUMNS = (
    "track_id", "valid_from", "valid_to", "title", "album_id", "market_set_id", "facts", "facts_digest",
)  # fmt: skip
BATCH = 2_000
SetIds = Mapping[tuple[str, ...], int]


def upsert_tracks(
    connection: Connection,
    news: Sequence[Track],
    bare_ids: Collection[int],
    observed_at: datetime,
    *,
    is_alone: bool = False,
) -> TrackChanges:
    """Write what ``news`` changes in the facts of tracks, and return it.

    ``bare_ids``: tracks that were seen, but of which nothing but the id could be read. ``is_alone``: every other writer waits
    (`bulk.lock_track_tables`). What the result calls late is not written: the caller folds those tracks again.
    """
    ids = [track.track_id for track in news]
    bulk.lock_tracks(connection, ids)
    known = stored_version_refs(connection, ids)
    change = track_changes(known, news, observed_at)
    earlier = backdate_versions(connection, change.late, known, observed_at)
    change = TrackChanges(change.new, change.changed, tuple(t for t in change.late if t.track_id not in earlier))
    at = bulk.instants(connection)(observed_at)
    bare = [track_id for track_id in bare_ids if track_id not in known]
    bare += [track.track_id for track in news if not track.has_facts and track.track_id not in known]
    bulk.insert(
        connection,
        tracks,
        ("track_id", "first_seen_at"),
        [(i, at) for i in bare],
        key=("track_id",),
    )
    again = {t.track_id for t in news if t.track_id in known and not known[t.track_id].is_later(observed_at)}
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
    second = upsert_tracks(connection, [t for t in news if t.track_id in raced], (), observed_at)
    first = tuple(t for t in change.new if t.track_id not in raced)
    return TrackChanges(first + second.new, change.changed + second.changed, change.late + second.late)


def _batches(touched: Sequence[Track]) -> Iterator[Sequence[Track]]:
    """Yield the tracks a few thousand at a time: the rows of a whole first load need not be in memory at once."""
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
    """Write facts, links and versions of ``batch``, and return the tracks that another writer inserted first.

    ``ids``: those of market sets and of genres.
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
    """Write albums, artists and market sets, and return the sets' ids by their codes as a track holds them."""
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
    """Return the row of a track's current facts: its id, then `FACT_COLUMNS`."""
    return (
        track.track_id,
        track.title,
        track.track_number,
        track.isrc,
        track.duration_seconds,
        track.album_id,
        set_ids.get(track.markets),
        track.web_url,
        track.mobile_url,
        track.artwork_url,
        track.artwork_width,
        track.artwork_height,
        at,
        digest or attributes_digest(track),
    )


def _update_tracks(connection: Connection, rows: Sequence[bulk.Row]) -> None:
    bulk.update(connection, tracks, ("track_id",), FACT_COLUMNS, rows)
    ids = [row[0] for row in rows]
    bulk.delete_in(connection, track_artists, "track_id", ids)
    bulk.delete_in(connection, track_genres, "track_id", ids)


def write_links(connection: Connection, touched: Sequence[Track], genres: Mapping[str, int] | None = None) -> None:
    """Write the artists and genres of tracks, whose old rows are gone; ``genres``: their ids, where they are known."""
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
    """Return the facts as ``track_versions`` holds them, and their digest."""
    encoded = attributes_json(track)
    return encoded.decode(), attributes_digest(track, encoded)


def version_row(
    track: Track, valid_from: object, valid_to: object, set_ids: SetIds, written: tuple[str, Digest] | None = None
) -> bulk.Row:
    """Return a row of ``track_versions`` in the order of `VERSION_COLUMNS`; ``written``: `encode_attributes`, if at hand."""
    facts, digest = written or encode_attributes(track)
    set_id = set_ids.get(track.markets)
    return (track.track_id, valid_from, valid_to, track.title, track.album_id, set_id, facts, digest)


def insert_versions(connection: Connection, rows: Sequence[bulk.Row]) -> None:
    """Insert rows of ``track_versions``."""
    bulk.insert(connection, track_versions, VERSION_COLUMNS, rows)

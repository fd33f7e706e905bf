"""Writes tracks, their superseded versions and links, in the caller's transaction.

`track_versions` decides what is new or changed. Two writers at once must take locks in the same order: first the existing
tracks, then albums, artists, market sets, new tracks, genres and links; the rows of each table sorted by key.

Accounts have most tracks in common, and most of the time see what is stored. They keep those rows as they are, side by side;
only who changes one waits for the others. `mark_sighted` is the last write of a run, so that it holds its locks for a commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

import msgspec
from sqlalchemy import Connection, insert, literal, select

from etl.db import bulk
from etl.db.tables import superseded_versions, track_artists, track_genres, track_versions, tracks
from etl.db.types import Instant
from etl.load.baseline import stored_version_refs
from etl.load.dimensions import FirstNames, genre_ids, market_set_ids, write_names
from etl.load.late_tracks import backdate_versions
from etl.model.records import TRACK_ATTRIBUTES, Track
from etl.transform.track_versions import (
    StoredVersionRef,
    TrackChanges,
    TrackVersion,
    attributes_digest,
    attributes_json,
    track_changes,
)

# The attributes that ``tracks`` holds itself; album titles, artists and genres have tables of their own.
_OWN_ATTRIBUTES = tuple(name for name in TRACK_ATTRIBUTES if name in tracks.c)
FACT_COLUMNS = (*_OWN_ATTRIBUTES, "market_set_id", "changed_at", "facts_digest", "facts")
_own_values = attrgetter(*_OWN_ATTRIBUTES)
VERSION_COLUMNS = (
    "track_id", "valid_from", "valid_to", "title", "album_id", "market_set_id", "facts", "facts_digest",
)  # fmt: skip
BATCH = 2_000
SIGHTED_STEP = timedelta(seconds=10)


class Dimensions(msgspec.Struct, frozen=True):
    """What the rows of tracks refer to: market sets by their codes, genres by name, and first names."""

    set_ids: Mapping[tuple[str, ...], int]
    genres: Mapping[str, int]
    first: FirstNames


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
    known = _locked_refs(connection, seen, observed_at, is_alone=is_alone)
    change = track_changes(known, seen, observed_at)
    backdated = backdate_versions(connection, change.late, known, observed_at)
    late = tuple(track for track in change.late if track.track_id not in backdated)
    change = msgspec.structs.replace(change, late=late, earlier=(*change.earlier, *bare_ids))
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
    touched = (*change.new, *change.changed)
    if not touched:
        return change
    refer = write_dimensions(connection, touched)
    _supersede(connection, [track.track_id for track in touched if track.track_id in known], observed_at)
    raced: set[int] = set()
    for batch in _batches(sorted(touched, key=lambda track: track.track_id)):
        raced |= _write_batch(connection, batch, known.keys(), at, refer, is_alone=is_alone)
    if not raced:
        return change
    second = upsert_tracks(connection, [t for t in seen if t.track_id in raced], (), observed_at)
    first = tuple(t for t in change.new if t.track_id not in raced)
    return TrackChanges(
        first + second.new,
        change.changed + second.changed,
        change.late + second.late,
        change.same + second.same,
        change.earlier + second.earlier,
    )


def _locked_refs(
    connection: Connection, seen: Sequence[Track], observed_at: datetime, *, is_alone: bool
) -> dict[int, StoredVersionRef]:
    """Lock the stored ones among the tracks ``seen``, and return what is stored of them.

    A writer that changes any of them locks them all at once: locks of two kinds could not be taken in one order.
    """
    ids = [track.track_id for track in seen]
    known = stored_version_refs(connection, ids)
    if is_alone or connection.dialect.name == "sqlite":  # which has one writer
        return known
    if not track_changes(known, seen, observed_at).writes(known):
        # What is read while it is locked to be kept may be older than a change that was committed meanwhile. A track that is
        # inserted meanwhile conflicts when it is written here.
        known = stored_version_refs(connection, stored_version_refs(connection, known, bulk.RowLock.KEEP))
        if not track_changes(known, seen, observed_at).writes(known):
            return known
    return stored_version_refs(connection, ids, bulk.RowLock.CHANGE)


def mark_sighted(
    connection: Connection, seen_again: Collection[int], seen_earlier: Collection[int], observed_at: datetime
) -> None:
    """Note when tracks were seen whose attributes the run did not write (`TrackChanges`). The last write of a run.

    The newest time is rounded up, so that of many accounts that see the same tracks only the first one writes; a run with other
    attributes that comes in between counts as late, and a replay decides.
    """
    at = bulk.instants(connection)
    step = (observed_at - datetime.min.replace(tzinfo=observed_at.tzinfo)) % SIGHTED_STEP
    rounded = observed_at - step + SIGHTED_STEP if step else observed_at
    bulk.move_instant(connection, tracks.c.first_seen_at, seen_earlier, at(observed_at), ">")
    bulk.move_instant(connection, tracks.c.sighted_at, seen_again, at(rounded), "<")


def _batches(touched: Sequence[Track]) -> Iterator[Sequence[Track]]:
    """Yield the tracks a few thousand at a time, to limit the memory of a first load."""
    for start in range(0, len(touched), BATCH):
        yield touched[start : start + BATCH]


def _write_batch(
    connection: Connection,
    batch: Sequence[Track],
    known: Collection[int],
    at: object,
    refer: Dimensions,
    *,
    is_alone: bool,
) -> set[int]:
    """Write attributes and links of ``batch``; return the tracks that another writer inserted first."""
    fresh = {track.track_id: track_row(track, at, refer) for track in batch}
    new = [(*row, at) for track_id, row in fresh.items() if track_id not in known]
    columns = ("track_id", *FACT_COLUMNS, "first_seen_at")
    raced = bulk.insert_if_absent(connection, tracks, columns, new, is_alone=is_alone)
    _update_tracks(connection, [row for track_id, row in fresh.items() if track_id in known])
    write_links(connection, [track for track in batch if track.track_id not in raced], refer.genres)
    return raced


def write_dimensions(connection: Connection, touched: Collection[Track]) -> Dimensions:
    """Write albums, artists, market sets and genres, and return what refers to them."""
    titles: dict[int, str | None] = {}
    names: dict[int, str | None] = {}
    for track in sorted(touched, key=lambda track: track.track_id):
        if track.album_id is not None:
            titles[track.album_id] = track.album_title or titles.get(track.album_id)
        for artist in track.artists:
            names[artist.artist_id] = artist.name or names.get(artist.artist_id)
    first = write_names(connection, titles, names)
    set_ids = market_set_ids(connection, {track.markets for track in touched})
    return Dimensions(set_ids, genre_ids(connection, {name for track in touched for name in track.genres}), first)


def track_row(track: Track, at: object, refer: Dimensions) -> bulk.Row:
    """Return the row of a track's current attributes: its id, then `FACT_COLUMNS`."""
    encoded = attributes_json(track)
    facts = None if refer.first.agree(track) else encoded.decode()
    set_id = refer.set_ids.get(track.markets)
    return (track.track_id, *_own_values(track), set_id, at, attributes_digest(track, encoded), facts)


def _update_tracks(connection: Connection, rows: Sequence[bulk.Row]) -> None:
    bulk.update(connection, tracks, ("track_id",), FACT_COLUMNS, rows)
    ids = [row[0] for row in rows]
    bulk.delete_in(connection, track_artists, "track_id", ids)
    bulk.delete_in(connection, track_genres, "track_id", ids)


def write_links(connection: Connection, touched: Sequence[Track], genres: Mapping[str, int]) -> None:
    """Insert the artists and genres of tracks, whose old rows are deleted. ``genres``: ids by name."""
    artist_rows = [
        (t.track_id, n, artist.artist_id, artist.role) for t in touched for n, artist in enumerate(t.artists, start=1)
    ]
    genre_rows = [(t.track_id, n, genres[name]) for t in touched for n, name in enumerate(t.genres, start=1)]
    bulk.insert(
        connection,
        track_artists,
        ("track_id", "position", "artist_id", "role"),
        artist_rows,
    )
    bulk.insert(connection, track_genres, ("track_id", "position", "genre_id"), genre_rows)


def _supersede(connection: Connection, track_ids: Sequence[int], observed_at: datetime) -> None:
    """Copy the current attributes of these tracks, which end now, to ``superseded_versions``."""
    current = track_versions.c
    ended = [literal(observed_at, Instant) if name == "valid_to" else current[name] for name in VERSION_COLUMNS]
    query = select(*ended).where(current.valid_to.is_(None))
    for start in range(0, len(track_ids), BATCH):
        part = query.where(current.track_id.in_(track_ids[start : start + BATCH]))
        connection.execute(insert(superseded_versions).from_select(VERSION_COLUMNS, part))


def insert_superseded(connection: Connection, ended: Sequence[TrackVersion], refer: Dimensions) -> None:
    """Insert versions that have an end."""
    at = bulk.instants(connection)
    rows = [
        (
            *(v.track.track_id, at(v.valid_from), at(v.valid_to), v.track.title, v.track.album_id),
            *(refer.set_ids.get(v.track.markets), attributes_json(v.track).decode(), v.digest),
        )
        for v in ended
    ]
    bulk.insert(connection, superseded_versions, VERSION_COLUMNS, rows)

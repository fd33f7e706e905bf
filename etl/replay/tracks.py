"""Replays the attributes of tracks from their items, and compares the result with the tables.

Compared are versions, current attributes, artists and genres of each track, when it was first seen, the names of albums and
artists, and whether items are readable. A track that no snapshot holds any more (its run was retracted) is deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from etl.db import bulk
from etl.db.tables import (
    albums,
    artists,
    favourites,
    raw_items,
    superseded_versions,
    track_artists,
    track_genres,
    track_versions,
    tracks,
)
from etl.load.dimensions import genre_ids, market_set_ids, repair_market_sets, write_names
from etl.load.stored_tracks import (
    CHUNK,
    StoredTrack,
    StoredVersion,
    market_codes_by_set,
    stored_tracks,
    stored_versions,
    track_from,
)
from etl.load.tracks import FACT_COLUMNS, Dimensions, insert_superseded, track_row, write_links
from etl.model.records import Artist, Track
from etl.replay.track_events import (
    DecodedItems,
    Sighting,
    TrackEvents,
    attributes_at_sightings,
    decode_items,
    track_events,
)
from etl.transform.track_versions import TrackVersion, versions

SAMPLES = 20
Names = dict[int, str | None]
FieldChange = tuple[int, str, object, object]


class TrackDiff(msgspec.Struct):
    """Differences between the stored tracks and the replayed ones.

    ``tracks``: tracks that differ. ``surplus``: tracks that no snapshot holds. ``names``: albums and artists with another name.
    ``turned``: items whose readability differs. ``bodiless``: items without a stored body, whose stored attributes were used.
    ``samples``: (track, attribute, stored, replayed) of the first few.
    """

    tracks: list[int] = msgspec.field(default_factory=list)
    surplus: list[int] = msgspec.field(default_factory=list)
    names: int = 0
    turned: int = 0
    bodiless: int = 0
    samples: list[FieldChange] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        """True if there is any difference."""
        return bool(self.tracks or self.surplus or self.names or self.turned)


def replay_tracks(
    connection: Connection,
    only: Collection[int] | None = None,
    *,
    write: bool = True,
    given: Mapping[int, Track] | None = None,
    accounts: Collection[int] | None = None,
) -> TrackDiff:
    """Replay tracks (all, or ``only`` some), correct the tables if ``write``, and return the differences.

    ``given``: tracks by raw item, for items whose bodies are not kept. ``accounts``: limits the snapshots (`track_events`).
    """
    seen = track_events(connection, only, accounts)
    codes = market_codes_by_set(connection)
    difference = TrackDiff()
    names = _NewestNames()
    for batch in seen.batches():
        readings = decode_items(connection, {item for each in batch.values() for _, item in each}, given or {})
        stored = stored_versions(connection, batch, codes)
        current = stored_tracks(connection, batch, codes)
        wanted = {
            i: versions(attributes_at_sightings(shown, readings, stored.get(i, ()))) for i, shown in batch.items()
        }
        differing = [i for i in batch if _differs(wanted[i], seen.first_seen[i], stored.get(i, ()), current.get(i))]
        _note(difference, differing, wanted, current, readings)
        for version in (version for each in wanted.values() for version in each):
            names.take(version.track, version.valid_from)
        if write:
            _rewrite(connection, {i: wanted[i] for i in differing}, seen)
            _mark_sighted(connection, batch, wanted)
            _turn(connection, readings)
    _drop_surplus(connection, difference, seen, only, write=write)
    _settle_names(connection, difference, names, is_whole=only is None, write=write)
    return difference


def _differs(
    wanted: Sequence[TrackVersion], first_seen: datetime, stored: Sequence[StoredVersion], current: StoredTrack | None
) -> bool:
    """True if a stored track differs from the replayed one."""
    if current is None or current.first_seen_at != first_seen or len(stored) != len(wanted):
        return True
    if any(not _is_same_version(*pair) for pair in zip(wanted, stored, strict=True)):
        return True
    if not wanted:
        return current.track is not None or current.digest is not None or current.changed_at is not None
    last = wanted[-1]
    if (current.digest, current.changed_at) != (last.digest, last.valid_from) or current.track is None:
        return True
    return _linked(current.track) != _linked(last.track)


def _is_same_version(version: TrackVersion, row: StoredVersion) -> bool:
    times = (row.valid_from, row.valid_to, row.digest) == (version.valid_from, version.valid_to, version.digest)
    columns = (row.title, row.album_id) == (version.track.title, version.track.album_id)
    return times and columns and _plain(row.track) == _plain(version.track)


def _plain(track: Track) -> Track:
    """Return the attributes alone; the order of markets has no meaning."""
    return msgspec.structs.replace(track, markets=tuple(sorted(set(track.markets))), notes=(), has_facts=True)


def _linked(track: Track) -> Track:
    """Return the attributes that ``tracks`` and its links hold; names of albums and artists have tables of their own."""
    bare = tuple(Artist(artist.artist_id, None, artist.role) for artist in track.artists)
    return msgspec.structs.replace(_plain(track), album_title=None, artists=bare)


def _note(
    difference: TrackDiff,
    differing: Sequence[int],
    wanted: Mapping[int, Sequence[TrackVersion]],
    current: Mapping[int, StoredTrack],
    readings: DecodedItems,
) -> None:
    difference.tracks += differing
    difference.turned += len(readings.turned)
    difference.bodiless += len(readings.bodiless)
    for track_id in differing[: SAMPLES - len(difference.samples)]:
        row = current.get(track_id)
        difference.samples += _changes(track_id, row.track if row else None, [v.track for v in wanted[track_id][-1:]])


def _changes(track_id: int, before: Track | None, replayed: Sequence[Track]) -> list[FieldChange]:
    """Return the attributes that change, or ``versions`` if only the past changes."""
    old = _linked(before) if before else Track(track_id)
    new = _linked(replayed[0]) if replayed else Track(track_id)
    names = [name for name in Track.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    return [(track_id, name, getattr(old, name), getattr(new, name)) for name in names] or [
        (track_id, "versions", None, None)
    ]


def _rewrite(connection: Connection, wanted: Mapping[int, Sequence[TrackVersion]], seen: TrackEvents) -> None:
    """Replace versions, current facts and links of these tracks."""
    if not wanted:
        return
    at = bulk.instants(connection)
    _forget(connection, list(wanted))
    rows = [(track_id, at(seen.first_seen[track_id])) for track_id in wanted]
    bulk.insert(connection, tracks, ("track_id", "first_seen_at"), rows, key=("track_id",), update=("first_seen_at",))
    everything = [version for each in wanted.values() for version in each]
    names = _NewestNames()
    for version in everything:
        names.take(version.track, version.valid_from)
    first = write_names(connection, names.albums, names.artists, overwrite=False)
    set_ids = market_set_ids(connection, {version.track.markets for version in everything})
    repair_market_sets(connection, set_ids)
    genres = genre_ids(connection, {name for version in everything for name in version.track.genres})
    refer = Dimensions(set_ids, genres, first)
    insert_superseded(connection, [version for version in everything if version.valid_to is not None], refer)
    current = [each[-1] for each in wanted.values() if each]
    facts = [track_row(version.track, at(version.valid_from), refer) for version in current]
    facts += [(track_id, *[None] * len(FACT_COLUMNS)) for track_id, each in wanted.items() if not each]
    bulk.update(connection, tracks, ("track_id",), FACT_COLUMNS, facts)
    write_links(connection, [version.track for version in current], genres)


def _mark_sighted(
    connection: Connection, shown: Mapping[int, Sequence[Sighting]], wanted: Mapping[int, Sequence[TrackVersion]]
) -> None:
    """Store the newest event of each track, so that a run that ended before it counts as late."""
    at = bulk.instants(connection)
    newest = {track_id: (each[-1][0], wanted[track_id][-1:]) for track_id, each in shown.items()}
    rows = [
        (track_id, None if current and current[0].valid_from == instant else at(instant))
        for track_id, (instant, current) in newest.items()
    ]
    bulk.update(connection, tracks, ("track_id",), ("sighted_at",), rows)


def _forget(connection: Connection, track_ids: Sequence[int]) -> None:
    for table in (superseded_versions, track_artists, track_genres):
        bulk.delete_in(connection, table, "track_id", track_ids)


def _turn(connection: Connection, readings: DecodedItems) -> None:
    rows = list(readings.turned.items())
    bulk.update(connection, raw_items, ("raw_item_id",), ("is_readable",), rows)


def _drop_surplus(
    connection: Connection, difference: TrackDiff, seen: TrackEvents, only: Collection[int] | None, *, write: bool
) -> None:
    """Delete the tracks that no snapshot holds; one that a favourite refers to stays without attributes."""
    if only is None:
        known = set(connection.execute(select(tracks.c.track_id)).scalars())
    else:
        known = {row[0] for row in bulk.select_in(connection, "track_id", tracks, "track_id", only)}
    unseen = sorted(known - seen.by_track.keys())
    difference.surplus += unseen
    if not write or not unseen:
        return
    _forget(connection, unseen)
    needed = {row[0] for row in bulk.select_in(connection, "track_id", favourites, "track_id", unseen)}
    bare = [(track_id, *[None] * len(FACT_COLUMNS)) for track_id in unseen if track_id in needed]
    bulk.update(connection, tracks, ("track_id",), FACT_COLUMNS, bare)
    bulk.delete_in(connection, tracks, "track_id", [track_id for track_id in unseen if track_id not in needed])


class _NewestNames:
    """The latest known names of albums and artists by id; None: no name is known. Ties: highest track id."""

    def __init__(self) -> None:
        self.albums: Names = {}
        self.artists: Names = {}
        self._since: dict[tuple[str, int], tuple[datetime, int]] = {}

    def take(self, track: Track, since: datetime) -> None:
        """Add the names that ``track`` had at ``since``, unless newer ones are known."""
        named = [("artist", artist.artist_id, artist.name) for artist in track.artists]
        if track.album_id is not None:
            named.append(("album", track.album_id, track.album_title))
        at = (since, track.track_id)
        for kind, key, name in named:
            names = self.albums if kind == "album" else self.artists
            names.setdefault(key, None)
            if name is not None and self._since.get((kind, key), at) <= at:
                names[key], self._since[kind, key] = name, at


def _settle_names(
    connection: Connection, difference: TrackDiff, names: _NewestNames, *, is_whole: bool, write: bool
) -> None:
    """Compare the names of albums and artists. A partial replay reads all versions that name them."""
    if not is_whole:
        if not write or not difference:
            return
        wanted, names = names, _NewestNames()
        for row in _versions_naming(connection, wanted.albums.keys(), wanted.artists.keys()):
            names.take(track_from(row.track_id, row.facts, ()), row.valid_from)
        names.albums = {key: name for key, name in names.albums.items() if key in wanted.albums}
        names.artists = {key: name for key, name in names.artists.items() if key in wanted.artists}
    for table, key, replayed in ((albums, "album_id", names.albums), (artists, "artist_id", names.artists)):
        column = "title" if table is albums else "name"
        stored = {row[0]: row[1] for row in bulk.select_in(connection, f"{key}, {column}", table, key, replayed)}
        difference.names += len(list(_misnamed(stored, replayed)))
    if write:
        write_names(connection, names.albums, names.artists)


def _versions_naming(connection: Connection, album_ids: Collection[int], artist_ids: Collection[int]) -> Iterator[Any]:
    """Yield every version that names one of these: current ones through the links of their tracks, and all closed ones.

    Reading all versions of a large catalogue would take too long: late tracks are common if many accounts sync at once.
    """
    query = select(*track_versions.c["track_id", "valid_from", "facts"])
    linked = {row[0] for row in bulk.select_in(connection, "track_id", tracks, "album_id", album_ids)}
    linked |= {row[0] for row in bulk.select_in(connection, "track_id", track_artists, "artist_id", artist_ids)}
    ids = sorted(linked)
    for start in range(0, len(ids), CHUNK):
        yield from connection.execute(query.where(track_versions.c.track_id.in_(ids[start : start + CHUNK])))
    yield from connection.execute(select(*superseded_versions.c["track_id", "valid_from", "facts"]))


def _misnamed(stored: Names, replayed: Names) -> Iterable[int]:
    return (key for key, name in replayed.items() if key not in stored or (name is not None and stored[key] != name))

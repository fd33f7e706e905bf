"""Reads stored tracks back into records."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from etl.db.bulk import select_in
from etl.db.tables import (
    genres,
    market_set_members,
    market_sets,
    track_artists,
    track_genres,
    track_versions,
    tracks,
)
from etl.model.records import Artist, Digest, Track
from etl.transform.track_versions import market_set_digest

CHUNK = 5_000


def track_titles(connection: Connection, track_ids: Collection[int]) -> dict[int, str]:
    """Return the titles of stored tracks, by id."""
    found = select_in(connection, "track_id, title", tracks, "track_id", track_ids)
    return {row[0]: row[1] for row in found if row[1] is not None}


Codes = Mapping[int | None, tuple[str, ...]]


class StoredVersion(msgspec.Struct, frozen=True):
    """A row of ``track_versions``. ``title`` and ``album_id`` are its own columns, beside those within ``track``."""

    track: Track
    digest: Digest
    valid_from: datetime
    valid_to: datetime | None
    title: str | None
    album_id: int | None


class StoredTrack(msgspec.Struct, frozen=True):
    """A row of ``tracks`` with its links; ``track`` None: nothing but the id is known."""

    track: Track | None
    digest: Digest | None
    first_seen_at: datetime
    changed_at: datetime | None


def market_codes_by_set(connection: Connection) -> dict[int | None, tuple[str, ...]]:
    """Return the codes of every market set, sorted; the set None is empty."""
    found: dict[int | None, list[str]] = {None: []}
    for set_id, code in connection.execute(
        select(market_set_members.c.market_set_id, market_set_members.c.market_code)
    ):
        found.setdefault(set_id, []).append(code)
    return {set_id: tuple(sorted(codes)) for set_id, codes in found.items()}


def damaged_market_sets(connection: Connection) -> list[int]:
    """Return the market sets whose members are not those that they were stored with."""
    codes = market_codes_by_set(connection)
    return [
        row.market_set_id
        for row in connection.execute(select(market_sets))
        if market_set_digest(codes.get(row.market_set_id, ())) != bytes(row.digest)
        or row.size != len(codes.get(row.market_set_id, ()))
    ]


def stored_versions(connection: Connection, track_ids: Collection[int], codes: Codes) -> dict[int, list[StoredVersion]]:
    """Return the versions of these tracks, oldest first, by track."""
    found: dict[int, list[StoredVersion]] = {}
    for part in _parts(track_ids):
        query = select(track_versions).where(track_versions.c.track_id.in_(part))
        for row in connection.execute(query.order_by(track_versions.c.track_id, track_versions.c.valid_from)):
            track = track_from(row.track_id, row.facts, codes.get(row.market_set_id, ()))
            digest = bytes(row.facts_digest)
            version = StoredVersion(track, digest, row.valid_from, row.valid_to, row.title, row.album_id)
            found.setdefault(row.track_id, []).append(version)
    return found


def track_from(track_id: int, facts: Any, codes: tuple[str, ...]) -> Track:
    """Return the track that ``track_versions.facts`` describes (text on SQLite, parsed already on PostgreSQL)."""
    fields = json.loads(facts) if isinstance(facts, str | bytes) else facts
    return msgspec.convert({**fields, "track_id": track_id, "markets": codes}, Track)


def stored_tracks(connection: Connection, track_ids: Collection[int], codes: Codes) -> dict[int, StoredTrack]:
    """Return the current facts of these tracks as ``tracks`` and the tables beside it have them."""
    found: dict[int, StoredTrack] = {}
    for part in _parts(track_ids):
        named, sorted_ = _artists(connection, part), _genres(connection, part)
        for row in connection.execute(select(tracks).where(tracks.c.track_id.in_(part))):
            fields = {name: value for name, value in row._mapping.items() if name in Track.__struct_fields__}
            fields["artists"], fields["genres"] = named.get(row.track_id, ()), sorted_.get(row.track_id, ())
            track = Track(**fields, markets=codes.get(row.market_set_id, ()))
            is_known = row.facts_digest is not None or track != Track(row.track_id)
            digest = bytes(row.facts_digest) if row.facts_digest else None
            found[row.track_id] = StoredTrack(track if is_known else None, digest, row.first_seen_at, row.changed_at)
    return found


def _artists(connection: Connection, part: list[int]) -> dict[int, tuple[Artist, ...]]:
    """Return artists by track; their names are only in ``artists`` and are not compared here."""
    query = select(track_artists).where(track_artists.c.track_id.in_(part))
    found: dict[int, tuple[Artist, ...]] = {}
    for row in connection.execute(query.order_by(track_artists.c.track_id, track_artists.c.position)):
        found[row.track_id] = (*found.get(row.track_id, ()), Artist(row.artist_id, None, row.role))
    return found


def _genres(connection: Connection, part: list[int]) -> dict[int, tuple[str, ...]]:
    query = select(track_genres.c.track_id, genres.c.name).join(genres).where(track_genres.c.track_id.in_(part))
    found: dict[int, tuple[str, ...]] = {}
    for row in connection.execute(query.order_by(track_genres.c.track_id, track_genres.c.position)):
        found[row.track_id] = (*found.get(row.track_id, ()), row.name)
    return found


def _parts(track_ids: Collection[int]) -> list[list[int]]:
    ids = sorted(track_ids)
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]

"""What tracks refer to: albums, artists, genres, markets and their sets. Written once each, found by key or by content."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import Connection

from etl.db import bulk
from etl.db.tables import (
    albums,
    artists,
    genres,
    market_set_members,
    market_sets,
    markets,
)
from etl.model.records import Digest, Track
from etl.transform.track_versions import market_set_digest

Names = Mapping[int, str | None]
_NAMED = ((albums, "album_id", "title"), (artists, "artist_id", "name"))


class FirstNames(msgspec.Struct, frozen=True):
    """What albums and artists were called first. It never changes, so a track need not repeat what it agrees with."""

    titles: Names
    names: Names

    def agree(self, track: Track) -> bool:
        """True if the track names its album and artists like this. No name never agrees: the first one may come later."""
        if track.album_title is None:
            is_same_album = track.album_id is None
        else:
            is_same_album = track.album_id is not None and self.titles[track.album_id] == track.album_title
        if not is_same_album:
            return False
        # A list takes half of the time of a generator.
        named = [a.name is not None and self.names[a.artist_id] == a.name for a in track.artists]
        return all(named)


def write_names(connection: Connection, titles: Names, names: Names, *, overwrite: bool = True) -> FirstNames:
    """Write what albums and artists are called, and return their first names.

    A name that is not given leaves the one that is known. Rows that agree are only read: writing locks them for the other runs.
    """
    first: list[Names] = []
    for (table, key, column), given in zip(_NAMED, (titles, names), strict=True):
        columns = f"{key}, {column}, coalesce(first_{column}, {column})"
        stored = {row[0]: row[1:] for row in bulk.select_in(connection, columns, table, key, given)}
        known = [row for row in given.items() if row[1] is not None and row[1] != stored.get(row[0], (None,))[0]]
        unknown = [(each, None) for each, name in given.items() if name is None and each not in stored]
        update = (column,) if overwrite else ()
        bulk.insert(connection, table, (key, column), known, key=(key,), update=update, first=f"first_{column}")
        bulk.insert(connection, table, (key, column), unknown, key=(key,))
        fresh = [each for each in given if stored.get(each, (None, None))[1] is None]
        written = bulk.select_in(connection, columns, table, key, fresh) if fresh else []
        first.append({each: name for each, (_, name) in stored.items()} | {row[0]: row[2] for row in written})
    return FirstNames(*first)


def market_set_ids(connection: Connection, wanted: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """Return the ids of these sets of market codes, storing those that are not there; an empty set has none."""
    digests = {codes: market_set_digest(codes) for codes in wanted if codes}
    ids = _set_ids_by_digest(connection, digests.values())
    missing = {digest: codes for codes, digest in digests.items() if digest not in ids}
    if missing:
        ids |= _store_market_sets(connection, missing)
    return {codes: ids[digest] for codes, digest in digests.items()}


def _set_ids_by_digest(connection: Connection, digests: Collection[Digest]) -> dict[Digest, int]:
    rows = bulk.select_in(connection, "digest, market_set_id", market_sets, "digest", set(digests))
    return {bytes(row[0]): row[1] for row in rows}


def _store_market_sets(connection: Connection, missing: dict[Digest, tuple[str, ...]]) -> dict[Digest, int]:
    codes = sorted({code for codes in missing.values() for code in codes})
    unknown = [(code, None, None, None, False) for code in codes]
    columns = ("market_code", "name", "region", "continent", "is_iso")
    bulk.insert(connection, markets, columns, unknown, key=("market_code",))
    sets = [(len(set(codes)), digest) for digest, codes in missing.items()]
    bulk.insert(connection, market_sets, ("size", "digest"), sets, key=("digest",))
    ids = _set_ids_by_digest(connection, missing)
    members = [(ids[digest], code) for digest, codes in missing.items() for code in set(codes)]
    key = ("market_set_id", "market_code")
    bulk.insert(connection, market_set_members, key, members, key=key)
    return ids


def repair_market_sets(connection: Connection, sets: Mapping[tuple[str, ...], int]) -> None:
    """Write the members of market sets again where they are not those of the set."""
    rows = bulk.select_in(
        connection, "market_set_id, market_code", market_set_members, "market_set_id", set(sets.values())
    )
    stored: dict[int, set[str]] = {}
    for set_id, code in rows:
        stored.setdefault(set_id, set()).add(code)
    wrong = {set_id: codes for codes, set_id in sets.items() if stored.get(set_id, set()) != set(codes)}
    bulk.delete_in(connection, market_set_members, "market_set_id", list(wrong))
    members = [(set_id, code) for set_id, codes in wrong.items() for code in set(codes)]
    key = ("market_set_id", "market_code")
    bulk.insert(connection, market_set_members, key, members, key=key)
    sizes = [(set_id, len(set(codes))) for set_id, codes in wrong.items()]
    bulk.update(connection, market_sets, ("market_set_id",), ("size",), sizes)


def genre_ids(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the ids of genres by name, storing those that are not there."""

    def found() -> dict[str, int]:
        rows = bulk.select_in(connection, "name, genre_id", genres, "name", names)
        return {row[0]: row[1] for row in rows}

    ids = found()
    missing = [(name,) for name in names if name not in ids]
    if missing:
        bulk.insert(connection, genres, ("name",), missing, key=("name",))
        ids = found()
    return ids

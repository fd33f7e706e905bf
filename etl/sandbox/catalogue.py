"""The stand-in's catalogue: entries as the exact bytes that are served.

Invariants: an entry is encoded once and then served from memory until it is changed; the same seed and the same dirty rows
give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from functools import cached_property
from importlib.resources import files
from typing import Any

import msgspec

from etl.sandbox.composer import PLAYLISTS, Composer
from etl.sandbox.dirt import LONE_SURROGATE, Fields, corrupt

DOCUMENTED_TRACK = 54230705
DOCUMENTED_EXAMPLE = files("etl.sandbox").joinpath("documented_example.json").read_bytes().strip()


class Catalogue:
    """``tracks`` made-up tracks and the documentation's own example, each servable as bytes."""

    def __init__(self, tracks: int, seed: int) -> None:
        self._composer = Composer(tracks, seed)
        self._seed = seed
        self._rows: frozenset[str] = frozenset()
        self._share = 0.0
        self._encoded: dict[tuple[str, int], bytes] = {}
        self._items: dict[int, bytes] = {}
        self._raw: dict[int, bytes] = {}
        self._changes: dict[int, Fields] = {}
        self._indices = {track_id: index for index, track_id in enumerate(self._composer.track_ids)}
        self.track_ids: tuple[int, ...] = (*self._composer.track_ids, DOCUMENTED_TRACK)

    @property
    def album_ids(self) -> list[int]:
        """The ids of all albums."""
        return list(self._albums)

    @property
    def artist_ids(self) -> list[int]:
        """The ids of all artists."""
        return list(self._artists)

    @property
    def playlist_ids(self) -> list[int]:
        """The ids of all playlists."""
        return list(self._playlists)

    def item(self, track_id: int) -> bytes:
        """Return the track as served, dirt and changes included.

        Raises: LookupError for a track that the catalogue does not have.
        """
        known = self._items.get(track_id)
        if known is None:
            known = self._items[track_id] = self._fresh(track_id)
        return known

    def fields(self, track_id: int) -> Fields:
        """Return the track as served, decoded. Not for a track served from raw bytes.

        Raises: LookupError for a track that the catalogue does not have.
        """
        if track_id == DOCUMENTED_TRACK:
            fields: Fields = msgspec.json.decode(DOCUMENTED_EXAMPLE, type=dict[str, Any])
        elif track_id in self._indices:
            fields = self.dirty("track", self._composer.track_fields(self._indices[track_id]), track_id)
        else:
            raise _unknown("track", track_id)
        return fields | self._changes.get(track_id, {})

    def warm(self, track_ids: Iterable[int]) -> None:
        """Encode the tracks now, so that the first reader does not wait for it."""
        for track_id in track_ids:
            self.item(track_id)

    def change(self, track_id: int, fields: Mapping[str, Any]) -> None:
        """Serve ``track_id`` with these wire fields from now on.

        Raises: LookupError for a track that the catalogue does not have.
        """
        if track_id not in self._indices and track_id != DOCUMENTED_TRACK:
            raise _unknown("track", track_id)
        self._changes[track_id] = self._changes.get(track_id, {}) | dict(fields)
        self._raw.pop(track_id, None)
        self._items.pop(track_id, None)

    def set_raw(self, track_id: int, body: bytes) -> None:
        """Serve ``body`` as the track, whatever it is; the track need not exist."""
        self._raw[track_id] = body
        self._items.pop(track_id, None)

    def set_dirt(self, rows: Set[str], share: float) -> None:
        """Make about ``share`` of the entries dirty, by each of ``rows``."""
        rows = frozenset(rows)
        if (rows, share) == (self._rows, self._share):
            return
        self._rows, self._share = rows, share
        self._encoded.clear()
        self._items.clear()

    def album(self, album_id: int, *, is_long: bool = False) -> bytes:
        """Return the album as served.

        Raises: LookupError for an album that the catalogue does not have.
        """
        index = _found(self._albums, "album", album_id)
        return self._entry("album", album_id, is_long, lambda: self._composer.album_fields(index, is_long=is_long))

    def artist(self, artist_id: int) -> bytes:
        """Return the artist as served.

        Raises: LookupError for an artist that the catalogue does not have.
        """
        index = _found(self._artists, "artist", artist_id)
        return self._entry("artist", artist_id, False, lambda: self._composer.artist_fields(index))

    def playlist(self, playlist_id: int, *, is_long: bool = False) -> bytes:
        """Return the playlist as served; the short form is that of the favourites.

        Raises: LookupError for a playlist that the catalogue does not have.
        """
        index = _found(self._playlists, "playlist", playlist_id)
        return self._entry(
            "playlist", playlist_id, is_long, lambda: self._composer.playlist_fields(index, is_long=is_long)
        )

    def playlist_tracks(self, playlist_id: int) -> list[int]:
        """Return the ids of the playlist's tracks.

        Raises: LookupError for a playlist that the catalogue does not have.
        """
        indices = self._composer.playlist_tracks(_found(self._playlists, "playlist", playlist_id))
        return [self._composer.track_ids[index] for index in indices]

    def dirty(self, kind: str, fields: Fields, *key: object) -> Fields:
        """Apply the dirty rows that hit an entry made elsewhere, and return it."""
        corrupt(fields, kind, self._rows, self._share, self._seed, *key)
        return fields

    @cached_property
    def _albums(self) -> dict[int, int]:
        return {self._composer.album_id(index): index for index in range(self._composer.albums)}

    @cached_property
    def _artists(self) -> dict[int, int]:
        return {self._composer.artist_id(index): index for index in range(self._composer.artists)}

    @cached_property
    def _playlists(self) -> dict[int, int]:
        return {self._composer.playlist_id(index): index for index in range(PLAYLISTS)}

    def _fresh(self, track_id: int) -> bytes:
        if track_id in self._raw:
            return self._raw[track_id]
        if track_id == DOCUMENTED_TRACK and track_id not in self._changes:
            return DOCUMENTED_EXAMPLE
        return self._encode(self.fields(track_id))

    def _entry(self, kind: str, number: int, is_long: bool, compose: Callable[[], Fields]) -> bytes:
        form = f"long_{kind}" if is_long else kind
        known = self._encoded.get((form, number))
        if known is None:
            fields = self.dirty(form, self.dirty(kind, compose(), number), number)
            if is_long and kind == "playlist" and "artists" in fields:
                del fields["tracks"]
            known = self._encoded[form, number] = self._encode(fields)
        return known

    @staticmethod
    def _encode(fields: Fields) -> bytes:
        return msgspec.json.encode(fields).replace(LONE_SURROGATE.encode(), rb"\ud83d")


def _found(indices: Mapping[int, int], kind: str, number: int) -> int:
    if number not in indices:
        raise _unknown(kind, number)
    return indices[number]


def _unknown(kind: str, number: int) -> LookupError:
    return LookupError(f"the sandbox's catalogue has no {kind} {number}")

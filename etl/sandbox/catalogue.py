"""The sandbox's catalogue: tracks as the exact bytes that are served.

A track is encoded once and then served from memory until it is changed. The same seed and the same malformed rows produce the
same bytes. Methods raise LookupError for a track that the catalogue does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from importlib.resources import files
from typing import Any

import msgspec

from etl.sandbox.composer import Composer, Fields
from etl.sandbox.malformed import LONE_SURROGATE, corrupt

DOCUMENTED_TRACK = 54230705
DOCUMENTED_EXAMPLE = files("etl.sandbox").joinpath("documented_example.json").read_bytes().strip()


class Catalogue:
    """``tracks`` made-up tracks and the documentation's own example, each servable as bytes."""

    def __init__(self, tracks: int, seed: int) -> None:
        self._composer = Composer(tracks, seed)
        self._seed = seed
        self._rows: frozenset[str] = frozenset()
        self._share = 0.0
        self._items: dict[int, bytes] = {}
        self._changes: dict[int, Fields] = {}
        self._indices = {track_id: index for index, track_id in enumerate(self._composer.track_ids)}
        self.withdrawn: set[int] = set()
        self.track_ids: tuple[int, ...] = (*self._composer.track_ids, DOCUMENTED_TRACK)

    def item(self, track_id: int) -> bytes:
        """Return the track as served, with its changes and malformed rows."""
        known = self._items.get(track_id)
        if known is None:
            known = self._items[track_id] = self._encoded(track_id)
        return known

    def fields(self, track_id: int) -> Fields:
        """Return the track as served, decoded."""
        self._require(track_id)
        if track_id == DOCUMENTED_TRACK:
            fields: Fields = msgspec.json.decode(DOCUMENTED_EXAMPLE, type=dict[str, Any])
        else:
            fields = self._composer.track_fields(self._indices[track_id])
            corrupt(fields, self._rows, self._share, self._seed, track_id)
        return fields | self._changes.get(track_id, {})

    def label_ids(self, track_id: int) -> tuple[int, int]:
        """Return the ids of the track's first artist and of its album; 0 for the documented example."""
        if track_id == DOCUMENTED_TRACK:
            return 0, 0
        album = self._composer.album(self._indices[track_id])
        return album.artist.artist_id, album.fields["album_id"]

    def change(self, track_id: int, fields: Mapping[str, Any]) -> None:
        """Serve ``track_id`` with these wire fields from now on."""
        self._require(track_id)
        self._changes[track_id] = self._changes.get(track_id, {}) | dict(fields)
        self._items.pop(track_id, None)

    def set_malformed(self, rows: Set[str], share: float) -> None:
        """Make about ``share`` of the tracks malformed, by each of ``rows``."""
        rows = frozenset(rows)
        if (rows, share) != (self._rows, self._share):
            self._rows, self._share = rows, share
            self._items.clear()

    def _require(self, track_id: int) -> None:
        if track_id not in self._indices and track_id != DOCUMENTED_TRACK:
            raise LookupError(f"The sandbox's catalogue has no track {track_id}.")

    def _encoded(self, track_id: int) -> bytes:
        if track_id == DOCUMENTED_TRACK and track_id not in self._changes:
            return DOCUMENTED_EXAMPLE
        fields = self.fields(track_id)
        return msgspec.json.encode(fields).replace(LONE_SURROGATE.encode(), rb"\ud83d") if fields else b"null"

"""Slowly changing dimension (type 2) of a track's attributes, independent of anyone's favourites.

A version lasts from the snapshot that first showed its attributes to the one that first showed others. Genres and markets are
sets: another order is no change. Only an item that the account's previous snapshot did not hold can start a version, so that
two accounts that see different attributes do not overwrite each other at each sync.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from etl.model.records import TRACK_ATTRIBUTES, Digest, Track

_encode = msgspec.json.Encoder().encode
DIGEST_SIZE = 16


# The attributes in the JSON form of ``track_versions.facts``: attributes without a value are omitted.
_Attributes = msgspec.defstruct(
    "_Attributes",
    [(name, Any, () if name in ("artists", "genres") else None) for name in TRACK_ATTRIBUTES],
    frozen=True,
    gc=False,
    omit_defaults=True,
)
_values = attrgetter(*TRACK_ATTRIBUTES)


def attributes_json(track: Track) -> bytes:
    """Return the attributes as JSON (UTF-8), without the markets, which ``market_set_id`` represents."""
    return _encode(_Attributes(*_values(track)))


def attributes_digest(track: Track, encoded: bytes | None = None) -> Digest:
    """Return a hash that is equal if and only if the attributes are equal. ``encoded``: `attributes_json` of the track."""
    genres = _in_order(track.genres)
    if genres != track.genres:
        encoded = attributes_json(replace(track, genres=genres))
    elif encoded is None:
        encoded = attributes_json(track)
    return hashlib.blake2b(encoded + market_set_digest(track.markets), digest_size=DIGEST_SIZE).digest()


@lru_cache(maxsize=4096)
def _in_order(genres: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(genres))


_market_digests: dict[int, tuple[tuple[str, ...], Digest]] = {}
# Keyed by identity, because hashing 200 codes takes longer than the lookup. The tuple is kept, so its id is not reused.


def market_set_digest(codes: tuple[str, ...]) -> Digest:
    """Return the digest of a set of market codes; their order does not matter."""
    kept = _market_digests.get(id(codes))
    if kept is not None and kept[0] is codes:
        return kept[1]
    content = ",".join(sorted(set(codes))).encode()
    digest = hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest()
    if len(_market_digests) < 10_000:
        _market_digests[id(codes)] = codes, digest
    return digest


class TrackVersion(msgspec.Struct, frozen=True):
    """Attributes of a track that were valid from ``valid_from`` until ``valid_to`` (None: still)."""

    track: Track
    digest: Digest
    valid_from: datetime
    valid_to: datetime | None = None


def versions(sightings: Iterable[tuple[datetime, Track]]) -> list[TrackVersion]:
    """Return the versions that the sightings of one track, in order of time, form; of two at one time the later one wins."""
    found: list[TrackVersion] = []
    for instant, track in sightings:
        if not track.has_facts:
            continue
        digest = attributes_digest(track)
        if found and found[-1].digest == digest:
            continue
        if found and found[-1].valid_from == instant:
            found.pop()
            if found and found[-1].digest == digest:
                found[-1] = TrackVersion(found[-1].track, digest, found[-1].valid_from)
                continue
        if found:
            found[-1] = TrackVersion(
                found[-1].track,
                found[-1].digest,
                found[-1].valid_from,
                valid_to=instant,
            )
        found.append(TrackVersion(track, digest, instant))
    return found


class StoredVersionRef(msgspec.Struct, frozen=True):
    """The stored version of a track: the digest of its current attributes (None: only the id is known), and since when.

    ``sighted_at``: no snapshot in which the track's item was new to some account is newer; rounded up to a few seconds.
    """

    digest: Digest | None
    changed_at: datetime | None
    sighted_at: datetime | None = None
    first_seen_at: datetime | None = None

    @property
    def newest(self) -> datetime | None:
        """The newest moment at which something is known about the track."""
        return max((each for each in (self.changed_at, self.sighted_at) if each is not None), default=None)

    def holds(self, track: Track, observed_at: datetime) -> bool:
        """True if the attributes of ``track`` are known to be valid at ``observed_at`` and ever since."""
        return (
            self.changed_at is not None and self.changed_at <= observed_at and self.digest == attributes_digest(track)
        )

    def is_later(self, observed_at: datetime) -> bool:
        """True if something at least as new as ``observed_at`` is known about the track."""
        return self.newest is not None and self.newest >= observed_at


class TrackChanges(msgspec.Struct, frozen=True):
    """How the new items of a snapshot change tracks.

    ``new``: tracks without stored attributes. ``changed``: tracks whose attributes differ from the stored ones.
    ``late``: tracks for which something newer is stored already, so that their versions need a replay. ``same``: tracks whose
    stored attributes were seen again, later than ever before. ``earlier``: tracks that were never seen so early before.
    """

    new: tuple[Track, ...] = ()
    changed: tuple[Track, ...] = ()
    late: tuple[Track, ...] = ()
    same: tuple[int, ...] = ()
    earlier: tuple[int, ...] = ()

    def writes(self, known: Container[int]) -> bool:
        """True if any of the tracks that are ``known`` gets other attributes or a replay."""
        return bool(self.changed or self.late) or any(track.track_id in known for track in self.new)


def track_changes(known: dict[int, StoredVersionRef], tracks: Iterable[Track], observed_at: datetime) -> TrackChanges:
    """Decide what ``tracks``, as observed at ``observed_at``, change in what is ``known``."""
    new: list[Track] = []
    changed: list[Track] = []
    late: list[Track] = []
    same: list[int] = []
    earlier: list[int] = []
    for track in tracks:
        before = known.get(track.track_id)
        if before is not None and before.first_seen_at is not None and before.first_seen_at > observed_at:
            earlier.append(track.track_id)
        if not track.has_facts:
            if before is not None and not before.is_later(observed_at):
                same.append(track.track_id)
            continue
        if before is None or before.digest is None:
            new.append(track)
        elif before.is_later(observed_at):
            if not before.holds(track, observed_at):
                late.append(track)
        elif before.digest != attributes_digest(track):
            changed.append(track)
        else:
            same.append(track.track_id)
    return TrackChanges(tuple(new), tuple(changed), tuple(late), tuple(same), tuple(earlier))

"""The history of a track's facts, apart from anyone's favourites.

A version lasts from the observation that first showed its facts to the one that first showed others. Genres and markets are
sets: another order is no change. What counts as news is an item that the account's previous observation did not hold, so that
two accounts that see different facts do not overwrite each other at each sync.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from etl.model.records import Digest, Track

_encode = msgspec.json.Encoder().encode
DIGEST_SIZE = 16


class _Facts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The facts in the shape that ``track_versions.facts`` holds them in: what the service does not give is left out."""

    title: str | None = None
    track_number: int | None = None
    isrc: str | None = None
    duration_seconds: int | None = None
    album_id: int | None = None
    album_title: str | None = None
    web_url: str | None = None
    mobile_url: str | None = None
    artwork_url: str | None = None
    artwork_width: int | None = None
    artwork_height: int | None = None
    artists: tuple[object, ...] = ()
    genres: tuple[str, ...] = ()


def attributes_json(track: Track) -> bytes:
    """Return the facts as JSON (UTF-8), without the markets, which ``market_set_id`` stands for."""
    return _encode(_facts(track, track.genres))


def _facts(track: Track, genres: tuple[str, ...]) -> _Facts:
    return _Facts(
        track.title,
        track.track_number,
        track.isrc,
        track.duration_seconds,
        track.album_id,
        track.album_title,
        track.web_url,
        track.mobile_url,
        track.artwork_url,
        track.artwork_width,
        track.artwork_height,
        track.artists,
        genres,
    )


def attributes_digest(track: Track, encoded: bytes | None = None) -> Digest:
    """Return what two tracks have in common exactly where their facts do. ``encoded``: `attributes_json`, if it is at hand."""
    genres = tuple(sorted(track.genres))
    if encoded is None or genres != track.genres:
        encoded = _encode(_facts(track, genres))
    return hashlib.blake2b(encoded + market_set_digest(track.markets), digest_size=DIGEST_SIZE).digest()


_market_digests: dict[int, tuple[tuple[str, ...], Digest]] = {}
"""By identity, since hashing 200 codes takes longer than looking one up; the tuple is kept, so its identity stays its own."""


def market_set_digest(codes: tuple[str, ...]) -> Digest:
    """Return the digest of a set of market codes, whatever their order."""
    kept = _market_digests.get(id(codes))
    if kept is not None and kept[0] is codes:
        return kept[1]
    content = ",".join(sorted(set(codes))).encode()
    digest = hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest()
    if len(_market_digests) < 10_000:
        _market_digests[id(codes)] = codes, digest
    return digest


class TrackVersion(msgspec.Struct, frozen=True):
    """Facts of a track that held from ``valid_from`` until ``valid_to`` (None: still)."""

    track: Track
    digest: Digest
    valid_from: datetime
    valid_to: datetime | None = None


def versions(sightings: Iterable[tuple[datetime, Track]]) -> list[TrackVersion]:
    """Fold sightings of one track, in order of time, into its versions; of two at one instant the later one stands."""
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
    """What is stored of a track: the digest of its current facts (None: only its id is known), and since when.

    ``sighted_at``: the newest observation in which some account's item of it was news, whether or not it changed anything.
    """

    digest: Digest | None
    changed_at: datetime | None
    sighted_at: datetime | None = None

    def holds(self, track: Track, observed_at: datetime) -> bool:
        """Say whether the facts of ``track`` are known to have held at ``observed_at`` and ever since: it tells nothing."""
        return (
            self.changed_at is not None and self.changed_at <= observed_at and self.digest == attributes_digest(track)
        )

    def is_later(self, observed_at: datetime) -> bool:
        """Say whether something at least as new as ``observed_at`` is known of the track."""
        return any(instant is not None and instant >= observed_at for instant in (self.changed_at, self.sighted_at))


class TrackChanges(msgspec.Struct, frozen=True):
    """What an observation's news does to the facts of tracks.

    ``new``: tracks whose facts are the first known. ``changed``: tracks whose facts differ from the stored ones.
    ``late``: tracks of which something newer is stored already, so that their versions must be folded again.
    """

    new: tuple[Track, ...] = ()
    changed: tuple[Track, ...] = ()
    late: tuple[Track, ...] = ()


def track_changes(known: dict[int, StoredVersionRef], news: Iterable[Track], observed_at: datetime) -> TrackChanges:
    """Decide what ``news`` (tracks as observed at ``observed_at``) changes in what is ``known``."""
    new: list[Track] = []
    changed: list[Track] = []
    late: list[Track] = []
    for track in news:
        if not track.has_facts:
            continue
        before = known.get(track.track_id)
        if before is None or before.digest is None:
            new.append(track)
        elif before.is_later(observed_at):
            if not before.holds(track, observed_at):
                late.append(track)
        elif before.digest != attributes_digest(track):
            changed.append(track)
    return TrackChanges(tuple(new), tuple(changed), tuple(late))

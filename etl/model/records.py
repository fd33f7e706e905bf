"""The records that the rooms of favsync pass to one another.

Invariants: every record is frozen; those that come in tens of thousands are msgspec Structs, which are made and compared in C;
instants are timezone-aware UTC; a digest is 16 bytes (BLAKE2b) over bytes as received.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from enum import StrEnum

import msgspec

from etl.model.threshold import RemovalThreshold

Digest = bytes


class Outcome(StrEnum):
    """How a run ended (docs/settings.md)."""

    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    HELD = "held"
    PARTIAL = "partial"
    FAILED = "failed"


class Trigger(StrEnum):
    """What started a run."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    BACKFILL = "backfill"


class Review(StrEnum):
    """What the operator said of a run's removals; a run without one is subject to the brake."""

    APPROVED = "approved"
    REJECTED = "rejected"


class Item(msgspec.Struct, frozen=True, gc=False):
    """One entry of a list as received: its exact bytes, their digest, and its track id if one can be read.

    ``held``: the bytes, or the parts that make them, where one of these is shared with other items (`encoding.intern_markets`).
    """

    held: bytes | tuple[bytes, ...]
    digest: Digest
    track_id: int | None

    @property
    def body(self) -> bytes:
        """The exact bytes."""
        return self.held if isinstance(self.held, bytes) else b"".join(self.held)

    @property
    def key(self) -> int | Digest:
        """What makes two entries the same entry: the track id, or the bytes where no id can be read."""
        return self.digest if self.track_id is None else self.track_id


class Page(msgspec.Struct, frozen=True):
    """One answer of the list endpoint: what stood at ``offset`` and after, at most ``limit`` items.

    ``counts`` is the service's own field, whose meaning is unknown (page or list): a hint, never a proof.
    """

    offset: int
    limit: int
    items: tuple[Item, ...]
    counts: int | None = None


class Walk(msgspec.Struct, frozen=True):
    """One reading of the whole list. ``reason`` says why it is not ``proven``, and is empty where it is.

    ``items``: in list order, one per key. ``extras``: seen in an answer that a repair threw away, and not again: they were
    there at some moment of the walk. ``is_ordered``: proven by the chain of pages, not by equal sets.
    ``started_at`` is taken before the first request, ``ended_at`` after the last answer.
    """

    items: tuple[Item, ...]
    proven: bool
    reason: str
    started_at: datetime
    ended_at: datetime
    pages: int = 0
    requests: int = 0
    retries: int = 0
    is_ordered: bool = True
    extras: tuple[Item, ...] = ()

    @property
    def seen(self) -> tuple[Item, ...]:
        """Everything this walk saw: the list, then what was seen and gone again before the walk ended."""
        return self.items + self.extras


class Artist(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An artist as a track names it; as JSON without the role where there is none."""

    artist_id: int
    name: str | None
    role: str | None = None


class Track(msgspec.Struct, frozen=True, gc=False):
    """The normalised facts of a track. None means that the service gave none (empty, null and missing are one)."""

    track_id: int
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
    artists: tuple[Artist, ...] = ()
    genres: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    has_facts: bool = True


class Reject(msgspec.Struct, frozen=True):
    """An item that could not be read as a track. ``position`` counts from 0 in the observed list."""

    position: int
    track_id: int | None
    reason: str
    body: bytes


class SnapshotRef(msgspec.Struct, frozen=True):
    """What one run saw, as history needs it: who was there, when, and what that proves.

    ``present``: track ids in list order. ``proves_absence``: a track that is not in ``present`` was absent at some moment
    between ``started_at`` and ``observed_at``. ``decision``: the operator's word on this run's removals, if any.
    ``brake``: the one that the run obeyed, so that folding it again obeys the same; None leaves it to the fold.
    """

    run_id: int
    started_at: datetime
    observed_at: datetime
    present: tuple[int, ...]
    proves_absence: bool
    decision: Review | None = None
    brake: RemovalThreshold | None = None


class FavouriteInterval(msgspec.Struct, frozen=True, gc=False):
    """One stay of a track among an account's favourites.

    Added in (``added_after``, ``valid_from``], removed in (``removed_after``, ``valid_to``]; ``valid_to`` None: still there.
    ``last_seen_at``: start of the last walk that saw it, set only while the newest observation lacks an open interval.
    """

    track_id: int
    valid_from: datetime
    added_after: datetime | None
    added_run_id: int
    valid_to: datetime | None = None
    removed_after: datetime | None = None
    removed_run_id: int | None = None
    last_seen_at: datetime | None = None


class OpenFavourites(msgspec.Struct, frozen=True):
    """An account's history up to its newest observation, as far as the next one needs it.

    ``open``: the tracks that are favourites. ``intervals``: theirs, by track; who knows what the next observation holds may
    leave out those that it changes nothing about. ``seen_at``: start of the newest observation. ``absence_at``: start of the
    newest observation that proves absence. ``observed_at``: end of the newest observation.
    """

    open: Set[int] = frozenset()
    intervals: Mapping[int, FavouriteInterval] = msgspec.field(default_factory=dict)
    seen_at: datetime | None = None
    absence_at: datetime | None = None
    observed_at: datetime | None = None


class FavouriteChanges(msgspec.Struct, frozen=True):
    """What one observation does to an account's history. ``etl.load`` writes it and does not think.

    ``opened``: new intervals, in list order. ``closed``: intervals that end. ``marked``: open intervals whose
    ``last_seen_at`` changes. ``held``: track ids whose removal waits for the operator. ``favourites``: open ones afterwards.
    """

    opened: tuple[FavouriteInterval, ...] = ()
    closed: tuple[FavouriteInterval, ...] = ()
    marked: tuple[FavouriteInterval, ...] = ()
    held: tuple[int, ...] = ()
    favourites: int = 0

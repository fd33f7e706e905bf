"""Records that all packages share.

Every record is frozen. Records that exist in tens of thousands are msgspec Structs, which are created and compared in C.
Times are timezone-aware UTC. A digest is 16 bytes (BLAKE2b) over the bytes as received.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

import msgspec

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
    """The operator's decision on the removals of a run. A run without one obeys the removal threshold."""

    APPROVED = "approved"
    REJECTED = "rejected"


class RemovalThreshold(msgspec.Struct, frozen=True):
    """Removals of more than ``max(minimum, ratio * open)`` favourites wait for approval, and so do removals of all of them.

    A complete read can still be a read of the wrong list, for example of an empty replica.
    """

    minimum: int = 10
    ratio: float = 0.25

    def holds(self, removals: int, favourites: int) -> bool:
        """True if ``removals`` out of ``favourites`` open ones must wait for the operator."""
        if removals == 0:
            return False
        return removals >= favourites or removals > max(self.minimum, self.ratio * favourites)


class Item(msgspec.Struct, frozen=True, gc=False):
    """One entry of a list as received: its exact bytes, their digest, and its track id if one can be read.

    ``parts``: the bytes, or the pieces that form them if one piece is shared with other items (`encoding.intern_markets`).
    """

    parts: bytes | tuple[bytes, ...]
    digest: Digest
    track_id: int | None

    @property
    def body(self) -> bytes:
        """The exact bytes."""
        return self.parts if isinstance(self.parts, bytes) else b"".join(self.parts)

    @property
    def key(self) -> int | Digest:
        """The identity of the entry: its track id, or its digest if no id can be read."""
        return self.digest if self.track_id is None else self.track_id


class Page(msgspec.Struct, frozen=True):
    """One answer of the list endpoint: the items at ``offset`` and after, at most ``limit``.

    ``counts`` is the service's own field. Its meaning is not documented (page size or list length), so it proves nothing.
    """

    offset: int
    limit: int
    items: tuple[Item, ...]
    counts: int | None = None


class Snapshot(msgspec.Struct, frozen=True, dict=True):
    """The list as the reads of one run saw it.

    ``items``: every item that any read saw, those of the last read first, in list order. ``is_whole``: the read is proven
    complete, and every favourite that ``items`` does not have is confirmed absent. ``reason`` says why it is not whole.
    ``started_at``: before the first request. ``observed_at``: after the last answer. ``note``: a remark for the run's reason.
    ``total``: the service's ``counts``, if the same on all pages and not below the items read. ``page_size``: items on the
    largest page. ``clock_shift``: what the times were corrected by, because this machine's clock is wrong.
    """

    items: tuple[Item, ...]
    is_whole: bool
    reason: str
    started_at: datetime
    observed_at: datetime
    pages: int = 0
    note: str = ""
    total: int | None = None
    page_size: int = 0
    clock_shift: timedelta = timedelta(0)

    @cached_property
    def unknown(self) -> int:
        """The number of items without a readable id. Each could be any track, so nothing may be removed."""
        return len(self.items) - len(self.track_ids)

    @property
    def proves_absence(self) -> bool:
        """True if a favourite that is not in ``items`` was not in the list."""
        return self.is_whole and not self.unknown

    @cached_property
    def track_ids(self) -> tuple[int, ...]:
        """The readable track ids, in list order."""
        return tuple([item.track_id for item in self.items if item.track_id is not None])


class Baseline(msgspec.Struct, frozen=True):
    """The newest stored snapshot of an account, and the run that stored it. ``size`` counts items."""

    run_id: int
    outcome: str
    started_at: datetime
    observed_at: datetime
    snapshot_id: int
    digest: Digest
    size: int
    favourites: int
    rejected: int
    total: int | None = None
    page_size: int | None = None


class Artist(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An artist as named by a track. The JSON form omits the role if there is none."""

    artist_id: int
    name: str | None
    role: str | None = None


class Track(msgspec.Struct, frozen=True, gc=False):
    """The normalised attributes of a track. None: the service gave no value (empty, null and missing are the same).

    ``notes``: data-quality remarks. ``has_facts``: False if the item holds nothing but the id.
    """

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


# The attributes that a version compares, in their stored order. ``markets`` is stored as a market set.
TRACK_ATTRIBUTES = tuple(
    name for name in Track.__struct_fields__ if name not in ("track_id", "markets", "notes", "has_facts")
)


class Reject(msgspec.Struct, frozen=True):
    """An item that could not be read as a track. ``position`` counts from 0 in the list."""

    position: int
    track_id: int | None
    reason: str
    body: bytes


class RemovalGrace(msgspec.Struct, frozen=True):
    """How long a favourite must be missing before its removal is recorded.

    ``withdrawal``: the same for tracks that the catalogue does not have, and where a sign speaks against the removal.
    """

    removal: timedelta = timedelta(0)
    withdrawal: timedelta = timedelta(0)


class RemovalReason(StrEnum):
    """Why a track left the list, by what the catalogue says about it."""

    UNFAVOURITED = "unfavourited"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


class SnapshotRef(msgspec.Struct, frozen=True):
    """One run's snapshot, and everything that the run knew when it decided about removals.

    ``present``: track ids in list order. ``proves_absence``: a track that is not in ``present`` was absent at some moment
    between ``started_at`` and ``observed_at``. ``decision``: the operator's decision on this run's removals, if any.
    ``threshold``: the one that the run obeyed; None leaves it to the replay. ``grace``: None for runs of a version without
    grace, which closed at once, and for imports. ``user_confirmed``: the service named the account's own user as owner, or
    the account has no known user. ``total``: the service's count, if it was the same on all pages and not below the items
    read. ``page_size``: items on the largest page. ``catalogue``: answers about missing tracks. ``labelled``: missing tracks
    that `removals.labelled_tracks` found.
    """

    run_id: int
    started_at: datetime
    observed_at: datetime
    present: tuple[int, ...]
    proves_absence: bool
    decision: Review | None = None
    threshold: RemovalThreshold | None = None
    grace: RemovalGrace | None = None
    user_confirmed: bool = True
    total: int | None = None
    page_size: int = 0
    snapshot_id: int = 0
    catalogue: Mapping[int, RemovalReason] = msgspec.field(default_factory=dict)
    labelled: Set[int] = frozenset()


class FavouriteInterval(msgspec.Struct, frozen=True, gc=False):
    """One period in which a track was a favourite.

    Added in (``added_after``, ``valid_from``], removed in (``removed_after``, ``valid_to``]; ``valid_to`` None: still open.
    ``last_seen_at``: start of the last read that saw it; set only while the newest snapshot does not have an open interval.
    ``missing_since``: end of the first whole snapshot that did not have it, while the interval is open.
    """

    track_id: int
    valid_from: datetime
    added_after: datetime | None
    added_run_id: int
    valid_to: datetime | None = None
    removed_after: datetime | None = None
    removed_run_id: int | None = None
    last_seen_at: datetime | None = None
    missing_since: datetime | None = None
    removal_reason: RemovalReason | None = None


class MissingGroup(msgspec.Struct, frozen=True):
    """The favourites that one whole snapshot was the first without.

    ``since``: end of that snapshot, the ``missing_since`` of the members. ``length``: its number of tracks. ``looks``: whole
    snapshots that did not have them. ``tail``: members behind which no track of the list before stayed; empty once the list has
    another length. ``is_cut``: the tail looks cut off by a result window. ``gap``: the service's total minus the length
    before they went missing, None if there is no reliable total. ``rise``: the lowest growth of that gap since.
    ``waits_since``: end of the last snapshot whose removals the operator rejected; looks and grace count from there.
    """

    since: datetime
    length: int
    looks: int = 1
    tail: tuple[int, ...] = ()
    is_cut: bool = False
    gap: int | None = None
    rise: int = 0
    waits_since: datetime | None = None


class PendingAddition(msgspec.Struct, frozen=True):
    """A track of a list that looks foreign, with the bounds that it gets if it is accepted."""

    valid_from: datetime
    added_after: datetime | None


class ForeignList(msgspec.Struct, frozen=True):
    """A list that looks like another user's: since when, and the additions that wait.

    ``absence_at``: start of the newest snapshot before it that proves absence. The list itself proves nothing about the
    account's own favourites. Without ``pending``: a part of a list of their own was read since.
    """

    since: datetime
    pending: Mapping[int, PendingAddition] = msgspec.field(default_factory=dict)
    absence_at: datetime | None = None


class RemovalMemory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What earlier snapshots of an account say about later removals. A replay of its snapshots has the same memory.

    ``length``, ``total``, ``page_size``: of the newest whole snapshot. ``total_moves``: whether the total moved with the
    list at its last change of length, None before any. ``closed``: times and numbers of removals of the last seven days,
    without approved ones. ``rejected``: snapshot whose removals the operator rejected, while it stays the same. ``window``: list
    length at which the operator approved removals of a cut tail.
    """

    groups: tuple[MissingGroup, ...] = ()
    length: int = 0
    total: int | None = None
    page_size: int = 0
    total_moves: bool | None = None
    closed: tuple[tuple[datetime, int], ...] = ()
    rejected: int | None = None
    window: int | None = None
    foreign: ForeignList | None = None
    catalogue: Mapping[int, RemovalReason] = msgspec.field(default_factory=dict)


class OpenFavourites(msgspec.Struct, frozen=True):
    """An account's history up to its newest snapshot, as far as the next one needs it.

    ``open``: the tracks that are favourites. ``intervals``: theirs, by track; a caller that knows the next snapshot may omit
    the intervals that it does not change. ``seen_at``: start of the newest snapshot. ``absence_at``: start of the newest
    snapshot that proves absence. ``observed_at``: end of the newest snapshot. ``order``: track ids of the newest snapshot
    that proves absence, in list order; a caller may omit it if no other track is missing than before.
    """

    open: Set[int] = frozenset()
    intervals: Mapping[int, FavouriteInterval] = msgspec.field(default_factory=dict)
    seen_at: datetime | None = None
    absence_at: datetime | None = None
    observed_at: datetime | None = None
    order: Sequence[int] = ()
    memory: RemovalMemory = RemovalMemory()


class FavouriteChanges(msgspec.Struct, frozen=True):
    """What one snapshot does to an account's history. `etl.load` writes it without further decisions.

    ``opened``: new intervals, in list order. ``closed``: intervals that end. ``marked``: open intervals whose
    ``last_seen_at`` or ``missing_since`` changes. ``held``: track ids whose removal waits for the operator. ``favourites``:
    open ones afterwards, ``missing``: those of them that whole snapshots do not have, ``is_missing_changed``: whether these are
    others than before. ``reasons``: why removals or additions wait,
    a sentence each. ``memory``: for the next snapshot.
    """

    opened: tuple[FavouriteInterval, ...] = ()
    closed: tuple[FavouriteInterval, ...] = ()
    marked: tuple[FavouriteInterval, ...] = ()
    held: tuple[int, ...] = ()
    favourites: int = 0
    missing: int = 0
    is_missing_changed: bool = False
    reasons: tuple[str, ...] = ()
    memory: RemovalMemory = RemovalMemory()

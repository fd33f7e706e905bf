"""Finds the items that are new since the previous snapshot, and normalises them in batches."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import compress

import msgspec

from etl.errors import PayloadError
from etl.model.encoding import snapshot_digest
from etl.model.records import Baseline, Digest, Item, Outcome, Reject, Snapshot, Track
from etl.transform.normalise import InvalidItem, normalise

# The tracks and rows of a list of 100,000 need too much memory at once.
BATCH = 5_000
# Of fewer entries, a bad one or two are no sign of another format.
SMALLEST_LIST = 4


class Delta(msgspec.Struct, frozen=True, dict=True):
    """The items of a list that the previous snapshot did not hold.

    ``positions``: where they are in ``items``, ordered by track id like their tables. ``known_rejects``: the number of items
    that the previous snapshot held and that could not be read.
    """

    items: Sequence[Item]
    positions: list[int]
    known_rejects: int = 0

    @cached_property
    def digests(self) -> list[Digest]:
        """The digests of all items, in list order."""
        return [item.digest for item in self.items]

    def known_items(self) -> list[Item]:
        """Return the items that the previous snapshot held, in list order."""
        return list(compress(self.items, self._is_known()))

    def known_digests(self) -> Iterator[Digest]:
        """Return the digests of `known_items`."""
        return compress(self.digests, self._is_known())

    def _is_known(self) -> bytearray:
        flags = bytearray(b"\1") * len(self.items)
        for position in self.positions:
            flags[position] = 0
        return flags


class NormalisedBatch(msgspec.Struct, frozen=True):
    """Some items of a delta with the tracks that they describe, and those that cannot be read."""

    items: Sequence[Item]
    positions: Sequence[int]
    tracks: Sequence[Track]
    rejects: Sequence[Reject]


def is_unchanged(snapshot: Snapshot, baseline: Baseline) -> bool:
    """True if the snapshot proves absence and says nothing that the baseline did not say."""
    same_counts = (snapshot.total, snapshot.page_size or None) == (baseline.total, baseline.page_size)
    return same_counts and snapshot.proves_absence and is_same_list(snapshot.items, baseline)


def is_same_list(items: Sequence[Item], baseline: Baseline) -> bool:
    """True if ``items`` is exactly the list of ``baseline``, and all of that list was applied."""
    if baseline.outcome not in (Outcome.SUCCEEDED, Outcome.UNCHANGED):
        return False
    if baseline.favourites != len(items) - [item.track_id for item in items].count(None):
        return False  # more is open than it saw: another snapshot of the same instant, or an item without an id
    return snapshot_digest([item.digest for item in items]) == baseline.digest


def find_delta(items: Sequence[Item], known: Mapping[Digest, bool]) -> Delta:
    """Return what is new in ``items``. ``known``: digests of the previous snapshot's items, and whether each is readable."""
    positions = [position for position, item in enumerate(items) if item.digest not in known]
    positions.sort(key=lambda position: items[position].track_id or 0)
    return Delta(items, positions, sum(not known.get(item.digest, True) for item in items))


def find_additions(items: Sequence[Item], baseline: Baseline, favourites: Container[int | None]) -> Delta | None:
    """Return what is new in ``items``, if that is tracks beside ``favourites`` and nothing else; None if it is more.

    The list without them then has the digest of the baseline, so the items of the baseline need not be read.
    """
    if (count := len(items) - baseline.size) < 0:
        return None
    # Additions are at the front, usually. To find them elsewhere, each item must be looked up.
    delta = Delta(items, list(range(count)), baseline.rejected)
    is_front = not any(item.track_id in favourites for item in items[:count])
    if not is_front or snapshot_digest(delta.known_digests()) != baseline.digest:
        positions = [position for position, item in enumerate(items) if item.track_id not in favourites]
        delta = Delta(items, positions, baseline.rejected)
        if len(positions) != count or snapshot_digest(delta.known_digests()) != baseline.digest:
            return None
    delta.positions.sort(key=lambda position: items[position].track_id or 0)
    return delta


def require_readable(rejected: int, items: int) -> None:
    """Refuse a list most of which cannot be read: its format has changed, and what is missing from it is unknown.

    Raises: PayloadError.
    """
    if items >= SMALLEST_LIST and rejected > items / 2:
        raise PayloadError(
            f"favourite tracks: {rejected} of {items} entries cannot be read, so nothing was stored",
            remedy="look for a newer favsync: the service has changed, or a proxy answers in its place",
        )


def normalise_batches(delta: Delta) -> Iterator[NormalisedBatch]:
    """Yield the items of ``delta`` normalised, a few thousand at a time."""
    for start in range(0, len(delta.positions), BATCH):
        positions = delta.positions[start : start + BATCH]
        tracks: dict[int, Track] = {}
        rejects: list[Reject] = []
        for position in positions:
            item = delta.items[position]
            try:
                track = normalise(item)
            except InvalidItem as error:
                rejects.append(Reject(position, item.track_id, str(error), item.body))
            else:
                tracks[track.track_id] = track
        yield NormalisedBatch([delta.items[p] for p in positions], positions, list(tracks.values()), rejects)

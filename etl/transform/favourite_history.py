"""History as a projection of observations: (state, observation) -> ChangeSet, and the fold.

Nobody knows when a favourite was added, only between which two observations, so every interval keeps both ends (design
section 3). The lower bounds are *starts* of walks, the upper bounds *ends*: a walk takes time, and a track that it did not
see was absent at some moment between the two.

Invariants: `replay` is `decide_changes` and `next_state` applied in order of ``observed_at`` (observations of one
instant are one); intervals of one track never overlap; only an observation that proves absence closes one, and it is the run that
the interval cites.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import msgspec
from msgspec.structs import replace
from msgspec.structs import replace as with_fields

from etl.model.records import FavouriteChanges, FavouriteInterval, OpenFavourites, Review, SnapshotRef
from etl.model.threshold import RemovalThreshold


def decide_changes(state: OpenFavourites, seen: SnapshotRef, brake: RemovalThreshold) -> FavouriteChanges:
    """Decide what ``seen`` does to the history in ``state``."""
    present = set(seen.present)
    missing = [state.intervals[track_id] for track_id in sorted(state.open - present)]
    may_remove = _proves_removals(state, seen)
    is_held = may_remove and seen.decision is None and brake.holds(len(missing), len(state.open))
    opened = tuple(_opened(track_id, state, seen) for track_id in seen.present if track_id not in state.open)
    marked = [
        with_fields(interval, last_seen_at=None)
        for track_id, interval in state.intervals.items()
        if interval.last_seen_at is not None and track_id in present
    ]
    closed: tuple[FavouriteInterval, ...] = ()
    if may_remove and not is_held:
        closed = tuple(_closed(interval, state, seen) for interval in missing)
    else:
        marked += [
            with_fields(interval, last_seen_at=state.seen_at) for interval in missing if interval.last_seen_at is None
        ]
    return FavouriteChanges(
        opened=opened,
        closed=closed,
        marked=tuple(marked),
        held=tuple(interval.track_id for interval in missing) if is_held else (),
        favourites=len(state.open) + len(opened) - len(closed),
    )


def _proves_removals(state: OpenFavourites, seen: SnapshotRef) -> bool:
    """Say whether what ``seen`` lacks was removed: only where it began after the observation before it had ended.

    Two that overlap (an export dated within a walk) cannot say which came first: a track that the one saw and the other
    lacks may have been added in between as well as removed.
    """
    is_after = state.observed_at is None or seen.started_at >= state.observed_at
    return seen.proves_absence and seen.decision is not Review.REJECTED and is_after


def _opened(track_id: int, state: OpenFavourites, seen: SnapshotRef) -> FavouriteInterval:
    return FavouriteInterval(
        track_id=track_id,
        valid_from=seen.observed_at,
        added_after=state.absence_at,
        added_run_id=seen.run_id,
    )


def _closed(interval: FavouriteInterval, state: OpenFavourites, seen: SnapshotRef) -> FavouriteInterval:
    return with_fields(
        interval,
        valid_to=seen.observed_at,
        removed_after=interval.last_seen_at or state.seen_at,
        removed_run_id=seen.run_id,
        last_seen_at=None,
    )


def next_state(state: OpenFavourites, seen: SnapshotRef, change: FavouriteChanges) -> OpenFavourites:
    """Return the state after ``change``, which `decide_changes` made of ``state`` (with every interval) and ``seen``."""
    stays = dict(state.intervals)
    for interval in change.closed:
        del stays[interval.track_id]
    for interval in (*change.marked, *change.opened):
        stays[interval.track_id] = interval
    absence_at = state.absence_at
    if seen.proves_absence and seen.decision is not Review.REJECTED:
        absence_at = seen.started_at if absence_at is None else max(absence_at, seen.started_at)
    return OpenFavourites(
        open=stays.keys(),
        intervals=stays,
        seen_at=seen.started_at,
        absence_at=absence_at,
        observed_at=seen.observed_at,
    )


class History(msgspec.Struct, frozen=True):
    """A whole account: every interval, in order of opening, the state at the end, and what each run did."""

    intervals: tuple[FavouriteInterval, ...]
    state: OpenFavourites
    by_run: dict[int, FavouriteChanges]


def replay(
    observations: Iterable[SnapshotRef], brake: RemovalThreshold, start: OpenFavourites | None = None
) -> History:
    """Fold ``observations``, in any order, into a history; ``start`` is what was known before the first of them."""
    return replay_sorted(sorted(observations, key=lambda seen: (seen.observed_at, seen.run_id)), brake, start)


def replay_sorted(
    ordered: Iterable[SnapshotRef], brake: RemovalThreshold, start: OpenFavourites | None = None
) -> History:
    """Fold observations that come in order of ``observed_at``, one at a time, so that they need not all be in memory."""
    state = start or OpenFavourites()
    finished: list[FavouriteInterval] = []
    by_run: dict[int, FavouriteChanges] = {}
    for _, group in groupby(ordered, key=lambda seen: seen.observed_at):
        same = list(group)
        seen = _merged(same)
        change = decide_changes(state, seen, seen.brake or brake)
        state = next_state(state, seen, change)
        finished += change.closed
        by_run |= {other.run_id: FavouriteChanges(favourites=change.favourites) for other in same}
        by_run[seen.run_id] = change
    everything = sorted((*finished, *state.intervals.values()), key=lambda i: (i.valid_from, i.track_id))
    return History(intervals=tuple(everything), state=state, by_run=by_run)


def _merged(same: list[SnapshotRef]) -> SnapshotRef:
    """Make one of the observations of one instant (two files of one date): it saw what any of them saw.

    What all of them lack was absent if one of them proves it; the operator's word on any of them counts.
    """
    if len(same) == 1:
        return same[0]
    present = tuple(dict.fromkeys(track_id for seen in same for track_id in seen.present))
    proof = min(same, key=lambda seen: (not seen.proves_absence, _DOUBT[seen.decision]))
    return replace(proof, started_at=min(seen.started_at for seen in same), present=present)


_DOUBT = {Review.APPROVED: 0, None: 1, Review.REJECTED: 2}

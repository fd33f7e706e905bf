"""Slowly changing dimension (type 2) of an account's favourites: decides how a snapshot changes the history, and replays it.

The service has no dates. A favourite was added or removed between two snapshots, so every interval has both bounds. Lower
bounds are *starts* of reads, upper bounds *ends*: a read takes time, and a track that it does not have was absent at some moment
between the two.

`replay` applies `decide_changes` and `next_state` in order of ``observed_at``; snapshots of one time count as one. Intervals
of one track never overlap. Only a snapshot that proves absence closes an interval, which then cites its run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import groupby

import msgspec
from msgspec.structs import replace

from etl.model.records import (
    FavouriteChanges,
    FavouriteInterval,
    ForeignList,
    OpenFavourites,
    PendingAddition,
    RemovalMemory,
    RemovalReason,
    RemovalThreshold,
    Review,
    SnapshotRef,
)
from etl.transform.removals import Evidence, hold_additions, remember, still_foreign, weigh


def decide_changes(state: OpenFavourites, seen: SnapshotRef, threshold: RemovalThreshold) -> FavouriteChanges:
    """Decide how the snapshot ``seen`` changes the history in ``state``. This is where a removal is decided."""
    present = set(seen.present)
    is_whole = _proves_removals(state, seen)
    absent = [state.intervals[track_id] for track_id in sorted(state.open - present)]
    missing = [_missing(interval, state, seen, is_whole=is_whole) for interval in absent]
    added = [track_id for track_id in seen.present if track_id not in state.open]
    foreign, additions_wait, why_foreign = hold_additions(state, seen, added, len(missing))
    waiting = foreign if additions_wait else None
    memory = replace(remember(state, seen, missing), foreign=waiting if foreign else still_foreign(state, seen))
    evidence = Evidence()
    if is_whole and not additions_wait:
        evidence = weigh(state, memory, missing, seen, threshold)
    opened = () if additions_wait else tuple(_opened(track_id, state, seen, foreign) for track_id in added)
    closed = tuple(_closed(interval, seen, memory) for interval in evidence.closable)
    gone = {interval.track_id for interval in closed}
    if closed:
        memory = _without(memory, gone, [each for each in missing if each.track_id not in gone], seen)
    marked = [
        replace(interval, last_seen_at=None, missing_since=None)
        for track_id, interval in state.intervals.items()
        if interval.last_seen_at is not None and track_id in present
    ]
    marked += [now for before, now in zip(absent, missing, strict=True) if now != before and now.track_id not in gone]
    return FavouriteChanges(
        opened=opened,
        closed=closed,
        marked=tuple(marked),
        held=tuple(interval.track_id for interval in evidence.asks),
        favourites=len(state.open) + len(opened) - len(closed),
        missing=sum(each.missing_since is not None and each.track_id not in gone for each in missing),
        is_missing_changed=_is_missing_changed(state, marked),
        reasons=tuple(filter(None, (why_foreign, *evidence.reasons))),
        memory=memory,
    )


def _is_missing_changed(state: OpenFavourites, marked: Iterable[FavouriteInterval]) -> bool:
    return any(state.intervals[each.track_id].missing_since != each.missing_since for each in marked)


def _proves_removals(state: OpenFavourites, seen: SnapshotRef) -> bool:
    """True if the tracks that ``seen`` does not have were removed: only if it began after the snapshot before it ended.

    Two snapshots that overlap (an export dated within a read) have no order: a track that one saw and the other does not have may
    have been added in between as well as removed.
    """
    is_after = state.observed_at is None or seen.started_at >= state.observed_at
    return seen.proves_absence and seen.decision is not Review.REJECTED and is_after


def _missing(
    interval: FavouriteInterval, state: OpenFavourites, seen: SnapshotRef, *, is_whole: bool
) -> FavouriteInterval:
    """Return an interval that ``seen`` does not have, marked. The bounds of a later removal are those of the first snapshot."""
    since = interval.missing_since or (seen.observed_at if is_whole and seen.grace is not None else None)
    return replace(interval, last_seen_at=interval.last_seen_at or state.seen_at, missing_since=since)


def _opened(track_id: int, state: OpenFavourites, seen: SnapshotRef, accepted: ForeignList | None) -> FavouriteInterval:
    """Return the interval of a new track. ``accepted``: the list, if it looked foreign and is accepted now."""
    refused = state.memory.foreign if accepted is None else None
    bounds = PendingAddition(seen.observed_at, refused.absence_at if refused else state.absence_at)
    if accepted is not None:
        bounds = accepted.pending[track_id]
    return FavouriteInterval(track_id, bounds.valid_from, bounds.added_after, seen.run_id)


def _closed(interval: FavouriteInterval, seen: SnapshotRef, memory: RemovalMemory) -> FavouriteInterval:
    return replace(
        interval,
        valid_to=interval.missing_since or seen.observed_at,
        removed_after=interval.last_seen_at,
        removed_run_id=seen.run_id,
        last_seen_at=None,
        missing_since=None,
        removal_reason=memory.catalogue.get(interval.track_id, RemovalReason.UNKNOWN),
    )


def _without(
    memory: RemovalMemory, closed: Set[int], missing: Sequence[FavouriteInterval], seen: SnapshotRef
) -> RemovalMemory:
    """Return ``memory`` without the ``closed`` tracks, with their number unless the operator approved them."""
    left = {interval.missing_since for interval in missing}
    recent = memory.closed
    if seen.decision is not Review.APPROVED and seen.grace is not None:
        recent = (*recent, (seen.observed_at, len(closed)))
    return replace(
        memory,
        closed=recent,
        catalogue={each: answer for each, answer in memory.catalogue.items() if each not in closed},
        groups=tuple(group for group in memory.groups if group.since in left),
    )


def next_state(state: OpenFavourites, seen: SnapshotRef, change: FavouriteChanges) -> OpenFavourites:
    """Return the state after ``change``, which `decide_changes` made of ``state`` (with every interval) and ``seen``."""
    stays = dict(state.intervals)
    for interval in change.closed:
        del stays[interval.track_id]
    for interval in (*change.marked, *change.opened):
        stays[interval.track_id] = interval
    absence_at, order = state.absence_at, state.order
    if seen.proves_absence and seen.decision is not Review.REJECTED:
        absence_at = seen.started_at if absence_at is None else max(absence_at, seen.started_at)
        order = seen.present
    return OpenFavourites(
        open=stays.keys(),
        intervals=stays,
        seen_at=seen.started_at,
        absence_at=absence_at,
        observed_at=seen.observed_at,
        order=order,
        memory=change.memory,
    )


class History(msgspec.Struct, frozen=True):
    """An account's whole history: its intervals in order of opening, the final state, and what each run did."""

    intervals: tuple[FavouriteInterval, ...]
    state: OpenFavourites
    by_run: dict[int, FavouriteChanges]


def replay(
    observations: Iterable[SnapshotRef], threshold: RemovalThreshold, start: OpenFavourites | None = None
) -> History:
    """Return the history that ``observations``, in any order, form. ``start``: the state before the first of them."""
    return replay_sorted(sorted(observations, key=lambda seen: (seen.observed_at, seen.run_id)), threshold, start)


def replay_sorted(
    ordered: Iterable[SnapshotRef], threshold: RemovalThreshold, start: OpenFavourites | None = None
) -> History:
    """Return the history that snapshots in order of ``observed_at`` form; only one of them is in memory at a time."""
    state = start or OpenFavourites()
    finished: list[FavouriteInterval] = []
    by_run: dict[int, FavouriteChanges] = {}
    for _, group in groupby(ordered, key=lambda seen: seen.observed_at):
        same = list(group)
        seen = _merged(same)
        change = decide_changes(state, seen, seen.threshold or threshold)
        state = next_state(state, seen, change)
        finished += change.closed
        by_run |= {other.run_id: FavouriteChanges(favourites=change.favourites) for other in same}
        by_run[seen.run_id] = change
    everything = sorted((*finished, *state.intervals.values()), key=lambda i: (i.valid_from, i.track_id))
    return History(intervals=tuple(everything), state=state, by_run=by_run)


def _merged(same: list[SnapshotRef]) -> SnapshotRef:
    """Merge the snapshots of one time (two files of one date): the result saw what any of them saw.

    What all of them do not have was absent if one of them proves it. The operator's decision on any of them counts.
    """
    if len(same) == 1:
        return same[0]
    present = tuple(dict.fromkeys(track_id for seen in same for track_id in seen.present))
    proof = min(same, key=lambda seen: (not seen.proves_absence, _DOUBT[seen.decision]))
    return replace(proof, started_at=min(seen.started_at for seen in same), present=present)


_DOUBT = {Review.APPROVED: 0, None: 1, Review.REJECTED: 2}

"""Evidence for removals: when a missing favourite may be closed, and which signs speak against it.

One read is one source of evidence. A service that is consistently wrong passes every re-read, so a removal also needs time
(`LOOKS` whole snapshots over the grace period) and no contradiction. Most signs of a consistent lie only make the removal wait
for the long grace, which ends by itself; the strong ones ask the operator. docs/trust.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from etl.errors import counted
from etl.model.records import (
    FavouriteInterval,
    ForeignList,
    MissingGroup,
    OpenFavourites,
    PendingAddition,
    RemovalMemory,
    RemovalReason,
    RemovalThreshold,
    Review,
    SnapshotRef,
)

LOOKS = 5
WEEK = timedelta(days=7)
FULL_PAGE = 50
# Fewer missing tracks than this never look like a hidden label, a foreign list or a wrong total.
CROWD = 5
SMALL_LIST_CROWD = 4


class Evidence(msgspec.Struct, frozen=True):
    """What a whole snapshot says about the missing favourites.

    ``closable``: removals to record. ``asks``: removals that the operator must decide on. ``reasons``: sentences.
    """

    closable: tuple[FavouriteInterval, ...] = ()
    asks: tuple[FavouriteInterval, ...] = ()
    reasons: tuple[str, ...] = ()


def weigh(
    state: OpenFavourites,
    memory: RemovalMemory,
    missing: Sequence[FavouriteInterval],
    seen: SnapshotRef,
    threshold: RemovalThreshold,
) -> Evidence:
    """Decide which of the ``missing`` favourites the whole snapshot ``seen`` closes. ``memory`` includes this snapshot."""
    if seen.decision is Review.APPROVED or not missing:
        return Evidence(closable=tuple(missing))
    if seen.grace is None:  # an import, or a run of a version without grace
        return (
            Evidence(asks=tuple(missing))
            if threshold.holds(len(missing), len(state.open))
            else Evidence(tuple(missing))
        )
    if memory.rejected is not None and memory.rejected == seen.snapshot_id:
        return Evidence(reasons=("the operator rejected these removals, and the list is the same",))
    grace, groups = seen.grace, {group.since: group for group in memory.groups}
    if not seen.present:
        return Evidence(asks=tuple(missing), reasons=("the list is empty",))
    signs = _Signs(state, memory, missing, seen, threshold)
    reasons = list(signs.reasons)
    due: list[FavouriteInterval] = []
    asks: list[FavouriteInterval] = []
    for interval in missing:
        group = groups[interval.missing_since or seen.observed_at]
        wait = max(grace.removal, grace.withdrawal if interval.track_id in signs.waits else grace.removal)
        if (grace.removal and group.looks < LOOKS) or (
            wait and seen.started_at - (group.waits_since or group.since) < wait
        ):
            continue
        (asks if interval.track_id in signs.asks else due).append(interval)
    if not seen.user_confirmed:
        reasons.append("the service did not confirm the owner of the list, so nothing is removed")
        return Evidence(reasons=tuple(reasons))
    if threshold.holds(len(due), len(state.open)):
        reasons.append(f"{len(due)} of {len(state.open)} favourites would be removed at once")
        asks, due = asks + due, []
    return Evidence(tuple(due), tuple(asks), tuple(reasons))


class _Signs:
    """The signs against removing the missing favourites: ids that wait for the long grace, ids that ask the operator."""

    def __init__(
        self,
        state: OpenFavourites,
        memory: RemovalMemory,
        missing: Sequence[FavouriteInterval],
        seen: SnapshotRef,
        threshold: RemovalThreshold,
    ) -> None:
        self.waits: set[int] = set()
        self.asks: set[int] = set()
        self.reasons: list[str] = []
        ids = {interval.track_id for interval in missing}
        self._tail(memory, ids, len(seen.present))
        self._total(memory, missing, seen)
        self._labels(seen.labelled & ids)
        self._many(memory, ids, len(state.open), threshold)
        self._withdrawn(memory.catalogue, ids)

    def _tail(self, memory: RemovalMemory, ids: Set[int], length: int) -> None:
        for group in memory.groups:
            tail = set(group.tail) & ids
            if not tail:
                continue
            if not group.is_cut:
                self.waits |= tail
                were = counted(len(tail), "missing favourite was", "missing favourites were")
                self.reasons.append(f"{were} the last of the list, behind all that stayed")
            elif memory.window != group.length:
                self.asks |= tail
                are = counted(len(tail), "favourite is", "favourites are")
                self.reasons.append(
                    f"the last {are} missing and the list has {length} entries: "
                    f"the service seems to list only the newest {length}"
                )

    def _total(self, memory: RemovalMemory, missing: Sequence[FavouriteInterval], seen: SnapshotRef) -> None:
        for group in memory.groups:
            members = {each.track_id for each in missing if (each.missing_since or seen.observed_at) == group.since}
            if group.gap is None or group.rise <= 0 or not members:
                continue
            is_strong = group.rise >= CROWD and 2 * group.rise >= len(missing)
            (self.asks if is_strong else self.waits).update(members)
            self.reasons.append(f"the service says {seen.total} favourites and lists {len(seen.present)}")

    def _labels(self, labelled: Set[int]) -> None:
        if labelled:
            self.waits |= labelled
            self.reasons.append(f"{len(labelled)} missing favourites are all there were of an album or artist")

    def _many(self, memory: RemovalMemory, ids: Set[int], favourites: int, threshold: RemovalThreshold) -> None:
        closed = sum(count for _, count in memory.closed)
        limit = max(threshold.minimum, threshold.ratio * favourites)
        is_most = len(ids) >= SMALL_LIST_CROWD and 2 * len(ids) > favourites
        if is_most or len(ids) + closed > limit:
            self.waits |= ids
            recent = f", and {closed} were removed within seven days" if closed else ""
            self.reasons.append(f"{len(ids)} of {favourites} favourites are missing{recent}")

    def _withdrawn(self, catalogue: Mapping[int, RemovalReason], ids: Set[int]) -> None:
        withdrawn = {each for each in ids if catalogue.get(each) is RemovalReason.WITHDRAWN}
        if withdrawn:
            self.waits |= withdrawn
            are = counted(len(withdrawn), "missing favourite is", "missing favourites are")
            self.reasons.append(f"{are} not in Boomplay's catalogue for this account")


def remember(state: OpenFavourites, seen: SnapshotRef, missing: Sequence[FavouriteInterval]) -> RemovalMemory:
    """Return the memory of ``state`` after the snapshot ``seen``. ``missing``: what it does not have, marked as missing."""
    memory, ids = state.memory, {interval.track_id for interval in missing}
    catalogue = {each: memory.catalogue[each] for each in memory.catalogue if each in ids}
    catalogue |= {each: answer for each, answer in seen.catalogue.items() if each in ids}
    members = {interval.missing_since for interval in missing}
    if seen.grace is None:
        groups = tuple(group for group in memory.groups if group.since in members)
        return replace(memory, groups=groups, catalogue=catalogue)
    if seen.decision is Review.REJECTED:
        groups = tuple(_rejected(group, seen) for group in memory.groups if group.since in members)
        return replace(memory, groups=groups, catalogue=catalogue, rejected=seen.snapshot_id)
    if not seen.proves_absence:
        groups = tuple(group for group in memory.groups if group.since in members)
        return replace(memory, groups=groups, catalogue=catalogue)
    length = len(seen.present)
    groups = tuple(_looked(group, seen) for group in memory.groups if group.since in members)
    first = [interval.track_id for interval in missing if interval.missing_since == seen.observed_at]
    if first:
        groups += (_new_group(state, seen, first),)
    if memory.rejected == seen.snapshot_id and memory.rejected is not None:
        # Once the list changes, these removals need new evidence: the operator said that the old one was wrong.
        groups = tuple(_rejected(group, seen) for group in groups)
    window = memory.window
    if seen.decision is Review.APPROVED:
        window = next((group.length for group in groups if group.is_cut and group.tail), window)
    moves = memory.total_moves
    if seen.total is None or memory.total is None:
        moves = None
    elif length != memory.length:
        moves = seen.total - memory.total == length - memory.length
    return replace(
        memory,
        groups=groups,
        length=length,
        total=seen.total,
        page_size=seen.page_size,
        total_moves=moves,
        closed=tuple(each for each in memory.closed if seen.observed_at - each[0] < WEEK),
        rejected=memory.rejected if memory.rejected == seen.snapshot_id else None,
        window=window,
        catalogue=catalogue,
    )


def _looked(group: MissingGroup, seen: SnapshotRef) -> MissingGroup:
    """Return ``group`` after one more whole snapshot that does not have it."""
    length = len(seen.present)
    tail = group.tail if length == group.length else ()  # a window always shows the same number
    rise = group.rise
    if group.gap is not None and seen.total is not None:
        rise = min(rise, seen.total - length - group.gap)
    return replace(group, looks=group.looks + 1, tail=tail, rise=rise)


def _rejected(group: MissingGroup, seen: SnapshotRef) -> MissingGroup:
    """Return ``group`` after the operator rejected the removals of ``seen``: looks and grace begin anew."""
    return replace(group, looks=0, waits_since=seen.observed_at)


def _new_group(state: OpenFavourites, seen: SnapshotRef, first: Collection[int]) -> MissingGroup:
    memory, length = state.memory, len(seen.present)
    tail = _tail(state.order, first)
    before = len(state.order)
    gap = memory.total - memory.length if memory.total is not None and _is_total(memory) else None
    rise = seen.total - length - gap if gap is not None and seen.total is not None else 0
    is_cut = bool(tail) and (length > before - len(tail) or length % FULL_PAGE == 0)
    return MissingGroup(seen.observed_at, length, 1, tail, is_cut, gap, rise)


def _tail(order: Sequence[int], missing: Collection[int]) -> tuple[int, ...]:
    """Return the missing tracks behind which no track of the list before stayed."""
    lost, tail = set(missing), list[int]()
    for track_id in reversed(order):
        if track_id not in lost:
            break
        tail.append(track_id)
    return tuple(tail)


def _is_total(memory: RemovalMemory) -> bool:
    """True if the service's count behaved like the length of the list so far."""
    if memory.total_moves is not None:
        return memory.total_moves
    return memory.total == memory.length and memory.length > max(FULL_PAGE, memory.page_size)


def hold_additions(
    state: OpenFavourites, seen: SnapshotRef, added: Sequence[int], missing: int
) -> tuple[ForeignList | None, bool, str]:
    """Return the list if it looks foreign, whether its additions wait, and a sentence if they do.

    A list looks foreign if at least five tracks are new and five missing, and these are more than half of the list and of the
    favourites. It is accepted after one grace if the service confirms the account's user.
    """
    before = state.memory.foreign
    if seen.grace is None:
        return None, False, ""
    looks_foreign = (
        len(added) >= CROWD
        and missing >= CROWD
        and 2 * len(added) > len(seen.present)
        and 2 * missing > len(state.open)
        and seen.decision is not Review.APPROVED
    )
    if not looks_foreign:
        return None, False, ""
    bounds = dict(before.pending) if before else {}
    since, absence_at = (before.since, before.absence_at) if before else (seen.observed_at, state.absence_at)
    pending = {each: bounds.get(each) or PendingAddition(seen.observed_at, absence_at) for each in added}
    waiting = ForeignList(since, pending, absence_at)
    if seen.user_confirmed and seen.started_at - since >= seen.grace.removal:
        return waiting, False, ""
    why = (
        f"{len(added)} of {len(seen.present)} tracks are new and {missing} of {len(state.open)} favourites are missing: "
        "this looks like another user's list"
    )
    return waiting, True, why


def still_foreign(state: OpenFavourites, seen: SnapshotRef) -> ForeignList | None:
    """Return what is left of a list that looked foreign after ``seen``, which does not.

    The wait is over. But until a whole list of the account's own is read, nothing since the foreign list proves absence.
    """
    before = state.memory.foreign
    return None if before is None or seen.proves_absence else ForeignList(seen.observed_at, {}, before.absence_at)


def labelled_tracks(missing: Collection[int], labels: Mapping[int, Iterable[object]]) -> frozenset[int]:
    """Return the missing tracks that look hidden together with an album or artist.

    ``labels``: the albums and artists of open favourites; those of fewer than two missing tracks may be absent. Found are five
    or more missing tracks that share an album or artist of which nothing is left; or five or more, and at least half of all
    missing, that belong to albums or artists which had two or more favourites and have none now.
    """
    if len(missing) < CROWD:
        return frozenset()
    lost, had, gone = set(missing), dict[object, int](), dict[object, set[int]]()
    for track_id, names in labels.items():
        for name in names:
            had[name] = had.get(name, 0) + 1
            if track_id in lost:
                gone.setdefault(name, set()).add(track_id)
    emptied = {name: tracks for name, tracks in gone.items() if len(tracks) == had[name]}
    found = {each for tracks in emptied.values() if len(tracks) >= CROWD for each in tracks}
    together = {each for tracks in emptied.values() if len(tracks) >= 2 for each in tracks}
    if len(together) >= CROWD and 2 * len(together) >= len(lost):
        found |= together
    return frozenset(found)


def may_close(missing_since: datetime, looks: int, started_at: datetime, wait: timedelta) -> bool:
    """True if one more whole snapshot, started at ``started_at``, could close a favourite; then it must be confirmed."""
    return looks + 1 >= LOOKS and started_at - missing_since >= wait

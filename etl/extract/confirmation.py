"""Decides whether the removals that the reads of one run suggest are confirmed.

A proven walk missed no track that stayed at its place, but a track that was *moved* in mid-walk (unfavourited and favourited
again, or re-sorted by the service) can slip past it: in simulation about 1 in 300 walks over a busy list does that. So a
removal takes two proven walks of one run, one after the other, that spell the same list item by item: a list that moved under
either of them does not repeat itself. Whatever any walk of the run saw counts as present.

A replica that lags behind repeats itself too, and what it lacks are the newest favourites; where one of those is missing, more
walks must agree, and on a short list, where one answer is all there is to a walk, many more. Which others are missing, and what
else is in the list, tells nothing: the list of an hour ago lacks what was added since and holds what was removed since.

The same goes for an end that is none, a page cut to one item with an empty one after it: it takes all that stands behind it, and
so the list's last favourite. Where that one is missing, as many walks must agree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from etl.model.records import Item, Walk

AGREEING_WALKS = 2
AGREEING_WALKS_IF_DOUBTFUL = 4
AGREEING_PAGES_IF_DOUBTFUL = 24
MAX_WALKS = 7


class Seen(msgspec.Struct, frozen=True):
    """What the walks of one run amount to.

    ``items``: everything that any of them saw, the last walk's list first. ``needs_walk``: the removals are not confirmed
    yet, and another walk may do it. ``is_whole``: the reading is proven, and so is each absence from ``items``.
    """

    items: tuple[Item, ...]
    is_whole: bool
    reason: str
    needs_walk: bool


def confirm(walks: Sequence[Walk], favourites: Collection[int], at_risk: Collection[int] = ()) -> Seen:
    """Sum up ``walks`` of one run, given the open ``favourites``.

    ``at_risk``: those of them that a wrong list lacks first: seen for a short time only, or last in the list.
    """
    items = _union(walks)
    last = walks[-1]
    if not last.proven:
        return Seen(items, is_whole=False, reason=last.reason, needs_walk=False)
    present = {item.track_id for item in items}
    missing = [track_id for track_id in favourites if track_id not in present]
    if not missing or None in present:
        return Seen(items, is_whole=True, reason="", needs_walk=False)
    needed = _needed(walks, is_doubtful=not set(at_risk).isdisjoint(missing))
    if _agreeing(walks) >= needed:
        return Seen(items, is_whole=True, reason="", needs_walk=False)
    if len(walks) < MAX_WALKS - AGREEING_WALKS + needed:
        return Seen(items, is_whole=True, reason="", needs_walk=True)
    why = f"the list kept changing while it was read: {len(missing)} missing favourites are not confirmed"
    return Seen(items, is_whole=False, reason=why, needs_walk=False)


def _needed(walks: Sequence[Walk], *, is_doubtful: bool) -> int:
    """Return how many walks must agree: a wrong list must not pass even where every other answer is wrong."""
    if not is_doubtful:
        return AGREEING_WALKS
    return max(AGREEING_WALKS_IF_DOUBTFUL, -(-AGREEING_PAGES_IF_DOUBTFUL // max(1, walks[-1].pages)))


def _union(walks: Sequence[Walk]) -> tuple[Item, ...]:
    """Every item that any walk saw, once each; where walks differ on an item's body, the latest stands."""
    items = {item.key: item for item in walks[-1].seen}
    for walk in reversed(walks[:-1]):
        for item in walk.seen:
            items.setdefault(item.key, item)
    return tuple(items.values())


def _agreeing(walks: Sequence[Walk]) -> int:
    """Count the walks at the end of ``walks`` that spell one and the same list, and saw nothing beside it.

    A walk that saw more than its list holds was contradicted: by a list that moved, or by pages that were cut.
    """
    spelling = _spelling(walks[-1])
    count = 0
    for walk in reversed(walks):
        if not walk.proven or walk.extras or _spelling(walk) != spelling or walk.is_ordered != walks[-1].is_ordered:
            break
        count += 1
    return count


def _spelling(walk: Walk) -> object:
    keys = [item.key for item in walk.items]
    return keys if walk.is_ordered else frozenset(keys)

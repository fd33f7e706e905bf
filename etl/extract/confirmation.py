"""Decides whether the reads of one run confirm the removals that they suggest.

A complete read misses no track that stayed at its position. A track that *moved* during the read (removed and added again, or
re-sorted by the service) can slip past it: in a simulation about 1 in 300 reads of a busy list missed one. So a removal needs
two complete reads of one run, one after the other, that return the same list item by item: a list that moves under either of
them does not repeat itself. Every item that any read of the run saw counts as present.

A lagging replica repeats itself too, without the newest favourites. If one of those is missing, more reads must agree,
and on a short list, where one answer is a whole read, many more. The same holds for a false end (a page cut to one item, then
an empty page): it hides everything behind it, and so the last favourite of the list.

A list that holds a track twice needs a second read too, also if nothing is missing: the two must show the same positions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from etl.extract.completeness import PageChain, first_repeat
from etl.model.records import Item

AGREEING_READS = 2
AGREEING_READS_IF_DOUBTFUL = 4
AGREEING_PAGES_IF_DOUBTFUL = 24
MAX_READS = 7


def needs_another_read(reads: Sequence[PageChain], favourites: Collection[int], at_risk: Collection[int] = ()) -> bool:
    """True if what ``reads`` suggest is not confirmed yet, and another read may confirm it.

    ``favourites``: the open ones. ``at_risk``: those of them that a wrong list loses first: young ones, and the last one.
    """
    needed = _needed(reads, favourites, at_risk)
    if not reads[-1].proven or not needed:
        return False
    return _agreeing(reads) < needed and len(reads) < MAX_READS - AGREEING_READS + needed


def why_unconfirmed(reads: Sequence[PageChain], favourites: Collection[int], at_risk: Collection[int] = ()) -> str:
    """Return why ``reads`` do not prove what is missing from the list, or an empty text if they do."""
    if not reads[-1].proven:
        return reads[-1].reason
    needed = _needed(reads, favourites, at_risk)
    if not needed or _agreeing(reads) >= needed:
        return ""
    missing = _missing(reads, favourites)
    repeated = first_repeat(reads[-1].positions)
    if not missing and repeated is not None:
        return f"track {repeated} is in the list twice, and no other read showed it at the same positions"
    return f"the list kept changing while it was read: {len(missing)} missing favourites are not confirmed"


def all_items(reads: Sequence[PageChain]) -> tuple[Item, ...]:
    """Return every item that any read saw, once each, the last read's list first; of two versions the latest."""
    if len(reads) == 1:
        return reads[0].seen
    items = {item.key: item for item in reads[-1].seen}
    for read in reversed(reads[:-1]):
        for item in read.seen:
            items.setdefault(item.key, item)
    return tuple(items.values())


def _missing(reads: Sequence[PageChain], favourites: Collection[int]) -> list[int]:
    """Return the favourites that no read saw; none if an item without an id could be any of them."""
    if not favourites:
        return []
    present = {item.track_id for read in reads for item in read.seen}
    return [] if None in present else [track_id for track_id in favourites if track_id not in present]


def _needed(reads: Sequence[PageChain], favourites: Collection[int], at_risk: Collection[int]) -> int:
    """Return how many reads must agree: a wrong list must not pass even if every other answer is wrong.

    0: the last read needs no other one.
    """
    missing = _missing(reads, favourites)
    if not missing and not reads[-1].positions:
        return 0
    if set(at_risk).isdisjoint(missing):
        return AGREEING_READS
    return max(AGREEING_READS_IF_DOUBTFUL, -(-AGREEING_PAGES_IF_DOUBTFUL // max(1, reads[-1].pages)))


def _agreeing(reads: Sequence[PageChain]) -> int:
    """Count the last reads that return one and the same list, and saw nothing beside it.

    A read that saw more than its list holds was contradicted: the list moved, or pages were cut.
    """
    count = 0
    for read in reversed(reads):
        if not read.proven or read.extras or _listed(read) != _listed(reads[-1]):
            break
        count += 1
    return count


def _listed(read: PageChain) -> object:
    """Return what two reads must share to agree. A list with an order in one of them and none in the other has moved."""
    keys = read.positions or tuple(item.key for item in read.items)
    return read.is_ordered, keys if read.is_ordered else tuple(sorted(keys, key=repr))

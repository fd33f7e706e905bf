"""Whether a chain of pages, as it ended up, is a proven reading of the whole list.

Theory. The list has no version and moves while it is read; what can be trusted is that tracks which stay keep their
relative order.

* *Boundary*: where page k+1 begins with the last item x of page k, no track that stayed was skipped between the two,
  whenever each was read: a track that stayed is before x or after it, in both answers.
* *Tail*: short and empty pages occur in the middle of lists, so the end is asked for: the page
  that begins at the last item must be exactly that item. A page cut down to one item looks the same, for as long as that
  fault lasts, so an answer from *another* place must agree: the page after the last item is empty (or is refused, and the
  last item is given alone again), or else the page before came short and one from further on is empty.

Invariant: the verdict depends on the final chain alone, never on how it came about (a judge that patched its running answer
passed 1 % of wrong walks in simulation).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from etl.model.records import Digest, Item, Page

TAIL_ANSWERS = 2
REFUSED = 0
EMPTY_ANSWERS = 2

Key = int | Digest


def why_incomplete(chain: Sequence[Page]) -> str:
    """Return why ``chain`` is not a proven reading of the whole list, or an empty text where it is one."""
    if not chain or chain[0].offset != 0:
        return "the first page was not read"
    if not chain[0].items:
        empty = len(chain) >= EMPTY_ANSWERS and not any(page.items for page in chain)
        return "" if empty else "an empty first page was not confirmed"
    body = chain if chain[-1].items else chain[:-1]
    for before, page in pairwise(body):
        if not is_contiguous(before, page):
            return f"the pages around offset {page.offset} do not fit together"
    if not has_confirmed_end(chain):
        return "the end of the list was not confirmed"
    repeated = first_repeat(merge_pages(chain))
    return "" if repeated is None else f"track {repeated} is in the list twice"


def has_confirmed_end(chain: Sequence[Page]) -> bool:
    """Say whether ``chain`` ends with the last item alone, and with an empty page from beyond that confirms it.

    A page of limit 0 stands for an answer that was refused; it takes the last item alone twice.
    """
    if not chain or chain[-1].items:
        return False
    *body, beyond = chain
    if len(body) < TAIL_ANSWERS or len(body[-1].items) != 1:
        return False
    end = body[-1].offset + 1
    if beyond.limit == REFUSED:
        return beyond.offset == end and len(body) > TAIL_ANSWERS and len(body[-2].items) == 1
    came_short = len(body[-2].items) < max(len(page.items) for page in body)
    return beyond.offset == end or (beyond.offset > end and came_short)


def is_contiguous(before: Page, page: Page) -> bool:
    """Say whether ``page`` was asked for at the last item of ``before``, and begins with it."""
    if not before.items or not page.items:
        return False
    return page.offset == before.offset + len(before.items) - 1 and page.items[0].key == before.items[-1].key


def merge_pages(chain: Sequence[Page]) -> list[Item]:
    """Return the list that a chain of joined pages spells: each page without the item it shares with the one before."""
    items = list(chain[0].items) if chain else []
    for page in chain[1:]:
        items += page.items[1:]
    return items


def first_repeat(items: Sequence[Item]) -> int | None:
    """Return the first track id that stands in ``items`` at two places that do not touch."""
    seen: set[int] = set()
    before: int | None = None
    for item in items:
        if item.track_id is not None and item.track_id != before and item.track_id in seen:
            return item.track_id
        before = item.track_id
        if before is not None:
            seen.add(before)
    return None

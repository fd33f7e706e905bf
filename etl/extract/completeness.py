"""Decides whether a chain of pages is the whole list.

The list has no version and moves while it is read. One thing can be trusted: tracks that stay keep their relative order.

* *Boundary*: page k+1 begins with the last item x of page k. Then no track that stayed was skipped between the two pages,
  whenever each was read: a track that stayed is before x or after it, in both answers. Where the service hides rows of a page,
  x is not at a known offset, so x is the last item of the longest end of page k with which page k+1 begins.
* *End*: short and empty pages occur in the middle of lists, so the end is requested explicitly. The page that begins at the
  last item must hold exactly that item. A page that a fault cuts down to one item looks the same, so an answer from *another*
  offset must agree: the page after the last item is empty (or refused, and the last item is returned alone again), or the
  page before was short and a page from further on is empty.

The decision depends on the final chain alone, never on how it was built. A check that updated a running answer accepted 1 %
of wrong reads in a simulation.

A track that the list holds twice proves nothing about the list and disproves nothing: the list may have moved, or the service
may list it twice for good. So such a read needs another one that shows the same positions (`confirmation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from etl.model.records import Digest, Item, Page

LAST_ITEM_ANSWERS = 2
REFUSED = 0
EMPTY_ANSWERS = 2
END_ANSWERS = 3

Key = int | Digest


class PageChain(msgspec.Struct, frozen=True):
    """One read of the list. ``reason`` says why it is not ``proven`` complete, and is empty if it is.

    ``items``: in list order, one per key. ``extras``: items that an answer held which a repair dropped; they were in the
    list at some moment of the read. ``is_ordered``: proven by joined pages, not by equal sets. ``positions``: the keys in
    list order if a track is in the list twice, else empty. ``page_size``: items on the largest page. ``total``: the service's
    ``counts``, if the same on all pages and not below the items read. ``started_at`` is taken before the first request,
    ``ended_at`` after the last answer.
    """

    items: tuple[Item, ...]
    extras: tuple[Item, ...]
    proven: bool
    reason: str
    is_ordered: bool = True
    positions: tuple[Key, ...] = ()
    pages: int = 0
    page_size: int = 0
    total: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def seen(self) -> tuple[Item, ...]:
        """Everything this read saw: the list, then the items that left it during the read."""
        return self.items + self.extras


def why_incomplete(pages: Sequence[Page]) -> str:
    """Return why ``pages`` are not proven to be the whole list, or an empty text if they are."""
    if not pages or pages[0].offset != 0:
        return "the first page was not read"
    if not pages[0].items:
        empty = len(pages) >= EMPTY_ANSWERS and not any(page.items for page in pages)
        return "" if empty else "an empty first page was not confirmed"
    body = pages if pages[-1].items else pages[:-1]
    for before, page in pairwise(body):
        if not is_contiguous(before, page):
            return f"the pages around offset {page.offset} do not fit together"
    return "" if has_confirmed_end(pages) else "the end of the list was not confirmed"


def has_confirmed_end(pages: Sequence[Page]) -> bool:
    """True if ``pages`` end with the last item alone, and with an empty page from beyond that confirms it.

    A page of limit 0 represents a refused answer; then the last item must be returned alone twice.
    """
    if not pages or pages[-1].items:
        return False
    *body, beyond = pages
    if len(body) < LAST_ITEM_ANSWERS or len(body[-1].items) != 1:
        return False
    end = body[-1].offset + 1
    if beyond.limit == REFUSED:
        return beyond.offset == end and len(body) > LAST_ITEM_ANSWERS and len(body[-2].items) == 1
    was_short = len(body[-2].items) < max(len(page.items) for page in body)
    return beyond.offset == end or (beyond.offset > end and was_short)


def is_contiguous(before: Page, page: Page) -> bool:
    """True if ``page`` was requested at the last item of ``before``, and begins with it."""
    if not before.items or not page.items:
        return False
    return page.offset == before.offset + len(before.items) - 1 and page.items[0].key == before.items[-1].key


def why_incomplete_with_hidden_rows(pages: Sequence[Page]) -> str:
    """Return why ``pages`` are not proven to be the whole list of a service that hides rows, or an empty text if they are.

    Each page was requested within the rows of the page before and begins with items at its end. Behind the last page that
    adds items, three answers add none: from its last item on, from just after that, and from a whole limit further on.
    """
    if len(pages) <= END_ANSWERS or pages[0].offset != 0:
        return "the end of the list was not confirmed"
    *body, last, after, beyond = pages
    for before, page in pairwise([*body, last]):
        is_near = before.offset <= page.offset < before.offset + before.limit
        if not is_near or not shared_items(before.items, page.items):
            return f"the pages around offset {page.offset} do not overlap"
    is_end = (
        adds_nothing(body[-1], last)
        and last.offset == body[-1].offset + len(body[-1].items) - 1
        and adds_nothing(last, after)
        and (after.offset == last.offset + 1 or (after.offset == last.offset and bool(after.items)))
        and not beyond.items
        and beyond.offset == last.offset + last.limit
    )
    return "" if is_end else "the end of the list was not confirmed"


def shared_items(before: Sequence[Item], items: Sequence[Item]) -> int:
    """Return the length of the longest end of ``before`` with which ``items`` begin."""
    ends, begins = [item.key for item in before], [item.key for item in items]
    longest = min(len(ends), len(begins))
    return next((length for length in range(longest, 0, -1) if ends[-length:] == begins[:length]), 0)


def adds_nothing(before: Page, page: Page) -> bool:
    """True if ``page`` is empty or an end of ``before``."""
    return shared_items(before.items, page.items) == len(page.items)


def merge_pages(pages: Sequence[Page]) -> list[Item]:
    """Return the list that joined pages form: each page without the item that it shares with the page before."""
    items = list(pages[0].items) if pages else []
    for page in pages[1:]:
        items += page.items[1:]
    return items


def merge_overlapping_pages(pages: Sequence[Page]) -> list[Item]:
    """Return the list that pages form which overlap by any number of items."""
    items = list(pages[0].items) if pages else []
    for before, page in pairwise(pages):
        items += page.items[shared_items(before.items, page.items) :]
    return items


def proven_chain(listed: Sequence[Item], seen: Mapping[Key, Item]) -> PageChain:
    """Return the read that proves the list ``listed``. ``seen``: every item that any of its answers held, by its key."""
    keys = [item.key for item in listed]
    items = dict(zip(keys, listed, strict=True))
    has_repeats = len(items) < len(keys) and first_repeat(keys) is not None
    return PageChain(
        items=tuple(items.values()),
        extras=tuple(item for key, item in seen.items() if key not in items),
        proven=True,
        reason="",
        positions=tuple(keys) if has_repeats else (),
    )


def first_repeat(keys: Iterable[Key]) -> int | None:
    """Return the first track id that occurs in ``keys`` at two positions that are not adjacent."""
    seen: set[Key] = set()
    before: Key | None = None
    for key in keys:
        if isinstance(key, int) and key != before and key in seen:
            return key
        before = key
        seen.add(key)
    return None

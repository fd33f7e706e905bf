"""Pagination of a service that cuts a page out of the list first and then drops rows that it hides.

Its pages are shorter than requested, and the offset of their last item is unknown. So pages overlap by a few rows, and two
of them are joined at the longest end of the one with which the other begins. If a request by the limit finds no such
overlap, one by the rows received does: the last item is at that offset or after it.
"""

from __future__ import annotations

from enum import Enum, auto

from etl.extract.completeness import (
    REFUSED,
    Key,
    PageChain,
    adds_nothing,
    merge_overlapping_pages,
    proven_chain,
    shared_items,
    why_incomplete_with_hidden_rows,
)
from etl.extract.pagination import PageRequest
from etl.model.records import Item, Page

OVERLAP = 3
MAX_FAILURES = 3
REASON = "the service hides rows of the list, and its pages do not overlap"


class _Step(Enum):
    """The position of the next request."""

    FAR = auto()  # the end of the rows that the last page covers
    NEAR = auto()  # at the last item or before it
    AFTER = auto()  # just after that
    AGAIN = auto()  # the same as NEAR, if the service refuses what is after it
    BEYOND = auto()  # a whole limit after it


class FilteredPagination:
    """One read in progress, one request at a time; the same methods as `pagination.Pagination`."""

    def __init__(self, *, limit: int, first_limit: int, max_requests: int) -> None:
        self.result: PageChain | None = None
        self.unread_from: int | None = None
        self._limit, self._first_limit = limit, first_limit
        self._left = max_requests
        self._failures = 0
        self._step_back = 1
        self._step = _Step.FAR
        self._chain: list[Page] = []
        self._is_waiting = False
        self._seen: dict[Key, Item] = {}

    @property
    def pages(self) -> int:
        """The number of pages in the chain."""
        return len(self._chain)

    @property
    def items_read(self) -> int:
        """The number of different items seen so far."""
        return len(self._seen)

    def next_requests(self) -> list[PageRequest]:
        """Return the request to send now; none while one is in flight."""
        if self.result is not None or self._is_waiting:
            return []
        if self._left == 0:
            self._give_up(REASON)
            return []
        self._left -= 1
        self._is_waiting = True
        offset = self._next_offset()
        return [PageRequest(offset, self._limit if offset else self._first_limit, 0)]

    def is_required(self, request: PageRequest) -> bool:
        """True if the read cannot continue without the answer to ``request``: it is not past the end of the list."""
        return not self._chain or self._step in (_Step.NEAR, _Step.AGAIN)

    def skip(self, request: PageRequest) -> None:
        """Continue without the answer to ``request``: a service may refuse requests past the end."""
        self._is_waiting = False
        if self._step is _Step.AFTER:
            self._step = _Step.AGAIN
        else:
            self._add(Page(request.offset, REFUSED, ()))

    def refuse(self, request: PageRequest, why: str) -> None:
        """End the read: the service refuses a page that it cannot continue without."""
        self._give_up(why, unread_from=request.offset + self._limit)

    def feed(self, request: PageRequest, page: Page) -> None:
        """Add the answer to ``request``."""
        self._is_waiting = False
        for item in page.items:
            self._seen.setdefault(item.key, item)
        self._add(page)

    def _next_offset(self) -> int:
        if not self._chain:
            return 0
        last = self._chain[-1]
        match self._step:
            case _Step.FAR:
                return last.offset + max(1, last.limit - OVERLAP)
            case _Step.NEAR:
                return last.offset + len(last.items) - 1
            case _Step.AFTER:
                return last.offset + 1
            case _Step.AGAIN:
                return last.offset
            case _Step.BEYOND:
                return self._chain[-2].offset + self._chain[-2].limit

    def _add(self, page: Page) -> None:
        if not self._chain:
            self._chain = [page]
            if not page.items:
                self._give_up(REASON, unread_from=page.offset + self._limit)
            return
        last = self._chain[-1]
        if self._step is _Step.BEYOND:
            self._conclude(page)
        elif shared_items(last.items, page.items) and not adds_nothing(last, page):
            self._chain.append(page)
            self._step = _Step.FAR
        elif self._step is _Step.FAR:
            self._step = _Step.NEAR
        elif adds_nothing(last, page) and (page.items or self._step is _Step.AFTER):
            self._chain.append(page)
            self._step = _Step.AFTER if self._step is _Step.NEAR else _Step.BEYOND
        else:
            self._repair(page)

    def _conclude(self, beyond: Page) -> None:
        pages = [*self._chain, beyond]
        if beyond.items or why_incomplete_with_hidden_rows(pages):
            self._repair(beyond)
        else:
            self._chain = pages
            self.unread_from = beyond.offset
            self.result = proven_chain(merge_overlapping_pages(pages), self._seen)

    def _repair(self, page: Page) -> None:
        """Drop both sides of a boundary that does not hold, and more pages each time that it fails again."""
        self._failures += 1
        if self._failures > MAX_FAILURES:
            self._give_up(REASON, unread_from=page.offset)
            return
        del self._chain[max(0, len(self._chain) - self._step_back) :]
        self._step_back *= 2
        self._step = _Step.FAR

    def _give_up(self, why: str, unread_from: int | None = None) -> None:
        self.unread_from = unread_from
        self.result = PageChain(items=tuple(self._seen.values()), extras=(), proven=False, reason=why)

"""Decides which pages to request next.

Each page is requested so that it begins with the last item of the page before (offsets 0, 49, 98 …), and the end is requested
from the last item; `completeness` says what that proves. A boundary that does not hold drops the pages on both its sides and
everything after them. If the next try fails too, the list has moved further up: the step back doubles, until the first page
is read again.

Only `completeness` proves a list, and an empty list only in a read that saw nothing. ``counts`` sizes the look-ahead and
proves nothing. Requests, repairs and restarts are bounded. After that, ``unread_from`` says where `remainder` reads on.
"""

from __future__ import annotations

import msgspec

from etl.extract.completeness import (
    EMPTY_ANSWERS,
    REFUSED,
    Key,
    PageChain,
    has_confirmed_end,
    is_contiguous,
    merge_pages,
    proven_chain,
    shared_items,
    why_incomplete,
)
from etl.model.records import Item, Page

PAGE_LIMIT = 50
MAX_REQUESTS = 25_000
MAX_REPAIRS = 24
MAX_FAILURES_AT_ONE_OFFSET = 4
MAX_RESTARTS = 3
FAILURES_OF_HIDDEN_ROWS = 2
LOOK_AHEAD = 3


class PageRequest(msgspec.Struct, frozen=True):
    """A range of the list to request. An answer with an older ``generation`` precedes a repair and is dropped."""

    offset: int
    limit: int
    generation: int


class Pagination:
    """One read in progress: send `next_requests`, pass each answer to `feed`, until ``result`` is set.

    The caller may have up to ``concurrency`` requests in flight and answer them in any order. ``expected`` is a guess at the
    length of the list; it only sizes the look-ahead. ``first_limit``: size of the first page, so that two reads have their
    page boundaries at different items and request different URLs.

    ``unread_from``: if the list is proven, the offset of its end, else the one from which nothing was read (None: nothing is
    left to read).
    ``has_hidden_rows``: the service seems to drop rows from pages (`filtered_pagination`).
    """

    def __init__(
        self,
        *,
        limit: int = PAGE_LIMIT,
        first_limit: int | None = None,
        concurrency: int = 4,
        expected: int = 0,
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        self.result: PageChain | None = None
        self.is_order_unstable = False
        self.has_hidden_rows = False
        self.unread_from: int | None = None
        self._limit, self._first_limit = limit, first_limit or limit
        self._concurrency = max(1, concurrency)
        self._horizon = expected
        self._max_requests = max_requests
        self._chain: list[Page] = []
        self._answers: dict[int, Page] = {}
        self._beyond: Page | None = None
        self._asked: set[int] = set()
        self._refused: set[int] = set()
        self._seen: dict[Key, Item] = {}
        self._first_answers: dict[int, tuple[Item, ...]] = {}
        self._failures: dict[int, int] = {}
        self._generation = self._requests = self._repairs = self._restarts = 0
        self._step_back = self._window = 1
        self._counts: set[int | None] = set()
        self.page_size = 0
        self._trouble_at = 0

    @property
    def pages(self) -> int:
        """The number of pages in the chain."""
        return len(self._chain)

    @property
    def requests(self) -> int:
        """The number of requests sent so far."""
        return self._requests

    @property
    def items_read(self) -> int:
        """The number of different items seen so far."""
        return len(self._seen)

    @property
    def total(self) -> int | None:
        """The service's ``counts``, if it was the same on all pages and is not below the items read."""
        count = next(iter(self._counts)) if len(self._counts) == 1 else None
        return count if count is not None and count >= len(self._seen) else None

    def next_requests(self) -> list[PageRequest]:
        """Return the requests to send now, beside those in flight, and count them as sent."""
        if self.result is not None:
            return []
        wanted = [offset for offset in self._wanted() if offset not in self._asked and offset not in self._answers]
        wanted = wanted[: max(0, self._concurrency - len(self._asked))]
        requests = [
            PageRequest(offset, self._limit if offset else self._first_limit, self._generation) for offset in wanted
        ]
        if self._requests + len(requests) > self._max_requests:
            self._give_up(f"more than {self._max_requests} requests")
            return []
        self._requests += len(requests)
        self._asked.update(wanted)
        return requests

    def is_required(self, request: PageRequest) -> bool:
        """True if the read cannot continue without the answer to ``request``.

        A failed look-ahead is no failure. The service may refuse what is after the last item; then the last item itself is
        requested again, and a service that refuses that one too is down.
        """
        if self.result is not None or request.generation != self._generation or request.offset != self._frontier():
            return False
        return not (self._is_at_end() and request.offset > self._chain[-1].offset)

    def skip(self, request: PageRequest) -> None:
        """Continue without the answer to ``request``, which failed: a service may refuse requests past the end."""
        if request.generation != self._generation or self.result is not None:
            return
        self._asked.discard(request.offset)
        self._refused.add(request.offset)

    def refuse(self, request: PageRequest, why: str) -> None:
        """End the read: the service refuses a page that it cannot continue without."""
        self._give_up(why, unread_from=request.offset + max(1, self.page_size - 1))

    def feed(self, request: PageRequest, page: Page) -> None:
        """Add the answer to ``request`` and extend the chain as far as the received answers allow."""
        for item in page.items:
            self._seen.setdefault(item.key, item)
        if self.result is not None or request.generation != self._generation:
            return
        self._asked.discard(request.offset)
        self._note_order(page)
        if page.items:
            self._counts.add(page.counts)
        self._horizon = max(self._horizon, page.counts or 0)
        is_beyond = not page.items and (request.offset > self._frontier() or self._is_at_end())
        if is_beyond and (self._beyond is None or page.offset < self._beyond.offset):
            self._beyond = page
        elif page.items or not is_beyond:
            self._answers[request.offset] = page
            while (ready := self._next_page()) is not None:
                self._add(ready)
        self._conclude_if_whole()

    def _next_page(self) -> Page | None:
        return None if self.result is not None else self._answers.pop(self._frontier(), None)

    def _frontier(self) -> int:
        """Return the offset whose answer the chain needs next."""
        if not self._chain or not self._chain[-1].items:
            return 0
        last = self._chain[-1]
        end = last.offset + len(last.items)
        return end if self._is_at_end() and end not in self._refused else end - 1

    def _is_at_end(self) -> bool:
        """True if the last answer was the last item alone, so that only the page after it is left to request."""
        return len(self._chain) > 1 and len(self._chain[-1].items) == 1

    def _wanted(self) -> list[int]:
        """Return the offset at the frontier, and as many after it as the look-ahead allows."""
        frontier, step = self._frontier(), self.page_size - 1
        if self._is_at_end() and len(self._chain[-2].items) < self.page_size:
            is_answer_coming = any(offset > frontier for offset in self._asked)
            return [] if is_answer_coming else [frontier]
        if step < 1 or not self._chain or len(self._chain[-1].items) < self.page_size:
            return [frontier]
        ahead = -(-(self._horizon - 1 - frontier) // step) if self._horizon > frontier + 1 else self._window
        offsets = [frontier + step * n for n in range(min(ahead, LOOK_AHEAD * self._concurrency))]
        end = self._likely_end()
        return [o for o in offsets if o == frontier or (o < end and o not in self._refused)]

    def _likely_end(self) -> int:
        """Return the end of the list that short and empty answers suggest. It only limits the look-ahead."""
        ends = [page.offset + len(page.items) for page in self._answers.values() if len(page.items) < self.page_size]
        if self._beyond is not None:
            ends.append(self._beyond.offset)
        return min(ends, default=self._max_requests * self._limit)

    def _add(self, page: Page) -> None:
        if not self._chain or not self._chain[0].items:
            self._chain = [page] if page.items else [*self._chain, page]
            self.page_size = max(self.page_size, len(page.items))
        elif is_contiguous(self._chain[-1], page):
            self._extend(page)
        else:
            self._repair(page)

    def _extend(self, page: Page) -> None:
        self._chain.append(page)
        if page.offset > self._trouble_at:
            self._step_back = 1
        if self._beyond is not None and self._beyond.offset < page.offset + len(page.items):
            self._beyond = None
        if len(page.items) >= self.page_size and self._frontier() + 1 >= self._horizon:
            self._window = min(self._concurrency, self._window * 2)
        self.page_size = max(self.page_size, len(page.items))

    def _conclude_if_whole(self) -> None:
        """Conclude once the chain has a confirmed end."""
        if self.result is not None or not self._chain:
            return
        if not self._chain[0].items:
            if len(self._chain) >= EMPTY_ANSWERS:
                self._conclude()
            return
        last = self._chain[-1]
        refused = Page(offset=last.offset + len(last.items), limit=REFUSED, items=())
        beyond = refused if refused.offset in self._refused else self._beyond
        if beyond is not None and has_confirmed_end([*self._chain, beyond]):
            self._chain.append(beyond)
            self._conclude()

    def _conclude(self) -> None:
        why = why_incomplete(self._chain)
        if not why and self._seen and not self._chain[0].items:
            why = "the list was empty and not empty in one read"
        if why:
            self._start_over(why)
        else:
            self._finish()

    def _start_over(self, why: str) -> None:
        """Read from the first page again, at most `MAX_RESTARTS` times."""
        if self._restarts == MAX_RESTARTS:
            self._give_up(why, unread_from=0)
        else:
            self._restarts += 1
            self._cut(0)

    def _repair(self, page: Page) -> None:
        """Drop both sides of a boundary that does not hold, and more pages each time that it fails again."""
        at = page.offset
        self._failures[at] = self._failures.get(at, 0) + 1
        self._repairs += 1
        # Pages share more than was requested after an addition too, but once; hidden rows do it at every try.
        before = self._chain[-1]
        is_overlapping = shared_items(before.items, page.items) > before.offset + len(before.items) - at
        self.has_hidden_rows = is_overlapping and self._failures[at] >= FAILURES_OF_HIDDEN_ROWS
        is_exhausted = self._repairs > MAX_REPAIRS or self._failures[at] > MAX_FAILURES_AT_ONE_OFFSET
        if self.has_hidden_rows or is_exhausted:
            self._give_up(self._why_broken(page), unread_from=at)
            return
        self._trouble_at = max(self._trouble_at, at)
        self._cut(max(0, len(self._chain) - self._step_back))
        self._step_back *= 2

    def _cut(self, length: int) -> None:
        del self._chain[length:]
        self._answers.clear()
        self._beyond = None
        self._asked.clear()
        self._generation += 1
        self._window = 1

    def _why_broken(self, page: Page) -> str:
        if self.page_size == 1:
            return "the service returns one item a page, so pages cannot overlap"
        first = tuple(item.key for item in self._chain[0].items)
        if page.offset and first and tuple(item.key for item in page.items) == first:
            return "the service returns the first page for every offset"
        if not page.items:
            return f"the page at offset {page.offset} stayed empty"
        return f"the pages around offset {page.offset} did not fit together after {self._repairs} repairs"

    def _note_order(self, page: Page) -> None:
        """Detect a service without a stable order: the same ids at one offset in another order."""
        first = self._first_answers.setdefault(page.offset, page.items)
        if first is page.items or len(first) != len(page.items):
            return
        order, before = [item.key for item in page.items], [item.key for item in first]
        if order != before and set(order) == set(before):
            self.is_order_unstable = True

    def _give_up(self, why: str, unread_from: int | None = None) -> None:
        self.unread_from = unread_from
        self.result = PageChain(items=tuple(self._seen.values()), extras=(), proven=False, reason=why)

    def _finish(self) -> None:
        *_, last, _ = self._chain
        self.unread_from = last.offset + len(last.items)
        self.result = proven_chain(merge_pages(self._chain), self._seen)

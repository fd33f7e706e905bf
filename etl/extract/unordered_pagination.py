"""Pagination of a list without a stable order.

If the same offset returns the same ids in another order each time, no two pages can be joined. What remains is counting: a
pass that spans N positions and holds N different ids missed none, as long as the list had N entries all along. Two such
passes in a row with the same set replace the joined pages. A list of several pages that is shuffled for each request almost
never achieves that; such a read stays unproven and says so.
"""

from __future__ import annotations

from etl.extract.completeness import Key, PageChain
from etl.extract.pagination import PAGE_LIMIT, PageRequest
from etl.model.records import Item, Page

MAX_PASSES = 6
REASON = "the service returns the list in another order each time"


class UnorderedPagination:
    """One read in progress, one request at a time; the same methods as `pagination.Pagination`."""

    def __init__(self, *, limit: int = PAGE_LIMIT, max_requests: int = 1_000) -> None:
        self.result: PageChain | None = None
        self.unread_from: int | None = None
        self._limit = limit
        self._left = max_requests
        self._passes = 0
        self._chain: list[Page] = []
        self._is_waiting = False
        self._is_at_end = False
        self._before: frozenset[Key] | None = None
        self._seen: dict[Key, Item] = {}

    @property
    def pages(self) -> int:
        """The number of pages of the current pass."""
        return len(self._chain)

    @property
    def items_read(self) -> int:
        """The number of different items seen so far."""
        return len(self._seen)

    def next_requests(self) -> list[PageRequest]:
        """Return the request to send now; none while one is in flight."""
        if self.result is not None or self._is_waiting:
            return []
        if self._left == 0 or self._passes == MAX_PASSES:
            self._conclude(proven=False)
            return []
        self._left -= 1
        self._is_waiting = True
        return [PageRequest(self._frontier(), self._limit, self._passes)]

    def is_required(self, request: PageRequest) -> bool:
        """True if the read cannot continue without the answer to ``request``."""
        return self.result is None and request.generation == self._passes and not self._is_at_end

    def skip(self, request: PageRequest) -> None:
        """Continue without the answer to ``request``: a service may refuse requests past the end."""
        self._is_waiting = False
        if self._is_at_end:
            self._close(is_whole=True)

    def refuse(self, request: PageRequest, why: str) -> None:
        """End the read: the service refuses a page that it cannot continue without."""
        self.unread_from = request.offset + self._limit
        self._conclude(proven=False)

    def feed(self, request: PageRequest, page: Page) -> None:
        """Add the answer to ``request``."""
        self._is_waiting = False
        for item in page.items:
            self._seen.setdefault(item.key, item)
        if self._is_at_end:
            self._close(is_whole=not page.items)
        elif len(page.items) == 1 and self._chain:
            self._is_at_end = page.items[0].key in {item.key for each in self._chain for item in each.items}
            if not self._is_at_end:
                self._close(is_whole=False)
        elif not page.items:
            self._close(is_whole=False)
        else:
            self._chain.append(page)

    def _frontier(self) -> int:
        return self._positions() - 1 + self._is_at_end if self._chain else 0

    def _positions(self) -> int:
        return self._chain[-1].offset + len(self._chain[-1].items)

    def _close(self, *, is_whole: bool) -> None:
        """End one pass; it counts if it holds as many different ids as positions."""
        positions = self._positions() if self._chain else 0
        keys = frozenset(item.key for page in self._chain for item in page.items)
        counts = is_whole and len(keys) == positions
        if counts and keys == self._before:
            self._conclude(proven=True)
            return
        self._before = keys if counts else None
        self._passes += 1
        self._chain = []
        self._is_at_end = False

    def _conclude(self, *, proven: bool) -> None:
        listed = {item.key: item for page in self._chain for item in page.items} if proven else self._seen
        self.result = PageChain(
            items=tuple(listed.values()),
            extras=tuple(item for key, item in self._seen.items() if key not in listed),
            proven=proven,
            reason="" if proven else REASON,
            is_ordered=False,
        )

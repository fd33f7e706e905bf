"""The walk over a list without a stable order.

Where the same offset gives the same ids in another order each time, no two pages can be joined. What is left is counting:
a reading that spans N positions and holds N different ids missed none, as long as the list had N entries all along; two such
readings in a row with the same set take the place of the joined pages. Over more than one page of
a list that is shuffled for each request this all but never happens: such a walk stays partial, and says so.
"""

from __future__ import annotations

from etl.extract.completeness import Key
from etl.extract.pagination import PAGE_LIMIT, PageRequest, Verdict
from etl.model.records import Item, Page

MAX_READINGS = 6
REASON = "the service gives the list in another order each time"


class UnorderedPagination:
    """One reading in progress, one ask at a time; the same calls as `etl.extract.pagination.Pagination`."""

    def __init__(self, *, limit: int = PAGE_LIMIT, max_requests: int = 1_000) -> None:
        self.verdict: Verdict | None = None
        self._limit = limit
        self._left = max_requests
        self._readings = 0
        self._chain: list[Page] = []
        self._is_waiting = False
        self._is_at_end = False
        self._before: frozenset[Key] | None = None
        self._seen: dict[Key, Item] = {}

    @property
    def pages(self) -> int:
        """Count the pages of the reading under way."""
        return len(self._chain)

    @property
    def items_read(self) -> int:
        """Count the different items seen so far."""
        return len(self._seen)

    def next_requests(self) -> list[PageRequest]:
        """Return the one ask to send now, unless it is under way."""
        if self.verdict is not None or self._is_waiting:
            return []
        if self._left == 0 or self._readings == MAX_READINGS:
            self._conclude(proven=False)
            return []
        self._left -= 1
        self._is_waiting = True
        return [PageRequest(self._frontier(), self._limit, self._readings)]

    def is_required(self, ask: PageRequest) -> bool:
        """Say whether the reading cannot go on without the answer to ``ask``."""
        return self.verdict is None and ask.generation == self._readings and not self._is_at_end

    def skip(self, ask: PageRequest) -> None:
        """Go on without the answer to ``ask``: past the end of a list the service may well refuse."""
        self._is_waiting = False
        if self._is_at_end:
            self._close(is_whole=True)

    def feed(self, ask: PageRequest, page: Page) -> None:
        """Take the answer to ``ask``."""
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
        """End one reading; it counts where it holds as many different ids as positions."""
        positions = self._positions() if self._chain else 0
        keys = frozenset(item.key for page in self._chain for item in page.items)
        counts = is_whole and len(keys) == positions
        if counts and keys == self._before:
            self._conclude(proven=True)
            return
        self._before = keys if counts else None
        self._readings += 1
        self._chain = []
        self._is_at_end = False

    def _conclude(self, *, proven: bool) -> None:
        listed = {item.key: item for page in self._chain for item in page.items} if proven else self._seen
        self.verdict = Verdict(
            items=tuple(listed.values()),
            extras=tuple(item for key, item in self._seen.items() if key not in listed),
            proven=proven,
            reason="" if proven else REASON,
            is_ordered=False,
        )

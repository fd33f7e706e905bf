"""Reads on where a pagination has ended, over pages that are empty or refused, until nothing new arrives.

It proves nothing. If a proof is out of reach, it finds what is added all the same. If a proven list is shorter than expected, or
confirms such a one, it looks for items at the end and behind it: a service that hides more rows than a page holds, or that
falsely answers with an empty page, shows an end where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from etl.extract.completeness import Key, PageChain
from etl.extract.pagination import MAX_REQUESTS, PAGE_LIMIT, PageRequest
from etl.model.records import Item, Page

MAX_USELESS_ANSWERS = 3
HIDDEN_END = "the list goes on behind rows that the service hides"


@dataclass(frozen=True)
class RemainderOptions:
    """``hop``: rows to step over a page without items. ``is_needed``: an error that is no refusal ends the run.

    The read ends after ``max_useless`` answers in a row that are empty, refused, or repeat its own pages.
    """

    hop: int = PAGE_LIMIT
    max_useless: int = MAX_USELESS_ANSWERS
    max_requests: int = MAX_REQUESTS
    is_needed: bool = True


class Remainder:
    """One read in progress, one request at a time; the same methods as `pagination.Pagination`.

    ``offset``: the first to request. ``earlier``: the read so far.
    """

    def __init__(self, offset: int, earlier: PageChain, options: RemainderOptions) -> None:
        self.result: PageChain | None = None
        self._offset = offset
        self._options = options
        self._reason = earlier.reason or HIDDEN_END
        self._left = options.max_requests
        self._useless = 0
        self._is_waiting = False
        self._seen: dict[Key, Item] = {item.key: item for item in earlier.seen}
        self._read: set[Key] = set()

    @property
    def items_read(self) -> int:
        """The number of different items seen so far, earlier ones included."""
        return len(self._seen)

    def next_requests(self) -> list[PageRequest]:
        """Return the request to send now; none while one is in flight."""
        if self.result is not None or self._is_waiting:
            return []
        if self._left <= 0 or self._useless == self._options.max_useless:
            self.result = PageChain(items=tuple(self._seen.values()), extras=(), proven=False, reason=self._reason)
            return []
        self._left -= 1
        self._is_waiting = True
        return [PageRequest(self._offset, PAGE_LIMIT, 0)]

    def is_required(self, request: PageRequest) -> bool:
        """True if an error that is no refusal ends the run."""
        return self._options.is_needed

    def refuse(self, request: PageRequest, why: str) -> None:
        """Continue behind a page that the service refuses."""
        self.skip(request)

    def skip(self, request: PageRequest) -> None:
        """Continue behind the page of ``request``."""
        self.feed(request, Page(request.offset, request.limit, ()))

    def feed(self, request: PageRequest, page: Page) -> None:
        """Add the answer to ``request``."""
        self._is_waiting = False
        keys = {item.key for item in page.items}
        self._useless = 0 if keys - self._read else self._useless + 1
        self._read |= keys
        for item in page.items:
            self._seen.setdefault(item.key, item)
        self._offset = request.offset + (max(1, len(page.items) - 1) if page.items else self._options.hop)

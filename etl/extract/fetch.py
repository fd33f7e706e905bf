"""Fetches the pages that a pagination requests, several at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from queue import SimpleQueue

from msgspec.structs import replace

from etl import clock, logs
from etl.errors import FavsyncError
from etl.extract.completeness import PageChain
from etl.extract.pagination import PAGE_LIMIT, PageRequest, Pagination
from etl.extract.unordered_pagination import UnorderedPagination
from etl.model.records import Page

FetchPage = Callable[[int, int], Page]
Progress = Callable[[int], None]


def read_list(
    fetch: FetchPage,
    *,
    concurrency: int = 4,
    expected: int = 0,
    limits: tuple[int, int] = (PAGE_LIMIT, PAGE_LIMIT),
    now: Callable[[], datetime] = clock.now,
    progress: Progress | None = None,
) -> PageChain:
    """Read the whole list once and return the chain of pages, proven complete or not.

    ``fetch(offset, limit)`` returns one page; ``concurrency`` threads call it. ``expected``: a guess at the length of the
    list, in items. ``limits``: sizes of the first page and of the others. ``progress`` receives the number of items read.

    Raises: what ``fetch`` raises for a page that the read cannot do without.
    """
    started_at = now()
    ordered = Pagination(first_limit=limits[0], limit=limits[1], concurrency=concurrency, expected=expected)
    chain = _fetch_all(ordered, fetch, concurrency, progress)
    pages, page_size, total = ordered.pages, ordered.page_size, ordered.total
    if not chain.proven and ordered.is_order_unstable:
        unordered = UnorderedPagination()
        chain = _with_seen(_fetch_all(unordered, fetch, 1, progress), chain)
        pages += unordered.pages
    return replace(chain, pages=pages, page_size=page_size, total=total, started_at=started_at, ended_at=now())


def _fetch_all(
    pagination: Pagination | UnorderedPagination, fetch: FetchPage, concurrency: int, progress: Progress | None
) -> PageChain:
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="favsync-page")
    in_flight: dict[Future[Page], PageRequest] = {}
    answers: SimpleQueue[Future[Page]] = SimpleQueue()  # waiting for any of several futures costs as much as a request
    fetch_with_context = logs.with_context(fetch)
    try:
        while True:
            requests = pagination.next_requests()
            if pagination.result is not None:
                return pagination.result
            for request in requests:
                future = pool.submit(fetch_with_context, request.offset, request.limit)
                in_flight[future] = request
                future.add_done_callback(answers.put)
            answered = answers.get()
            request = in_flight.pop(answered)
            try:
                page = answered.result()
            except FavsyncError:
                if pagination.is_required(request):
                    raise
                pagination.skip(request)
            else:
                pagination.feed(request, page)
            if progress is not None:
                progress(pagination.items_read)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _with_seen(chain: PageChain, earlier: PageChain) -> PageChain:
    """Return ``chain``, which decides what the list is, with what ``earlier`` saw beside it as extras."""
    keys = {item.key for item in chain.seen}
    return replace(chain, extras=chain.extras + tuple(item for item in earlier.seen if item.key not in keys))

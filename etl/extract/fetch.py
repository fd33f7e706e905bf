"""Carrying out a walk: sends what `etl.extract.pagination` asks for, several pages at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from queue import SimpleQueue

from etl import clock, logs
from etl.errors import FavsyncError
from etl.extract.pagination import PageRequest, Pagination, Verdict
from etl.extract.unordered_pagination import UnorderedPagination
from etl.model.records import Page, Walk

Fetch = Callable[[int, int], Page]
Progress = Callable[[int], None]


def read_list(
    fetch: Fetch,
    *,
    concurrency: int = 4,
    expected: int = 0,
    now: Callable[[], datetime] = clock.now,
    progress: Progress | None = None,
) -> Walk:
    """Read the whole list once and return the walk, proven or not.

    ``fetch(offset, limit)`` answers one page and is called from ``concurrency`` threads. ``expected`` is a guess at the
    length of the list, in items. ``progress`` is told the number of items read so far.

    Raises: whatever ``fetch`` raises for a page that the walk cannot do without.
    """
    started_at = now()
    reading: Pagination | UnorderedPagination = Pagination(concurrency=concurrency, expected=expected)
    verdict = _read(reading, fetch, concurrency, progress)
    pages = reading.pages
    if not verdict.proven and isinstance(reading, Pagination) and reading.is_order_unstable:
        reading = UnorderedPagination()
        verdict = _joined(verdict, _read(reading, fetch, 1, progress))
        pages += reading.pages
    return Walk(
        items=verdict.items,
        extras=verdict.extras,
        proven=verdict.proven,
        reason=verdict.reason,
        is_ordered=verdict.is_ordered,
        started_at=started_at,
        ended_at=now(),
        pages=pages,
    )


def _read(
    reading: Pagination | UnorderedPagination, fetch: Fetch, concurrency: int, progress: Progress | None
) -> Verdict:
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="favsync-page")
    under_way: dict[Future[Page], PageRequest] = {}
    answers: SimpleQueue[Future[Page]] = SimpleQueue()  # waiting for any of several futures costs as much as a request
    carried_fetch = logs.with_context(fetch)
    try:
        while True:
            asks = reading.next_requests()
            if reading.verdict is not None:
                return reading.verdict
            for ask in asks:
                future = pool.submit(carried_fetch, ask.offset, ask.limit)
                under_way[future] = ask
                future.add_done_callback(answers.put)
            answered = answers.get()
            _give(reading, under_way.pop(answered), answered)
            if progress is not None:
                progress(reading.items_read)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _give(reading: Pagination | UnorderedPagination, ask: PageRequest, answered: Future[Page]) -> None:
    try:
        page = answered.result()
    except FavsyncError:
        if reading.is_required(ask):
            raise
        reading.skip(ask)
    else:
        reading.feed(ask, page)


def _joined(first: Verdict, second: Verdict) -> Verdict:
    """Keep what the first reading saw as seen; the second one's word on the list stands."""
    listed = {item.key for item in (*second.items, *second.extras)}
    missing = tuple(item for item in (*first.items, *first.extras) if item.key not in listed)
    return Verdict(
        items=second.items,
        extras=second.extras + missing,
        proven=second.proven,
        reason=second.reason,
        is_ordered=second.is_ordered,
    )

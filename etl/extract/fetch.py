"""Fetches the pages that a pagination requests, several at a time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Protocol

import msgspec
from msgspec.structs import replace

from etl import clock, logs
from etl.errors import ApiRefused, ApiUnreachable, FavsyncError, PayloadError, Stopped
from etl.extract.completeness import PageChain
from etl.extract.filtered_pagination import FilteredPagination
from etl.extract.pagination import MAX_REQUESTS, PAGE_LIMIT, PageRequest, Pagination
from etl.extract.remainder import MAX_USELESS_ANSWERS, Remainder, RemainderOptions
from etl.extract.unordered_pagination import UnorderedPagination
from etl.model.records import Page

FetchPage = Callable[[int, int], Page]
Progress = Callable[[int], None]
# Errors about one page. Those about the token, the network or a postponed request end the run.
REFUSALS = (ApiRefused, PayloadError)
POLL_SECONDS = 0.25


class ReadOptions(msgspec.Struct, frozen=True):
    """How to read a list.

    ``concurrency``: threads that fetch. ``expected``: a guess at the length of the list, in items. ``limits``: sizes of the
    first page and of the others. ``is_confirming``: the read confirms another one, so it requests the end once more.
    ``answer_within_seconds``: the longest wait for an answer, None for no limit. ``progress`` receives the number of items
    read. ``is_stopped`` is asked every 0.25 s while an answer is awaited.
    """

    concurrency: int = 4
    expected: int = 0
    limits: tuple[int, int] = (PAGE_LIMIT, PAGE_LIMIT)
    is_confirming: bool = False
    answer_within_seconds: float | None = None
    progress: Progress | None = None
    is_stopped: Callable[[], bool] | None = None


class Reading(Protocol):
    """One read in progress: send `next_requests` and pass on each answer, until ``result`` is set."""

    result: PageChain | None

    @property
    def items_read(self) -> int:
        """The number of different items seen so far."""
        ...

    def next_requests(self) -> list[PageRequest]:
        """Return the requests to send now, beside those in flight."""
        ...

    def is_required(self, request: PageRequest) -> bool:
        """True if the read cannot continue without the answer to ``request``."""
        ...

    def feed(self, request: PageRequest, page: Page) -> None:
        """Add the answer to ``request``."""
        ...

    def skip(self, request: PageRequest) -> None:
        """Continue without the answer to ``request``, which is not required."""
        ...

    def refuse(self, request: PageRequest, why: str) -> None:
        """Take note that the service refuses a required page."""
        ...


def read_list(fetch: FetchPage, options: ReadOptions, *, now: Callable[[], datetime] | None = None) -> PageChain:
    """Read the whole list once and return the chain of pages, proven complete or not.

    ``fetch(offset, limit)`` returns one page; several threads call it. A list that cannot be proven is read to its end all
    the same.

    Raises: what ``fetch`` raises, except for a refusal after the first page; ApiUnreachable, if a call does not return, or
    the read is stopped.
    """
    now = now or clock.now  # looked up here, so that tests can set the clock
    started_at = now()
    chain = read_with(lambda reading: _fetch_all(reading, fetch, options), options)
    return replace(chain, started_at=started_at, ended_at=now())


def read_with(carry_out: Callable[[Reading], PageChain], options: ReadOptions) -> PageChain:
    """Read the list by the pagination that suits the service. ``carry_out`` sends the requests of one to its end."""
    first_limit, limit = options.limits
    ordered = Pagination(
        first_limit=first_limit, limit=limit, concurrency=options.concurrency, expected=options.expected
    )
    chain = carry_out(ordered)
    pages, unread_from = ordered.pages, ordered.unread_from
    if not chain.proven and ordered.is_order_unstable:
        unordered = UnorderedPagination()
        chain = _with_seen(carry_out(unordered), chain)
        pages, unread_from = pages + unordered.pages, unordered.unread_from
    elif ordered.has_hidden_rows:
        filtered = FilteredPagination(limit=limit, first_limit=first_limit, max_requests=MAX_REQUESTS)
        reason, chain = chain.reason, _with_seen(carry_out(filtered), chain)
        pages, unread_from = filtered.pages, filtered.unread_from
        chain = chain if chain.proven else replace(chain, reason=reason)
    shortfall = options.expected - len(chain.items)
    if unread_from is None:
        pass
    elif not chain.proven:
        left = RemainderOptions(max_requests=MAX_REQUESTS - ordered.requests)
        chain = carry_out(Remainder(unread_from, chain, left))
    elif shortfall > 0 or options.is_confirming:
        hop = ordered.page_size or limit
        probes = 1 + min(MAX_USELESS_ANSWERS, -(-max(0, shortfall) // hop))
        probing = RemainderOptions(hop=hop, max_useless=probes, is_needed=False)
        behind = carry_out(Remainder(unread_from, chain, probing))
        chain = behind if len(behind.items) > len(chain.seen) else chain
    total = ordered.total if ordered.total is not None and ordered.total >= len(chain.seen) else None
    return replace(chain, pages=pages, page_size=ordered.page_size, total=total)


def _fetch_all(reading: Reading, fetch: FetchPage, options: ReadOptions) -> PageChain:
    workers = _Workers(logs.with_context(fetch), options.concurrency)
    try:
        while True:
            requests = reading.next_requests()
            if reading.result is not None:
                return reading.result
            workers.send(requests)
            _take_answer(reading, *workers.next_answer(options.answer_within_seconds, options.is_stopped))
            if options.progress is not None:
                options.progress(reading.items_read)
    finally:
        workers.end()


class _Workers:
    """Threads that fetch pages. They are daemons: an executor keeps the process alive until its last request ends."""

    def __init__(self, fetch: FetchPage, count: int) -> None:
        self._fetch = fetch
        self._count = count
        self._requests: SimpleQueue[PageRequest | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[PageRequest, Page | BaseException]] = SimpleQueue()
        for _ in range(count):
            threading.Thread(target=self._work, name="favsync-page", daemon=True).start()

    def send(self, requests: Iterable[PageRequest]) -> None:
        """Let the threads fetch these pages."""
        for request in requests:
            self._requests.put(request)

    def next_answer(
        self, within_seconds: float | None, is_stopped: Callable[[], bool] | None
    ) -> tuple[PageRequest, Page | BaseException]:
        """Return the next page, or the error in its place.

        Raises: Stopped, if the read is stopped; ApiUnreachable, if no answer arrives in time: a server that drips its headers
        escapes the client's deadline.
        """
        end = math.inf if within_seconds is None else clock.monotonic() + within_seconds
        while is_stopped is None or not is_stopped():
            left = end - clock.monotonic()
            with suppress(Empty):
                return self._answers.get(timeout=min(max(left, 0.0), POLL_SECONDS))
            if left <= 0:
                message = f"favourite tracks: no request was answered within {within_seconds:g} s"
                raise ApiUnreachable(message, remedy="check the network, then try again later")
        raise Stopped("favourite tracks: stopped before there was an answer", remedy="run it again")

    def end(self) -> None:
        """Let each thread end after its current request, whose answer is ignored."""
        with suppress(Empty):
            while True:
                self._requests.get_nowait()
        for _ in range(self._count):
            self._requests.put(None)

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            try:
                self._answers.put((request, self._fetch(request.offset, request.limit)))
            except BaseException as error:  # noqa: BLE001 # it is raised by the thread that reads
                self._answers.put((request, error))


def _take_answer(reading: Reading, request: PageRequest, answer: Page | BaseException) -> None:
    if isinstance(answer, Page):
        reading.feed(request, answer)
    elif not isinstance(answer, FavsyncError):
        raise answer
    elif not reading.is_required(request):
        reading.skip(request)
    elif isinstance(answer, REFUSALS) and reading.items_read:
        reading.refuse(request, str(answer))
    else:
        raise answer


def _with_seen(chain: PageChain, earlier: PageChain) -> PageChain:
    """Return ``chain``, which decides what the list is, with what ``earlier`` saw beside it as extras."""
    keys = {item.key for item in chain.seen}
    return replace(chain, extras=chain.extras + tuple(item for item in earlier.seen if item.key not in keys))

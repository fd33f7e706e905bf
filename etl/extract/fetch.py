"""Fetches the pages that a pagination requests, several at a time."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
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
    workers = _Workers(reading, fetch, options)
    try:
        return workers.run()
    finally:
        workers.end()


class _Workers:
    """Threads that fetch pages. Each passes its answers on to the read, one thread at a time, and takes the next request itself.

    They are daemons: an executor keeps the process alive until its last request ends.
    """

    def __init__(self, reading: Reading, fetch: FetchPage, options: ReadOptions) -> None:
        self._reading = reading
        self._fetch = fetch
        self._options = options
        lock = threading.Lock()  # of the read and of all below
        self._has_request, self._has_ended = threading.Condition(lock), threading.Condition(lock)
        self._requests: deque[PageRequest] = deque()
        self._answers = 0
        self._result: PageChain | BaseException | None = None
        self._is_ended = False

    def run(self) -> PageChain:
        """Send the requests and return the chain of pages.

        Raises: what ends the read; Stopped, if it is stopped; ApiUnreachable, if no answer arrives in time: a server that drips
        its headers escapes the client's deadline.
        """
        work = logs.with_context(self._work)
        for _ in range(self._options.concurrency):
            threading.Thread(target=work, name="favsync-page", daemon=True).start()
        within_seconds, is_stopped = self._options.answer_within_seconds, self._options.is_stopped
        answers, end = -1, math.inf
        with self._has_ended:
            self._plan()
            while self._result is None:
                if is_stopped is not None and is_stopped():
                    raise Stopped("favourite tracks: stopped before there was an answer", remedy="run it again")
                if within_seconds is not None and answers < self._answers:
                    answers, end = self._answers, clock.monotonic() + within_seconds
                if (left := end - clock.monotonic()) <= 0:
                    message = f"favourite tracks: no request was answered within {within_seconds:g} s"
                    raise ApiUnreachable(message, remedy="check the network, then try again later")
                self._has_ended.wait(min(left, POLL_SECONDS))
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def end(self) -> None:
        """Let each thread end after its current request, whose answer is ignored."""
        with self._has_request:
            self._is_ended = True
            self._has_request.notify_all()

    def _plan(self) -> None:
        """Queue the next requests, or take note that the read has ended. Under the lock."""
        requests = self._reading.next_requests()
        self._result = self._reading.result
        self._requests.extend(requests)
        self._has_request.notify(len(requests))

    def _work(self) -> None:
        while (request := self._next_request()) is not None:
            answer: Page | BaseException
            try:
                answer = self._fetch(request.offset, request.limit)
            except BaseException as error:  # noqa: BLE001 # it is raised by the thread that reads
                answer = error
            self._pass_on(request, answer)

    def _next_request(self) -> PageRequest | None:
        with self._has_request:
            self._has_request.wait_for(lambda: self._requests or self._is_ended)
            return None if self._is_ended else self._requests.popleft()

    def _pass_on(self, request: PageRequest, answer: Page | BaseException) -> None:
        with self._has_ended:
            if self._is_ended:
                return
            self._answers += 1
            try:
                _take_answer(self._reading, request, answer)
                self._plan()
                if self._options.progress is not None:
                    self._options.progress(self._reading.items_read)
            except BaseException as error:  # noqa: BLE001 # it is raised by the thread that reads
                self._result = error
            if self._result is not None:
                self._is_ended = True
                self._has_ended.notify()


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

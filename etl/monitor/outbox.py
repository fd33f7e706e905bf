"""Background delivery of HTTP posts to a secret address.

Invariants: the caller of `Outbox.put` never waits and never fails; no message contains the address; redirects are not followed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Final, Generic, TypeVar
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from etl import __version__, logs
from etl.errors import FavsyncError

TIMEOUT_SECONDS: float | None = 10.0
"""For a post, and for the last deliveries when an outbox is closed. None: no limit."""
TRIES: Final = 2
CAPACITY: Final = 1_000
T = TypeVar("T")
log = logs.get(__name__)


class Outbox(Generic[T]):
    """A queue whose items are delivered one at a time by a thread. Items are dropped while the queue is full.

    ``failed``: the log event of a failed delivery; only the first failure in a row is logged. ``dropped``: of a dropped item.
    """

    def __init__(self, name: str, deliver: Callable[[T], None], *, failed: str, dropped: str) -> None:
        self._deliver = deliver
        self._failed = failed
        self._dropped = dropped
        self._queue: queue.Queue[T | None] = queue.Queue(CAPACITY)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Queue ``item`` for delivery."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            log.debug(self._dropped)

    def close(self) -> None:
        """Deliver the queued items, for at most `TIMEOUT_SECONDS`."""
        with suppress(queue.Full):
            self._queue.put(None, timeout=TIMEOUT_SECONDS)
        self._thread.join(TIMEOUT_SECONDS)

    def _run(self) -> None:
        is_failing = False
        while (item := self._queue.get()) is not None:
            try:
                self._deliver(item)
                is_failing = False
            except (OSError, FavsyncError) as error:
                if not is_failing:
                    log.warning(self._failed, error=describe(error))
                is_failing = True
            except Exception:  # a bug in one delivery must not end the thread
                log.exception(self._failed)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Refuse the redirect: it would send the content to another address."""


def post(url: str, body: bytes, content_type: str | None = None) -> None:
    """POST ``body`` to ``url``, twice if the connection fails or the status is 5xx. The settings allow http and https only.

    Raises: OSError.
    """
    headers = {"User-Agent": f"favsync/{__version__}"} | ({"Content-Type": content_type} if content_type else {})
    request = Request(url, data=body, headers=headers)  # noqa: S310
    opener = build_opener(_NoRedirect)
    for is_last in (attempt == TRIES for attempt in range(1, TRIES + 1)):
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS):
                return
        except OSError as error:
            is_refused = isinstance(error, HTTPError) and error.code < 500
            if is_refused or is_last:
                raise
        except (HTTPException, UnicodeError) as error:  # their texts and causes may contain the address
            if is_last:
                what = "invalid host name" if isinstance(error, UnicodeError) else "invalid HTTP response"
                raise OSError(f"{what}: {type(error).__name__}") from None


def describe(error: OSError | FavsyncError) -> str:
    """Return a description of the error without the address."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    return str(error) if isinstance(error, FavsyncError) else type(getattr(error, "reason", error)).__name__

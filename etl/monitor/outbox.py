"""Posting to an address that is a secret, from a thread of its own.

Invariants: whoever puts something in an `Outbox` never waits and never fails; an address is in no message; no redirect is
followed, since it would take what is posted elsewhere.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Generic, TypeVar
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from etl import __version__, logs
from etl.errors import FavsyncError

TIMEOUT_SECONDS = 10.0
TRIES = 2
ROOM = 1_000
T = TypeVar("T")
log = logs.get(__name__)


class Outbox(Generic[T]):
    """Delivers what is put into it, one at a time; drops what would pile up. Close it to deliver the last ones.

    ``trouble``: what is said, once, when deliveries begin to fail. ``full``: what is said when something is dropped.
    """

    def __init__(self, name: str, deliver: Callable[[T], None], *, trouble: str, full: str) -> None:
        self._deliver = deliver
        self._trouble = trouble
        self._full = full
        self._waiting: queue.Queue[T | None] = queue.Queue(ROOM)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, each: T) -> None:
        """Have ``each`` delivered when its turn comes."""
        try:
            self._waiting.put_nowait(each)
        except queue.Full:
            log.debug(self._full)

    def close(self, seconds: float = TIMEOUT_SECONDS) -> None:
        """Deliver what waits, at most so long."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(seconds)

    def _work(self) -> None:
        is_silent = False
        while (each := self._waiting.get()) is not None:
            try:
                self._deliver(each)
                is_silent = False
            except (OSError, FavsyncError) as error:
                if not is_silent:
                    log.warning(self._trouble, error=describe(error))
                is_silent = True
            except Exception:
                log.exception(self._trouble)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Follow nothing: the address is a secret, and a receiver has no reason to send us elsewhere."""


def post(url: str, body: bytes, content_type: str | None = None) -> None:
    """POST ``body`` to ``url``, which the settings have checked to be http or https; once more if the other end stumbles.

    Raises: OSError.
    """
    headers = {"User-Agent": f"favsync/{__version__}"} | ({"Content-Type": content_type} if content_type else {})
    request = Request(url, data=body, headers=headers)  # noqa: S310
    opener = build_opener(_NoRedirect)
    for tries_left in reversed(range(TRIES)):
        try:
            _send(opener, request)
        except OSError as error:
            is_final = isinstance(error, HTTPError) and error.code < 500
            if is_final or not tries_left:
                raise
        else:
            return


def _send(opener: OpenerDirector, request: Request) -> None:
    """Send once. What is no OSError of its own becomes one without a cause, which might quote the address."""
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except HTTPException as error:
        words = f"no HTTP answer: {type(error).__name__}"
    except UnicodeError:
        words = "no host can have that name"
    raise OSError(words)


def describe(error: OSError | FavsyncError) -> str:
    """Return what went wrong in words without an address."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    return str(error) if isinstance(error, FavsyncError) else type(getattr(error, "reason", error)).__name__

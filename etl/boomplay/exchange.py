"""One attempt at one request: the only place that sends.

No `httpx.Client`: that leaves out what must not happen here anyway: redirects that carry the token, credentials from the
URL or from ``.netrc`` that replace ``Authorization``, cookies, a log line for each page. The environment's proxies and CA
files count, as operators expect (`address.proxy_for`, `httpx.create_ssl_context`).

Invariants: whatever the network or the service does is returned, not raised; no exception of httpcore leaves, not even
as a cause, since its frames hold the headers, and with them the token.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from dataclasses import dataclass, field

import httpcore

from etl.boomplay.address import Address, named_host
from etl.boomplay.connections import BROKEN, CONNECT_SECONDS, Connections, RawResponse
from etl.boomplay.guard import Deadline
from etl.boomplay.redact import one_line
from etl.boomplay.retry import Failure, FailureKind
from etl.boomplay.waiting import CancelToken

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 3
MAX_REFUSAL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the service. ``place`` names it for people; with a ``body`` (JSON) it is a POST, else a GET.

    ``secrets``: what the body holds that no message may repeat, should the service echo it.
    """

    place: str
    path: str
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "POST" if self.body else "GET"

    def __str__(self) -> str:
        return f"{self.place}: {self.method} {one_line(self.path)}"


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. ``body`` is cut short where the status says that it is no success."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = field(default=None, repr=False)
    location: str | None = field(default=None, repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


class Transport:
    """The connections to one service; safe to share between threads."""

    def __init__(
        self, address: Address, *, timeout_seconds: float, max_body_bytes: int, max_connections: int, halt: CancelToken
    ) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        self._guard = Deadline(halt)
        self._connections = Connections(
            address.origin, pool_seconds=timeout_seconds, max_connections=max_connections, guard=self._guard
        )
        self._lock = threading.Lock()
        self._statuses: Counter[str] = Counter()

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def statuses(self) -> dict[str, int]:
        """Return how many requests were sent, by status; ``none`` for those without an answer."""
        with self._lock:
            return dict(self._statuses)

    def send(self, call: Request, headers: dict[str, str]) -> Response | Failure:
        """Send, following redirects within the service, and return what came of it."""
        target = self._address.target(call.path, call.query)
        for _ in range(MAX_REDIRECTS + 1):
            outcome = self._send_once(call, target, headers)
            if isinstance(outcome, Failure) or outcome.status not in REDIRECTS or outcome.location is None:
                return outcome
            followed = self._address.redirected(target, outcome.location) if call.method == "GET" else None
            if followed is None:
                host = named_host(self._address.origin + target, outcome.location) or "nowhere"
                return Failure(
                    FailureKind.REDIRECTED, f"{call}: redirected to {host}, which is not followed", outcome.status
                )
            target = followed
        return Failure(FailureKind.REDIRECTED, f"{call}: more than {MAX_REDIRECTS} redirects", outcome.status)

    def _send_once(self, call: Request, target: str, headers: dict[str, str]) -> Response | Failure:
        outcome = self._attempt(call, target, headers)
        status = outcome.status
        with self._lock:
            self._statuses["none" if status is None else str(status)] += 1
        return outcome

    def _attempt(self, call: Request, target: str, headers: dict[str, str]) -> Response | Failure:
        self._guard.begin(self._timeout_seconds)
        try:
            reply = self._connections.ask(call.method, target, headers, call.body)
            try:
                return self._answer(call, reply)
            finally:
                reply.close()
        except (*BROKEN, UnicodeError, zlib.error) as error:  # UnicodeError: no possible host name
            return self._failure(call, error)

    def _answer(self, call: Request, reply: RawResponse) -> Response | Failure:
        is_success = 200 <= reply.status < 300
        limit = self._max_body_bytes if is_success else MAX_REFUSAL_BYTES
        body = _body(reply, limit)
        if body is None and is_success:
            return Failure(FailureKind.UNREADABLE, f"{call}: the answer is larger than {limit:,} bytes", reply.status)
        return Response(reply.status, body or b"", reply.header("retry-after"), reply.header("location"))

    def _failure(self, call: Request, error: Exception) -> Failure:
        words = one_line(str(error))
        if isinstance(error, httpcore.ConnectTimeout):
            return Failure(FailureKind.NETWORK, f"{call}: no connection within {CONNECT_SECONDS:g} s")
        if isinstance(error, httpcore.TimeoutException):
            return Failure(FailureKind.NETWORK, f"{call}: no complete answer within {self._timeout_seconds:g} s")
        if isinstance(error, httpcore.ConnectError | httpcore.ProxyError):
            kind = FailureKind.UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in words else FailureKind.NETWORK
            return Failure(kind, f"{call}: no connection: {words}")
        if isinstance(error, httpcore.LocalProtocolError):
            words = "the request cannot be sent"  # the original quotes the header, and with it the token
        return Failure(FailureKind.NETWORK, f"{call}: the connection broke: {words}")


def _body(reply: RawResponse, limit: int) -> bytes | None:
    """Return the body, unpacked; None where it is larger than the limit.

    Unpacks a piece at a time, and never more than the limit: a packed megabyte may hold a gigabyte.

    Raises: one of `BROKEN`, zlib.error.
    """
    declared = reply.header("content-length") or ""
    if declared.isdigit() and int(declared) > limit:
        return None
    unpacker = _unpacker(reply)
    chunks = []
    room = limit
    for chunk in reply.chunks():
        plain = chunk if unpacker is None else unpacker.decompress(chunk, room + 1)
        chunks.append(plain)
        room -= len(plain)
        if room < 0:
            return None
    if unpacker is not None and chunks and not unpacker.eof:
        raise zlib.error("the packed body is cut short")
    return b"".join(chunks)


def _unpacker(reply: RawResponse) -> zlib._Decompress | None:
    encoding = (reply.header("content-encoding") or "identity").strip().lower()
    if encoding == "identity":
        return None
    if encoding == "gzip":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    raise zlib.error("the body is packed in a way that was not asked for")

"""Sends one request to the service: the only module that uses httpx.

Whatever the network or the service does is returned, not raised. No exception of httpx leaves, not even as a cause: its
frames hold the headers, and with them the token.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

from etl.boomplay.address import Address, named_host
from etl.boomplay.redact import one_line
from etl.boomplay.retry import Failure, FailureClass, http_date
from etl.boomplay.waiting import Clock
from etl.errors import SettingsError

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 30.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 3
MAX_ERROR_BODY_BYTES = 64 * 1024
CODINGS = frozenset({"", "identity", "gzip"})
OFFSETS_KEPT = 101

for _name in ("httpx", "httpcore"):  # they log URLs and headers, where a service may echo a token
    logging.getLogger(_name).setLevel(logging.WARNING)

_clients: dict[str, httpx.Client] = {}
_clients_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``place`` names it in messages. With a ``body`` (JSON) it is a POST, else a GET.

    ``secrets``: parts of the body that no message may repeat, should the service echo them.
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
    """An answer of the service. ``body`` is empty if the status is an error and the body is unreadable or too large."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = field(default=None, repr=False)
    location: str | None = field(default=None, repr=False)

    @property
    def is_success(self) -> bool:
        """True if the status is 2xx."""
        return 200 <= self.status < 300


class RequestCounters:
    """Counts of the requests of one API client; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: Counter[str] = Counter()
        self._retries = 0
        self._offsets: deque[float] = deque(maxlen=OFFSETS_KEPT)

    @property
    def by_status(self) -> dict[str, int]:
        """Requests by HTTP status; ``none`` for those without an answer."""
        with self._lock:
            return dict(self._statuses)

    @property
    def retries(self) -> int:
        """Requests that follow a failed one."""
        return self._retries

    @property
    def clock_offset(self) -> float | None:
        """Median of the newest clock differences, in seconds; None without any."""
        with self._lock:
            offsets = sorted(self._offsets)
        return offsets[len(offsets) // 2] if offsets else None

    def add(self, status: int | None) -> None:
        """Count a request."""
        with self._lock:
            self._statuses["none" if status is None else str(status)] += 1

    def add_retry(self) -> None:
        """Count a retry."""
        with self._lock:
            self._retries += 1

    def add_date(self, date: str | None, now: datetime) -> None:
        """Record the ``Date`` header of an answer that arrived at ``now``; ignore an unreadable one."""
        if (instant := http_date(date)) is not None:
            with self._lock:
                self._offsets.append((instant - now).total_seconds())


def open_client(origin: str) -> httpx.Client:
    """Return a new client for one service (``scheme://host[:port]``).

    The environment's proxies and CA files apply to https only. Plain http reaches no other machine (`service_address`), and
    a proxy would read the token there.

    Raises: SettingsError, for an invalid host, proxy or CA file.
    """
    try:
        httpx.URL(origin)
    except httpx.InvalidURL:
        message = "the API's address is not a valid URL"
        raise SettingsError(message, remedy="check the host in BOOMPLAY_API_URL") from None
    is_https = origin.startswith("https:")
    with suppress(OSError, ImportError, ValueError, httpx.InvalidURL):
        return httpx.Client(
            # One context for all proxies; reading the CA file takes 25 ms, and plain http needs none.
            verify=httpx.create_ssl_context() if is_https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=is_https,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),  # the callers' threads bound the connections
        )
    raise SettingsError(  # outside of the handler: the cause may quote the proxy's password
        "the environment's proxy or CA file cannot be used", remedy="check HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
    )


def shared_client(origin: str) -> httpx.Client:
    """Return the one client of this process for a service, opened at its first use.

    Raises: SettingsError.
    """
    with _clients_lock:
        if origin not in _clients:
            _clients[origin] = open_client(origin)
        return _clients[origin]


def close_clients() -> None:
    """Close and forget the shared clients; the next one reads the environment anew."""
    with _clients_lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


class Transport:
    """Attempts at requests to one service; safe to share between threads.

    ``timeout_seconds`` limits one attempt with its redirects. httpx counts each read from the last byte on, so the deadline is
    also checked between the chunks of a body. Only a server that drips its *headers* can exceed twice this time.
    """

    def __init__(self, address: Address, *, timeout_seconds: float, max_body_bytes: int, clock: Clock) -> None:
        self.counters = RequestCounters()
        self._address = address
        self._client = shared_client(address.origin)
        self._headers: dict[str, str] = {}
        self._timeout_seconds = timeout_seconds
        self._timeout = httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
        self._max_body_bytes = max_body_bytes
        self._clock = clock

    @contextmanager
    def fresh(self) -> Iterator[Self]:
        """Yield a copy with connections of its own that asks caches for no stored answer. It counts its requests here."""
        other = copy(self)
        other._headers = {"Cache-Control": "no-cache"}
        with open_client(self._address.origin) as other._client:
            yield other

    def send(self, request: Request, headers: dict[str, str]) -> Response | Failure:
        """Send, follow redirects within the service, and return the outcome."""
        deadline = self._clock.monotonic() + self._timeout_seconds
        target = self._address.target(request.path, request.query)
        for _ in range(MAX_REDIRECTS + 1):
            outcome = self._send_once(request, target, {**headers, **self._headers}, deadline)
            self.counters.add(outcome.status)
            if isinstance(outcome, Failure) or outcome.status not in REDIRECTS or outcome.location is None:
                return outcome
            followed = self._address.redirected(target, outcome.location) if request.method == "GET" else None
            if followed is None:
                host = named_host(self._address.origin + target, outcome.location) or "nowhere"
                message = f"{request}: redirected to {host}, which is not followed"
                return Failure(message, FailureClass.REFUSED, outcome.status)
            if self._clock.monotonic() > deadline:
                return self._late(request)
            target = followed
        message = f"{request}: more than {MAX_REDIRECTS} redirects"
        return Failure(message, FailureClass.REFUSED, outcome.status)

    def _send_once(self, request: Request, target: str, headers: dict[str, str], deadline: float) -> Response | Failure:
        url = self._address.origin + target
        try:
            with self._client.stream(
                request.method,
                url,
                content=request.body or None,
                headers=headers,
                timeout=self._timeout,
                follow_redirects=False,  # httpx would send the app id to another host
            ) as answer:
                self.counters.add_date(answer.headers.get("date"), self._clock.now())
                return self._read(request, answer, deadline)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: an impossible host name
            return self._failure(request, error)

    def _read(self, request: Request, answer: httpx.Response, deadline: float) -> Response | Failure:
        status, headers = answer.status_code, answer.headers
        is_success = 200 <= status < 300
        coding = headers.get("content-encoding", "").strip().lower()
        is_known = coding in CODINGS  # httpx would return other codings as they are, or decode them without a bound
        if is_success and not is_known:
            message = f"{request}: the answer has the content coding {one_line(coding)!r}, which was not requested"
            return Failure(message, FailureClass.GARBLED, status)
        limit = self._max_body_bytes if is_success else MAX_ERROR_BODY_BYTES
        try:
            body = self._body(answer, limit, deadline) if is_known else None
        except httpx.DecodingError:
            if is_success:
                raise
            body = None  # the status of an error is enough
        if body is None and is_success:
            return Failure(f"{request}: the answer is larger than {limit:,} bytes", FailureClass.UNREADABLE, status)
        return Response(status, body or b"", headers.get("retry-after"), headers.get("location"))

    def _body(self, answer: httpx.Response, limit: int, deadline: float) -> bytes | None:
        """Return the unpacked body; None if it is larger than the limit.

        httpx unpacks a chunk of 64 KiB at a time, so a packed gigabyte takes 64 MiB at most before it is refused.

        Raises: httpx.HTTPError.
        """
        declared = answer.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            return None
        body = bytearray()
        for chunk in answer.iter_bytes():
            if len(body) + len(chunk) > limit:
                return None
            body += chunk
            if self._clock.monotonic() > deadline:
                raise httpx.ReadTimeout("the deadline has passed")
        return bytes(body)

    def _failure(self, request: Request, error: Exception) -> Failure:
        words = one_line(str(error))
        if isinstance(error, httpx.ConnectTimeout):
            return Failure(f"{request}: no connection within {self._timeout.connect:g} s", FailureClass.TRANSIENT)
        if isinstance(error, httpx.TimeoutException):
            return self._late(request)
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            cause = FailureClass.DOWN if "CERTIFICATE_VERIFY_FAILED" in words else FailureClass.TRANSIENT
            return Failure(f"{request}: no connection: {words}", cause)
        if isinstance(error, httpx.DecodingError):
            words = f"the content coding 'gzip' is broken: {words}"
        elif isinstance(error, httpx.LocalProtocolError):
            words = "the request cannot be sent"  # the original quotes the header, and with it the token
        return Failure(f"{request}: the connection broke: {words}", FailureClass.TRANSIENT)

    def _late(self, request: Request) -> Failure:
        return Failure(f"{request}: no complete answer within {self._timeout_seconds:g} s", FailureClass.TRANSIENT)

"""Sends one request to the service: the only module that uses httpx.

Whatever the network or the service does is returned, not raised. No exception of httpx leaves, not even as a cause: its
frames hold the headers, and with them the token. A redirect is followed only within the service's scheme, host and port.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

import httpx

from etl.boomplay.redact import one_line
from etl.boomplay.retry import Failure, FailureClass, http_date
from etl.boomplay.waiting import Clock
from etl.errors import SettingsError
from etl.setting_values import is_loopback

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 30.0
MAX_REDIRECTS = 3
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024
CODINGS = frozenset({"", "identity", "gzip"})
OFFSETS_KEPT = 101
ADDRESSES_KEPT = 256

for _name in ("httpx", "httpcore"):  # they log URLs and headers, where a service may echo a token
    logging.getLogger(_name).setLevel(logging.WARNING)

_clients: dict[str, httpx.Client] = {}
_clients_lock = threading.Lock()


class NoCookies(httpx.Cookies):
    """A jar that stays empty. httpx would build a request and a message of the standard library to fill one."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave the cookies of an answer where they are."""


class NoBody(httpx.SyncByteStream):
    """The body of a GET."""

    def __iter__(self) -> Iterator[bytes]:
        """Return nothing."""
        return iter(())


class CookielessClient(httpx.Client):
    """A client that keeps and sends no cookies: a session would tie accounts together."""

    cookies: Any = NoCookies()


@dataclass(frozen=True, slots=True)
class Request:
    """A GET, or with a ``body`` (JSON) a POST. ``place`` names it in messages, which must not repeat ``secrets`` of the body."""

    place: str
    path: str
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.place}: {'POST' if self.body else 'GET'} {self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the service. ``body`` is empty if the status is an error and the body is unreadable or too large."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class RequestCounts:
    """Counts of the requests of one API client. Threads take ``lock`` to read and to change them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    by_status: Counter[str] = field(default_factory=Counter)  # "none" for requests without an answer
    clock_offsets: deque[float] = field(default_factory=lambda: deque(maxlen=OFFSETS_KEPT))  # in seconds
    retries: int = 0


def service_url(api_url: str) -> str:
    """Return the address of the service without a slash at its end.

    Raises: SettingsError, unless it is https, or http to this machine. The message shows no password of the address.
    """
    with suppress(httpx.InvalidURL):
        url = httpx.URL(api_url)
        is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))
        if is_safe and url.host and not (url.userinfo or url.query or url.fragment):
            return str(url).rstrip("/")
    raise SettingsError(
        "the API's address is not https://host/path; plain http would show the token on the way, except to this machine",
        remedy="set BOOMPLAY_API_URL to an address like https://openapi.boomplay.com",
    )


# Every account has the same pages.
_address = lru_cache(ADDRESSES_KEPT)(httpx.URL)


def _age(answer: httpx.Response) -> int:
    """Return how many seconds a cache kept the answer, whose ``Date`` is that old."""
    age = answer.headers.get("age", "").strip()
    return int(age) if re.fullmatch("[0-9]{1,8}", age, re.ASCII) else 0


def open_client(url: str) -> httpx.Client:
    """Return a new client for a service. Raises SettingsError for a proxy or CA file that cannot be used.

    The environment's proxies and CA files apply to https only. Plain http reaches no other machine (`service_url`), and a
    proxy would read the token there.
    """
    is_https = url.startswith("https:")
    with suppress(OSError, ImportError, ValueError, httpx.InvalidURL):
        return CookielessClient(
            # One context for all proxies; reading the CA file takes 25 ms, and plain http needs none.
            verify=httpx.create_ssl_context() if is_https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=is_https,
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),  # the callers' threads bound the connections
        )
    raise SettingsError(  # outside of the handler: the cause may quote the proxy's password
        "the environment's proxy or CA file cannot be used", remedy="check HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
    )


def close_clients() -> None:
    """Close and forget the shared clients; the next one reads the environment anew."""
    with _clients_lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


class Transport:
    """Attempts at requests to one service, and their counts; safe to share between threads.

    All transports of a process share one client for each service. ``timeout_seconds`` limits one attempt with its redirects.
    httpx counts each read from the last byte on, so the deadline is also checked between the chunks of a body. Only a server
    that drips its *headers* can exceed twice this time.
    """

    def __init__(self, url: str, timeout_seconds: float, clock: Clock) -> None:
        self.counts = RequestCounts()
        self._url = url
        self._headers: dict[str, str] = {"Connection": "keep-alive"}
        self._timeout_seconds = timeout_seconds
        self._timeout = httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
        self._clock = clock
        with _clients_lock:
            if url not in _clients:
                _clients[url] = open_client(url)
            self._client = _clients[url]

    @contextmanager
    def fresh(self) -> Iterator[Self]:
        """Yield a copy with connections of its own that asks caches for no stored answer. It counts its requests here."""
        other = copy(self)
        other._headers = {**self._headers, "Cache-Control": "no-cache"}
        with open_client(self._url) as other._client:
            yield other

    def send(self, request: Request, headers: dict[str, str]) -> Response | Failure:
        """Send, follow redirects within the service, and return the outcome."""
        deadline = self._clock.monotonic() + self._timeout_seconds
        outcome: Response | Failure
        try:
            asked = self._built(request, {**headers, **self._headers})
            for _ in range(MAX_REDIRECTS + 1):
                with closing(self._client.send(asked, stream=True)) as answer:
                    arrived_at = self._clock.now()
                    outcome = self._read(request, answer, deadline)
                self._count(outcome.status)
                if (dated := http_date(answer.headers.get("date"))) is not None:
                    with self.counts.lock:
                        self.counts.clock_offsets.append((dated - arrived_at).total_seconds() + _age(answer))
                if isinstance(outcome, Failure) or answer.next_request is None:
                    return outcome
                url = answer.next_request.url
                is_here = (url.scheme, url.host, url.port) == (asked.url.scheme, asked.url.host, asked.url.port)
                if not is_here or url.userinfo or request.body:  # httpx would send the app id, too
                    message = f"{request}: redirected to {one_line(url.host) or 'nowhere'}, which is not followed"
                    return Failure(message, FailureClass.REFUSED, outcome.status)
                if self._clock.monotonic() > deadline:
                    return self._late(request)
                asked = answer.next_request
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: an impossible host name
            self._count(None)
            return self._failure(request, error)
        return Failure(f"{request}: more than {MAX_REDIRECTS} redirects", FailureClass.REFUSED, outcome.status)

    def _built(self, request: Request, headers: dict[str, str]) -> httpx.Request:
        """Return the request as httpx sends it. `httpx.Client.build_request` parses the address twice and merges defaults."""
        url = _address(f"{self._url}{request.path}" + (f"?{request.query}" if request.query else ""))
        extensions = {"timeout": self._timeout.as_dict()}
        if request.body:
            return httpx.Request("POST", url, content=request.body, headers=headers, extensions=extensions)
        headers = {"Host": url.netloc.decode("ascii"), **headers}
        return httpx.Request("GET", url, headers=headers, stream=NoBody(), extensions=extensions)

    def _count(self, status: int | None) -> None:
        with self.counts.lock:
            self.counts.by_status["none" if status is None else str(status)] += 1

    def _read(self, request: Request, answer: httpx.Response, deadline: float) -> Response | Failure:
        """Read the answer, up to the size limit. Raises httpx.HTTPError."""
        status, headers = answer.status_code, answer.headers
        response = Response(status, retry_after=headers.get("retry-after"))
        coding = headers.get("content-encoding", "").strip().lower()
        if coding not in CODINGS:  # httpx would return it as it is, or decode it without a bound
            message = f"{request}: the answer has the content coding {one_line(coding)!r}, which was not requested"
            return Failure(message, FailureClass.GARBLED, status) if answer.is_success else response
        limit = MAX_BODY_BYTES if answer.is_success else MAX_ERROR_BODY_BYTES
        body = bytearray()
        declared = headers.get("content-length", "")
        is_large = declared.isdigit() and int(declared) > limit
        try:
            # httpx unpacks a chunk of 64 KiB at a time, so a packed gigabyte takes 64 MiB at most before it is refused.
            for chunk in () if is_large else answer.iter_bytes():
                if is_large := len(body) + len(chunk) > limit:
                    break
                body += chunk
                if self._clock.monotonic() > deadline:
                    raise httpx.ReadTimeout("the deadline has passed")
        except httpx.DecodingError:
            if answer.is_success:
                raise
            return response  # the status of an error is enough
        if not is_large:
            return Response(status, bytes(body), response.retry_after)
        message = f"{request}: the answer is larger than {limit:,} bytes"
        return Failure(message, FailureClass.UNREADABLE, status) if answer.is_success else response

    def _failure(self, request: Request, error: Exception) -> Failure:
        words = re.sub(r"^\[Errno -?[0-9]+\] ", "", one_line(str(error)))
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

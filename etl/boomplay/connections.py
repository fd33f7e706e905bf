"""The pool of connections to one service, set up by httpx.

httpx builds the pool (TLS, proxy, limits); requests go to it as they are, since httpx's own records of a request and its
answer cost as much as sending it. What they add to the bytes on the wire is added here: the host, the length of a body, and a
target spelt as a URL must be.

Invariant: what the network does leaves as one of `BROKEN`, which quote no header but in a LocalProtocolError.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import cast

from etl.boomplay import lean  # isort: skip - before httpx

import httpcore
import httpx

from etl.boomplay.address import proxy_for
from etl.boomplay.guard import Deadline
from etl.errors import SettingsError

lean.restore()
logging.getLogger("httpcore").setLevel(logging.INFO)  # its DEBUG shows headers, where a service may echo a token

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 30.0
BROKEN = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_PLAIN_TARGET = re.compile(r"/[A-Za-z0-9/_=&?,-]*")


class RawResponse:
    """The head of an answer, and its body, to be read once; close it."""

    def __init__(self, response: httpcore.Response) -> None:
        self.status = response.status
        self._response = response
        self._headers: dict[str, str] = {}
        for name, value in response.headers:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def header(self, name: str) -> str | None:
        """Return a header by its name in small letters; one that came several times, with commas."""
        return self._headers.get(name)

    def chunks(self) -> Iterable[bytes]:
        """Return the body's pieces, as they come."""
        return cast("Iterable[bytes]", self._response.stream)

    def close(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        self._response.close()


class Connections:
    """The connections to ``origin`` (``scheme://host[:port]``); safe to share between threads.

    Raises: SettingsError, for a host that no URL can hold, and for a proxy or CA file that cannot be used.
    """

    def __init__(self, origin: str, *, pool_seconds: float, max_connections: int, guard: Deadline) -> None:
        try:
            self._origin = httpx.URL(origin)
        except httpx.InvalidURL:
            raise SettingsError("the API's address is no URL", remedy="check the host in BOOMPLAY_API_URL") from None
        self._transport = _transport(origin, max_connections)
        self._pool = guard.watch(self._transport)
        self._host = (b"Host", self._origin.netloc)
        self._extensions = {"timeout": {"connect": CONNECT_SECONDS, "pool": pool_seconds}}

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> RawResponse:
        """Send a request and return the head of its answer.

        Raises: one of `BROKEN`; UnicodeError, for a host name that cannot be looked up.
        """
        raw = [self._host, *((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())]
        if body:
            raw.append((b"Content-Length", b"%d" % len(body)))
        request = httpcore.Request(method, self._url(target), headers=raw, content=body, extensions=self._extensions)
        return RawResponse(self._pool.handle_request(request))

    def _url(self, target: str) -> httpcore.URL:
        if _PLAIN_TARGET.fullmatch(target):
            raw = target.encode("ascii")
        else:
            raw = httpx.URL(str(self._origin).rstrip("/") + target).raw_path
        origin = self._origin
        return httpcore.URL(scheme=origin.raw_scheme, host=origin.raw_host, port=origin.port, target=raw)


def _transport(origin: str, max_connections: int) -> httpx.HTTPTransport:
    limits = httpx.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=KEEP_ALIVE_SECONDS,
    )
    is_plain = origin.startswith("http://")
    with suppress(OSError, ImportError, ValueError, httpx.InvalidURL):
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else _trusted()
        return httpx.HTTPTransport(verify=verify, trust_env=False, limits=limits, proxy=proxy_for(origin))
    raise SettingsError(  # outside of the handler: the cause may quote the proxy's password
        "the environment's proxy or CA file cannot be used", remedy="check HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
    )


@cache
def _trusted() -> ssl.SSLContext:
    """Return the CAs to trust, read once a process (25 ms)."""
    return httpx.create_ssl_context()

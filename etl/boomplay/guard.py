"""Ends reads that would outlive their request.

httpx's time-outs count from the last byte, so a server that drips one byte a second holds a request for ever
(encode/httpx issue 1450, open). Here a request has a deadline that counts from its start, through connecting, TLS,
headers and body, and a halt ends a waiting read within a quarter of a second. Only the look-up of the host name cannot
be cut short.

Invariant: one request at a time in each thread, which is what sync httpx does.
"""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any

import httpcore

from etl import clock
from etl.boomplay.waiting import NAP_SECONDS, CancelToken

if TYPE_CHECKING:
    import httpx


class Deadline:
    """The deadline of the request under way in each thread, and the halt of all of them."""

    def __init__(self, halt: CancelToken) -> None:
        self._halt = halt
        self._local = threading.local()

    def begin(self, seconds: float) -> None:
        """Start this thread's deadline."""
        self._local.deadline = clock.monotonic() + seconds

    def seconds_left(self) -> float:
        """Return how long this thread's request may still take.

        Raises: httpcore.ReadTimeout, where it is late or halted.
        """
        left = float(self._local.deadline) - clock.monotonic()
        if left <= 0 or self._halt.is_set():
            raise httpcore.ReadTimeout("the request's time is up")
        return left

    def watch(self, transport: httpx.HTTPTransport) -> httpcore.ConnectionPool:
        """Put the guard between a transport and its sockets, and return the pool of these.

        `httpcore.ConnectionPool` takes a backend, but httpx has no way to hand one on: hence the two private names.
        """
        pool = transport._pool
        pool._network_backend = _Backend(self, pool._network_backend)
        return pool


class _Backend(httpcore.NetworkBackend):
    def __init__(self, guard: Deadline, inner: httpcore.NetworkBackend) -> None:
        self._guard = guard
        self._inner = inner

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *args: Any, **kw: Any) -> _Stream:
        left = self._guard.seconds_left()
        stream = self._inner.connect_tcp(host, port, min(timeout or left, left), *args, **kw)
        return _Stream(self._guard, stream)


class _Stream(httpcore.NetworkStream):
    def __init__(self, guard: Deadline, inner: httpcore.NetworkStream) -> None:
        self._guard = guard
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            try:
                return self._inner.read(max_bytes, min(self._guard.seconds_left(), NAP_SECONDS))
            except httpcore.ReadTimeout:
                self._guard.seconds_left()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._guard.seconds_left())

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        return _Stream(self._guard, self._inner.start_tls(ssl_context, server_hostname, self._guard.seconds_left()))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()

"""HTTP endpoints of a scheduler: ``/healthz``, ``/readyz`` and ``/metrics``.

healthz: the scheduler ticks; a supervisor should restart it if not. readyz: the database answers and has the right schema, so the
process can sync or take over. Invariants: requests change nothing; no answer contains a secret or a track.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from etl import clock
from etl.errors import FavsyncError, UsageError
from etl.monitor.metrics import CONTENT_TYPE, Metrics
from etl.scheduler.service import ServiceStatus

LATE_SECONDS: Final = 60.0
"""A scheduler that has not ticked for so long is unhealthy."""
PLAIN: Final = "text/plain; charset=utf-8"


class Answers:
    """Answers requests. ``pulse`` returns the scheduler's status; ``require_database`` raises if the database is unusable."""

    def __init__(
        self, metrics: Metrics, pulse: Callable[[], ServiceStatus], require_database: Callable[[], object]
    ) -> None:
        self._metrics = metrics
        self._pulse = pulse
        self._require_database = require_database

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status code, content type and body for a path."""
        match path:
            case "/metrics":
                return 200, CONTENT_TYPE, self._metrics.text()
            case "/healthz":
                if clock.monotonic() - self._pulse().ticked_at > LATE_SECONDS:
                    return 503, PLAIN, b"the scheduler does not tick\n"
                return 200, PLAIN, b"ok\n"
            case "/readyz":
                try:
                    self._require_database()
                except FavsyncError as error:  # its text may contain the database's address
                    return 503, PLAIN, f"{type(error).__name__}: the database cannot be used\n".encode()
                return 200, PLAIN, b"ready: it syncs\n" if self._pulse().is_leader else b"ready: it is on standby\n"
            case _:
                return 404, PLAIN, b"/healthz, /readyz, /metrics\n"


def address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``[IPv6]:PORT`` or ``PORT`` (on loopback).

    Raises: UsageError.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise UsageError(f"{text!r} is not an address", remedy="write it as 127.0.0.1:9108")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def serving(text: str, answers: Answers) -> Iterator[str]:
    """Serve ``answers`` at the address ``text`` during the block, and yield the base URL.

    Raises: UsageError, where the address cannot be used.
    """
    host, port = address(text)
    try:
        server = _Server(host, port, answers)
    except (OSError, UnicodeError) as error:
        what = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {text}: {what}", remedy="choose another address") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="favsync-http", daemon=True)
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        self.answers = answers
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _HealthHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class _HealthHandler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # seconds to wait for a client, so that silent ones do not keep threads
    server_version = "favsync"
    sys_version = ""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        status, kind, body = self.server.answers.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Log no requests."""

"""``/healthz``, ``/readyz`` and ``/metrics`` over HTTP.

healthz: the process ticks (a supervisor should restart it if not). readyz: it can do its work, or take over at once: the database
answers at the right schema. Invariants: nothing here changes anything; no answer holds a secret or an account's track.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from etl import clock
from etl.errors import FavsyncError, UsageError
from etl.monitor.metrics import CONTENT_TYPE, Metrics
from etl.scheduler.service import ServiceStatus

LATE_SECONDS = 60.0
PLAIN = "text/plain; charset=utf-8"


class Answers:
    """What is answered. ``require_database`` raises where the database cannot be used."""

    def __init__(
        self, metrics: Metrics, pulse: Callable[[], ServiceStatus], require_database: Callable[[], object]
    ) -> None:
        self._metrics = metrics
        self._pulse = pulse
        self._require_database = require_database

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for a path."""
        answers = {"/healthz": self._health, "/readyz": self._readiness, "/metrics": self._numbers}
        answer = answers.get(path)
        return (404, PLAIN, b"/healthz, /readyz, /metrics\n") if answer is None else answer()

    def _health(self) -> tuple[int, str, bytes]:
        late = clock.monotonic() - self._pulse().ticked_at
        if late > LATE_SECONDS:
            return 503, PLAIN, b"the scheduler does not tick\n"
        return 200, PLAIN, b"ok\n"

    def _readiness(self) -> tuple[int, str, bytes]:
        try:
            self._require_database()
        except FavsyncError as error:
            return 503, PLAIN, f"{type(error).__name__}: the database cannot be used\n".encode()
        return 200, PLAIN, b"ready: it syncs\n" if self._pulse().is_leader else b"ready: it stands by\n"

    def _numbers(self) -> tuple[int, str, bytes]:
        return 200, CONTENT_TYPE, self._metrics.text()


def address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``[IPv6]:PORT`` or ``PORT``, which means loopback.

    Raises: UsageError.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"{text!r} is no address", remedy="write it like 127.0.0.1:9108")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def serving(text: str, answers: Answers) -> Iterator[str]:
    """Serve ``answers`` at the address ``text`` for the block, and give the address it came to.

    Raises: UsageError, where nobody can listen there.
    """
    host, port = address(text)
    try:
        server = _Server(host, port, answers)
    except OSError as error:
        raise UsageError(f"nobody can listen at {text}: {error.strerror}", remedy="choose another address") from None
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
        super().__init__((host, port), _Caller)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a caller that broke off."""


class _Caller(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
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
        """Write no line for each request."""

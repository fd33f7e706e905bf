"""The local web server to which the browser returns from the consent page.

A URL fragment never reaches a server, so the page that it serves posts the fragment back.

Invariants: the server listens on loopback only. It refuses requests with another ``Host`` (DNS rebinding), ``Origin``, path
or state than those of this sign-in, and goes on waiting.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import Any
from urllib.parse import SplitResult, urlsplit

from etl.boomplay.oauth import ConsentRedirect
from etl.boomplay.transport import is_loopback
from etl.errors import CredentialsError, UsageError

MAX_POST_BYTES = 16 * 1024
WAKE_SECONDS = 0.25
SOCKET_SECONDS = 10.0
_NO_IPV6 = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>favsync</title>
<h1 id="result">One moment…</h1>
<script>
const result = document.getElementById("result");
const redirect = location.search + location.hash;
history.replaceState(null, "", location.pathname);
fetch(location.pathname, {method: "POST", body: redirect}).then(
  async answer => { result.textContent = await answer.text(); },
  () => { result.textContent = "favsync no longer waits. Sign in again."; });
</script>
<noscript>This page needs JavaScript. Or run favsync accounts login with --no-browser and paste this page's address.</noscript>
</html>
"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'",
}
Wait = Callable[[float, threading.Event], ConsentRedirect]


@contextmanager
def callback_server(redirect_uri: str, read: Callable[[str], ConsentRedirect]) -> Iterator[Wait]:
    """Listen at ``redirect_uri`` during the block. Yields a function that waits for the redirect.

    ``read`` parses a redirect, or raises CredentialsError. The function takes seconds and an event that ends the wait; it raises
    CredentialsError if no redirect came.

    Raises: UsageError, if the address is not on this machine or the port is in use.
    """
    uri = urlsplit(redirect_uri)
    if uri.scheme != "http" or uri.hostname is None or not is_loopback(uri.hostname):
        raise UsageError(
            "the redirect address is not on this machine", remedy="sign in with --no-browser, and paste the address"
        )
    port, redirects = uri.port or 80, Queue[ConsentRedirect]()
    # A browser may resolve localhost to either address.
    addresses = ["127.0.0.1", "::1"] if uri.hostname == "localhost" else [uri.hostname]
    with ExitStack() as stack:
        for address in addresses:
            try:
                server = _Server(address, port, uri, read, redirects)
            except OSError as error:
                if error.errno in _NO_IPV6 and address != addresses[0]:
                    continue
                raise UsageError(
                    f"port {port} of this machine cannot be used: {error.strerror}",
                    remedy="stop the program that listens there, or sign in with --no-browser and paste the address",
                ) from None
            stack.callback(server.server_close)
            thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
            thread.start()
            stack.callback(server.shutdown)

        def wait(timeout_seconds: float, stop: threading.Event) -> ConsentRedirect:
            return _wait(redirects, timeout_seconds, stop)

        yield wait


def _wait(redirects: Queue[ConsentRedirect], timeout_seconds: float, stop: threading.Event) -> ConsentRedirect:
    for _ in range(max(1, round(timeout_seconds / WAKE_SECONDS))):
        if stop.is_set():
            break
        try:
            return redirects.get(timeout=WAKE_SECONDS)
        except Empty:
            continue
    raise CredentialsError(
        "no answer came from the consent page",
        remedy="sign in again, or with --no-browser and paste the address of the final page",
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        address: str,
        port: int,
        uri: SplitResult,
        read: Callable[[str], ConsentRedirect],
        redirects: Queue[ConsentRedirect],
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.uri, self.read, self.redirects = uri, read, redirects
        super().__init__((address, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that closes the connection."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SOCKET_SECONDS

    def do_GET(self) -> None:
        if self._is_expected():
            self._answer(200, _PAGE, "text/html")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not self._is_expected():
            return
        if self.headers.get("Origin", self._origin) != self._origin:  # browsers send it with every POST of another site
            self._answer(403, "Another site sent this request.", "text/plain")
            return
        if not length.isdigit() or int(length) > MAX_POST_BYTES:
            self._answer(413, "This request has no length or is too long.", "text/plain")
            return
        try:
            redirect = self.server.read(self.rfile.read(int(length)).decode("utf-8", "replace"))
        except CredentialsError as error:
            self._answer(400, f"{error.message}. {error.remedy}.", "text/plain")
            return
        denial = f"Boomplay says: {redirect.denied}" if redirect.denied else ""
        self._answer(200, denial or "Done. You may close this page and return to favsync.", "text/plain")
        self.server.redirects.put(redirect)

    def log_message(self, *_args: object) -> None:
        """Log nothing: the address contains the token."""

    @property
    def _origin(self) -> str:
        return f"http://{self.server.uri.netloc}"

    def _is_expected(self) -> bool:
        uri = self.server.uri
        is_expected = self.headers.get("Host") == uri.netloc and urlsplit(self.path).path == (uri.path or "/")
        if not is_expected:
            self._answer(404, "This is favsync, waiting for a sign-in.", "text/plain")
        return is_expected

    def _answer(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": f"{kind}; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

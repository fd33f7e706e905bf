"""The local web server to which the browser returns from the consent page.

A URL fragment never reaches a server, so the page that it serves posts the fragment back.

Invariants: the server listens on loopback only. It refuses requests with another ``Host`` (DNS rebinding), another path or
another sign-in's state, and goes on waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import Any
from urllib.parse import SplitResult, urlsplit

from etl.boomplay.address import is_loopback
from etl.boomplay.signin import ConsentRedirect
from etl.errors import CredentialsError, UsageError

MAX_POST_BYTES = 16 * 1024
WAKE_SECONDS = 0.25
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
    port = uri.port or 80
    try:
        server = _Server(uri, port, read)
    except OSError as error:
        raise UsageError(
            f"port {port} of this machine cannot be used: {error.strerror}",
            remedy="stop the program that listens there, or sign in with --no-browser and paste the address",
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield server.wait
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, uri: SplitResult, port: int, read: Callable[[str], ConsentRedirect]) -> None:
        self.uri = uri
        self.read = read
        self.redirects: Queue[ConsentRedirect] = Queue()
        host = uri.hostname or ""
        super().__init__(("127.0.0.1" if host == "localhost" else host, port), _Handler)

    def wait(self, timeout_seconds: float, stop: threading.Event) -> ConsentRedirect:
        """Return the first redirect."""
        for _ in range(max(1, round(timeout_seconds / WAKE_SECONDS))):
            if stop.is_set():
                break
            try:
                return self.redirects.get(timeout=WAKE_SECONDS)
            except Empty:
                continue
        raise CredentialsError(
            "no answer came from the consent page",
            remedy="sign in again, or with --no-browser and paste the address of the final page",
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that closes the connection."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self._is_expected():
            self._answer(200, _PAGE, "text/html")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not self._is_expected() or not length.isdigit() or int(length) > MAX_POST_BYTES:
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

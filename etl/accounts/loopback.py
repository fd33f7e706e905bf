"""Waiting on this machine for the browser to come back from the consent page.

A fragment never reaches a server, so the page that is served posts it back. Invariants: it listens on loopback alone; whoever
calls with another ``Host`` (DNS rebinding), another path or another sign-in's state is turned away, and the waiting goes on.
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
from etl.boomplay.oauth import ConsentRedirect
from etl.errors import CredentialsError, UsageError

MAX_POST_BYTES = 16 * 1024
_NAP_SECONDS = 0.25
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>favsync</title>
<h1 id="said">One moment…</h1>
<script>
const said = document.getElementById("said");
const brought = location.search + location.hash;
history.replaceState(null, "", location.pathname);
fetch(location.pathname, {method: "POST", body: brought}).then(
  async answer => { said.textContent = await answer.text(); },
  () => { said.textContent = "favsync is not waiting any more. Sign in again."; });
</script>
<noscript>This page needs JavaScript. Or run favsync accounts login with --no-browser and paste this page's address.</noscript>
</html>
"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'",
}


class CallbackServer:
    """Waits for the browser; `redirect` gives what it brought."""

    def __init__(self, brought: Queue[ConsentRedirect]) -> None:
        self._brought = brought

    def redirect(self, timeout_seconds: float, stop: threading.Event) -> ConsentRedirect:
        """Return what the browser brought.

        Raises: CredentialsError, where it does not come in time, or ``stop`` is set.
        """
        naps = max(1, round(timeout_seconds / _NAP_SECONDS))
        for _ in range(naps):
            if stop.is_set():
                break
            try:
                return self._brought.get(timeout=_NAP_SECONDS)
            except Empty:
                continue
        raise CredentialsError(
            "nobody came back from the consent page",
            remedy="sign in again, or with --no-browser and paste the address that the browser ends at",
        )


@contextmanager
def callback_server(redirect_uri: str, read: Callable[[str], ConsentRedirect]) -> Iterator[CallbackServer]:
    """Listen where ``redirect_uri`` points for the block. ``read`` reads an address, or raises CredentialsError.

    Raises: UsageError, where that is not this machine, or the port is taken.
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
            remedy="stop what listens there, or sign in with --no-browser and paste the address",
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield CallbackServer(server.brought)
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
        self.brought: Queue[ConsentRedirect] = Queue()
        host = uri.hostname or ""
        super().__init__(("127.0.0.1" if host == "localhost" else host, port), _Caller)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that broke off."""


class _Caller(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self._is_for_us():
            self._answer(200, _PAGE, "text/html")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not self._is_for_us() or not length.isdigit() or int(length) > MAX_POST_BYTES:
            return
        try:
            redirect = self.server.read(self.rfile.read(int(length)).decode("utf-8", "replace"))
        except CredentialsError as error:
            self._answer(400, f"{error.message}. {error.remedy}.", "text/plain")
            return
        denial = f"Boomplay says: {redirect.denied}" if redirect.denied else ""
        self._answer(200, denial or "Done. You may close this page and go back to favsync.", "text/plain")
        self.server.brought.put(redirect)

    def log_message(self, *_args: object) -> None:
        """Write nothing: the address holds the token."""

    def _is_for_us(self) -> bool:
        uri = self.server.uri
        is_ours = self.headers.get("Host") == uri.netloc and urlsplit(self.path).path == (uri.path or "/")
        if not is_ours:
            self._answer(404, "This is favsync, waiting for a sign-in.", "text/plain")
        return is_ours

    def _answer(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": f"{kind}; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

"""Sign-in through Boomplay's consent page in a browser, and the local web server to which the browser returns.

A URL fragment never reaches a server, so the page that it serves posts the fragment back.

Invariants: a redirect counts only with the state that was sent. The server listens on loopback only. It refuses requests with
another ``Host`` (DNS rebinding), ``Origin``, path or state than those of this sign-in, and goes on waiting.
"""

from __future__ import annotations

import errno
import re
import secrets
import socket
import subprocess  # nosec B404
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import Any
from urllib.parse import SplitResult, urlsplit

from etl import logs
from etl.accounts.session import http_options, token_endpoint
from etl.boomplay.oauth import ConsentRedirect, ConsentRequest, consent_url, parse_redirect
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.errors import CredentialsError, UsageError
from etl.setting_values import is_loopback

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
Read = Callable[[str], ConsentRedirect]
Wait = Callable[[float, threading.Event], ConsentRedirect]
# All that a browser needs. The rest of the environment holds secrets: the app's, the encryption key, tokens, passwords.
_BROWSER_VARIABLES = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TMPDIR|LANG|LANGUAGE|LC_\w+|BROWSER|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|XDG_\w+|"
    r"DBUS_SESSION_BUS_ADDRESS|DESKTOP_SESSION|GNOME_DESKTOP_SESSION_ID|KDE_\w+|WSL_\w+|WSLENV"
)


def open_browser(url: str) -> None:
    """Open ``url`` in the user's browser, without the environment of this process."""
    variables = {name: value for name, value in environment().items() if _BROWSER_VARIABLES.fullmatch(name)}
    command = [sys.executable, "-I", "-m", "webbrowser", url]
    null = subprocess.DEVNULL
    subprocess.run(command, env=variables, check=False, stdin=null, stdout=null, stderr=null)  # nosec B603


def sign_in(
    config: Config,
    say: Callable[[str], None],
    *,
    paste: Callable[[], str] | None = None,
    timeout_seconds: float = 300.0,
    stop: threading.Event | None = None,
) -> Token:
    """Let the user consent in a browser, and return the token. ``paste`` asks for the final address instead of a callback.

    Raises: CredentialsError, UsageError, SettingsError, ApiError.
    """
    state = secrets.token_urlsafe(24)
    options = http_options(config)
    consent = ConsentRequest(
        app_id=options.app_id, redirect_uri=config.redirect_uri, state=state, scope=config.scope or ""
    )
    url = consent_url(config.api_url, consent, config.consent_path)
    if paste is not None:
        say(f"open this address in a browser, then paste the address of the page where it ends:\n{url}")
        pasted = paste().strip()
        if not pasted:
            raise CredentialsError("no address was pasted", remedy="paste the whole address of the final page")
        redirect = parse_redirect(pasted, state=state)
    else:
        with callback_server(config.redirect_uri, lambda text: parse_redirect(text, state=state)) as wait:
            say(f"a browser opens Boomplay's consent page; if it does not, open this address:\n{url}")
            open_browser(url)
            redirect = wait(timeout_seconds, stop or threading.Event())
    if redirect.denied is not None:
        raise CredentialsError(f"Boomplay refused the sign-in: {redirect.denied}", remedy="sign in again and approve")
    token = redirect.token
    if token is None:
        with token_endpoint(config, options) as endpoint:
            token = endpoint.ask(endpoint.code, redirect.code or "", redirect_uri=config.redirect_uri)
    for secret in (token.access_token, token.refresh_token):
        logs.mask(secret or "")
    return token


@contextmanager
def callback_server(redirect_uri: str, read: Read) -> Iterator[Wait]:
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
    redirects = Queue[ConsentRedirect]()
    # A browser may resolve localhost to either address.
    addresses = ["127.0.0.1", "::1"] if uri.hostname == "localhost" else [uri.hostname]

    def wait(timeout_seconds: float, stop: threading.Event) -> ConsentRedirect:
        for _ in range(max(1, round(timeout_seconds / WAKE_SECONDS))):
            if stop.is_set():
                break
            with suppress(Empty):
                return redirects.get(timeout=WAKE_SECONDS)
        raise CredentialsError(
            "no answer came from the consent page",
            remedy="sign in again, or with --no-browser and paste the address of the final page",
        )

    with ExitStack() as stack:
        for address in addresses:
            try:
                server = _CallbackServer(address, uri, read, redirects)
            except OSError as error:
                if error.errno in _NO_IPV6 and address != addresses[0]:
                    continue
                raise UsageError(
                    f"port {uri.port or 80} of this machine cannot be used: {error.strerror}",
                    remedy="stop the program that listens there, or sign in with --no-browser and paste the address",
                ) from None
            stack.callback(server.server_close)
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
            stack.callback(server.shutdown)
        yield wait


class _CallbackServer(ThreadingHTTPServer):
    def __init__(self, address: str, uri: SplitResult, read: Read, redirects: Queue[ConsentRedirect]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.uri, self.read, self.redirects = uri, read, redirects
        super().__init__((address, uri.port or 80), _CallbackHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that closes the connection."""


class _CallbackHandler(BaseHTTPRequestHandler):
    server: _CallbackServer
    timeout = SOCKET_SECONDS

    def do_GET(self) -> None:
        if self._is_expected():
            self._answer(200, _PAGE, "text/html")

    def do_POST(self) -> None:
        length, origin = self.headers.get("Content-Length", ""), f"http://{self.server.uri.netloc}"
        if not self._is_expected():
            return
        if self.headers.get("Origin", origin) != origin:  # browsers send it with every POST of another site
            self._answer(403, "Another site sent this request.")
            return
        if not length.isdigit() or int(length) > MAX_POST_BYTES:
            self._answer(413, "This request has no length or is too long.")
            return
        try:
            redirect = self.server.read(self.rfile.read(int(length)).decode("utf-8", "replace"))
        except CredentialsError as error:
            self._answer(400, f"{error.message}. {error.remedy}.")
            return
        denial = f"Boomplay says: {redirect.denied}" if redirect.denied else ""
        self._answer(200, denial or "Done. You may close this page and return to favsync.")
        self.server.redirects.put(redirect)

    def log_message(self, *_args: object) -> None:
        """Log nothing: the address contains the token."""

    def _is_expected(self) -> bool:
        uri = self.server.uri
        is_expected = self.headers.get("Host") == uri.netloc and urlsplit(self.path).path == (uri.path or "/")
        if not is_expected:
            self._answer(404, "This is favsync, waiting for a sign-in.")
        return is_expected

    def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": f"{kind}; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

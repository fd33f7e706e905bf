"""Sign-in, with a fake browser that follows redirects and does what the page's script does."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from etl.accounts import loopback
from etl.accounts.login import open_browser, sign_in
from etl.accounts.loopback import callback_server
from etl.boomplay.payloads import Token
from etl.errors import CredentialsError, UsageError
from etl.sandbox import Sandbox
from tests.support.sandbox_accounts import settings


@pytest.fixture
def redirect_uri() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/callback"


@pytest.fixture
def sandbox(redirect_uri: str) -> Iterator[Sandbox]:
    with Sandbox(tracks=5, users=["ada", "ben"]) as running:
        running.redirect_uris.add(redirect_uri)
        yield running


def consented(url: str, user: str = "ben", decision: str = "approve") -> str:
    """Answer the consent page, and return the address that it redirects to."""
    answer = httpx.get(f"{url}&user={user}&decision={decision}")
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def come_back(location: str, said: list[httpx.Response] | None = None) -> None:
    """Load the page of the redirect, and post back what its address holds, as its script does."""
    parts = urlsplit(location)
    page = httpx.get(location.partition("#")[0])
    assert "fetch(location.pathname" in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    brought = (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    answer = httpx.post(f"{parts.scheme}://{parts.netloc}{parts.path}", content=brought)
    if said is not None:
        said.append(answer)


def browser(act: Callable[[str], Any]) -> Callable[[str], None]:
    """Return a function that opens an address in another thread, as a browser does."""
    return lambda url: threading.Thread(target=act, args=(url,)).start()


def sign_in_to(sandbox: Sandbox, redirect_uri: str, act: Callable[[str], Any], **more: Any) -> Token:
    config = settings("sqlite:////nowhere.db", sandbox, BOOMPLAY_REDIRECT_URI=redirect_uri)
    return sign_in(config, lambda _words: None, open_page=browser(act), **more)


@pytest.mark.parametrize("encoding", ["percent", "raw"])
@pytest.mark.parametrize("consent", ["fragment_token", "query_code"])
def test_a_token_comes_in_the_fragment_or_for_a_code(sandbox, redirect_uri, consent, encoding):
    sandbox.switch(consent=consent, consent_encoding=encoding, refresh="rotating")
    token = sign_in_to(sandbox, redirect_uri, lambda url: come_back(consented(url)))
    assert token.access_token == sandbox.users["ben"].access_token
    assert token.expires_in_seconds == 7200
    assert (token.refresh_token is not None) == (consent == "query_code")


def test_a_denial_is_an_error_with_the_reason(sandbox, redirect_uri):
    said: list[httpx.Response] = []
    with pytest.raises(CredentialsError, match="refused the sign-in: access_denied"):
        sign_in_to(sandbox, redirect_uri, lambda url: come_back(consented(url, decision="deny"), said))
    assert "access_denied" in said[0].text


def test_a_redirect_of_another_sign_in_is_refused(sandbox, redirect_uri):
    refused: list[httpx.Response] = []

    def act(url: str) -> None:
        come_back(f"{redirect_uri}#access_token=planted&state=guessed", refused)
        come_back(consented(url))

    token = sign_in_to(sandbox, redirect_uri, act)
    assert refused[0].status_code == 400
    assert "another sign-in" in refused[0].text
    assert token.access_token == sandbox.users["ben"].access_token


def test_another_host_or_path_gets_404(sandbox, redirect_uri):
    codes = []

    def act(url: str) -> None:
        codes.append(httpx.get(redirect_uri, headers={"Host": "evil.example.invalid"}).status_code)
        codes.append(httpx.get(redirect_uri + "/else").status_code)
        codes.append(httpx.post(redirect_uri, headers={"Host": "evil.example.invalid"}, content="#x").status_code)
        come_back(consented(url))

    sign_in_to(sandbox, redirect_uri, act)
    assert codes == [404, 404, 404]


@pytest.mark.parametrize("origin", ["http://evil.example.invalid", "null", "http://localhost:1"])
def test_a_post_of_another_site_is_refused(sandbox, redirect_uri, origin):
    codes = []

    def act(url: str) -> None:
        location = consented(url)
        fragment = location.partition("#")[2]
        codes.append(httpx.post(redirect_uri, headers={"Origin": origin}, content=f"#{fragment}").status_code)
        codes.append(httpx.post(redirect_uri, headers={"Origin": own}, content=f"#{fragment}").status_code)

    own = redirect_uri.removesuffix("/callback")
    sign_in_to(sandbox, redirect_uri, act)
    assert codes == [403, 200]


def test_a_post_that_is_too_long_is_answered(sandbox, redirect_uri):
    codes = []

    def act(url: str) -> None:
        codes.append(httpx.post(redirect_uri, content="x" * (loopback.MAX_POST_BYTES + 1)).status_code)
        come_back(consented(url))

    sign_in_to(sandbox, redirect_uri, act)
    assert codes == [413]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_localhost_listens_on_both_addresses(sandbox, redirect_uri, address):
    redirect_uri = redirect_uri.replace("127.0.0.1", "localhost")
    sandbox.redirect_uris.add(redirect_uri)

    def act(url: str) -> None:
        parts = urlsplit(consented(url))
        host = f"[{address}]" if ":" in address else address
        headers = {"Host": parts.netloc, "Origin": f"http://{parts.netloc}"}
        httpx.post(f"http://{host}:{parts.port}{parts.path}", headers=headers, content=f"#{parts.fragment}")

    if address == "::1" and not has_ipv6():
        with callback_server(redirect_uri, lambda _text: pytest.fail("nothing was sent")):
            return
    assert sign_in_to(sandbox, redirect_uri, act).access_token == sandbox.users["ben"].access_token


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as free:
            free.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /callback HTTP/1.1\r\nHost: ", b"POST /callback HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n"],
)
def test_a_silent_connection_is_closed(sandbox, redirect_uri, monkeypatch, sent):
    monkeypatch.setattr(loopback._Handler, "timeout", 0.01)
    parts = urlsplit(redirect_uri)
    with (
        callback_server(redirect_uri, lambda _text: pytest.fail("nothing was sent")),
        socket.create_connection((parts.hostname, parts.port)) as connection,
    ):
        connection.sendall(sent.replace(b"{host}", parts.netloc.encode()))
        assert connection.recv(1000) == b""


def test_the_browser_gets_no_secret(monkeypatch, tmp_path):
    seen = tmp_path / "seen"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nenv > {seen}\necho "$1" >> {seen}\n')
    script.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(script))
    for name in ("BOOMPLAY_APP_SECRET", "FAVSYNC_ENCRYPTION_KEY", "TOKEN_OF_ADA", "PGPASSWORD"):
        monkeypatch.setenv(name, "a-secret")
    monkeypatch.setenv("DISPLAY", ":7")
    open_browser("http://127.0.0.1/consent?state=x")
    assert "a-secret" not in seen.read_text()
    assert "DISPLAY=:7" in seen.read_text()
    assert seen.read_text().endswith("http://127.0.0.1/consent?state=x\n")


def test_the_wait_ends_after_the_timeout_or_a_stop(sandbox, redirect_uri):
    with pytest.raises(CredentialsError, match="no answer came") as late:
        sign_in_to(sandbox, redirect_uri, lambda _url: None, timeout_seconds=0)
    assert "--no-browser" in late.value.remedy
    stop = threading.Event()
    with pytest.raises(CredentialsError, match="no answer came"):
        sign_in_to(sandbox, redirect_uri, lambda _url: stop.set(), stop=stop)


def test_without_a_browser_the_final_address_is_pasted(sandbox, redirect_uri):
    said: list[str] = []
    config = settings("sqlite:////nowhere.db", sandbox, BOOMPLAY_REDIRECT_URI=redirect_uri)

    def paste() -> str:
        found = re.search(r"http\S+", said[0])
        assert found
        return consented(found[0])

    token = sign_in(config, said.append, paste=paste, open_page=lambda _url: pytest.fail("a browser was opened"))
    assert token.access_token == sandbox.users["ben"].access_token


def test_a_pasted_address_of_another_sign_in_is_refused(sandbox, redirect_uri):
    config = settings("sqlite:////nowhere.db", sandbox, BOOMPLAY_REDIRECT_URI=redirect_uri)
    with pytest.raises(CredentialsError, match="its state differs"):
        sign_in(config, lambda _words: None, paste=lambda: f"{redirect_uri}#access_token=x&state=y")


def test_an_empty_paste_is_an_error(sandbox, redirect_uri):
    config = settings("sqlite:////nowhere.db", sandbox, BOOMPLAY_REDIRECT_URI=redirect_uri)
    with pytest.raises(CredentialsError, match="no address was pasted"):
        sign_in(config, lambda _words: None, paste=lambda: "\n")


def test_a_remote_redirect_address_needs_no_browser_option(sandbox):
    with pytest.raises(UsageError, match="not on this machine") as refused:
        sign_in_to(sandbox, "https://app.example.invalid/callback", lambda _url: None)
    assert "--no-browser" in refused.value.remedy


def test_a_port_in_use_is_named(sandbox):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}"):
            sign_in_to(sandbox, f"http://127.0.0.1:{port}/", lambda _url: None)

"""Sign-in, with a fake browser that follows redirects and does what the page's script does."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from etl.accounts import login
from etl.accounts.login import callback_server, open_browser, sign_in
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


get, post = partial(httpx.get, timeout=None), partial(httpx.post, timeout=None)


def consented(url: str, user: str = "ben", decision: str = "approve") -> str:
    """Answer the consent page, and return the address that it redirects to."""
    answer = get(f"{url}&user={user}&decision={decision}")
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def come_back(location: str, said: list[httpx.Response] | None = None) -> None:
    """Load the page of the redirect, and post back what its address holds, as its script does."""
    parts = urlsplit(location)
    page = get(location.partition("#")[0])
    assert "fetch(location.pathname" in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    brought = (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    answer = post(f"{parts.scheme}://{parts.netloc}{parts.path}", content=brought)
    if said is not None:
        said.append(answer)


@pytest.fixture
def sign_in_with(sandbox, redirect_uri, monkeypatch) -> Callable[..., Token]:
    """Sign in with a browser that does ``act`` in another thread, which has ended when this returns."""

    def sign(act: Callable[[str], Any], uri: str = redirect_uri, **more: Any) -> Token:
        threads: list[threading.Thread] = []

        def open_page(url: str) -> None:
            threads.append(threading.Thread(target=act, args=(url,)))
            threads[0].start()

        monkeypatch.setattr(login, "open_browser", open_page)
        config = settings("sqlite:////nowhere.db", sandbox, BOOMPLAY_REDIRECT_URI=uri)
        try:
            return sign_in(config, lambda _words: None, **more)
        finally:
            for thread in threads:
                thread.join()

    return sign


@pytest.mark.parametrize("encoding", ["percent", "raw"])
@pytest.mark.parametrize("consent", ["fragment_token", "query_code"])
def test_a_token_comes_in_the_fragment_or_for_a_code(sandbox, consent, encoding, sign_in_with):
    sandbox.switch(consent=consent, consent_encoding=encoding, refresh="rotating")
    token = sign_in_with(lambda url: come_back(consented(url)))
    assert token.access_token == sandbox.users["ben"].access_token
    assert token.expires_in_seconds == 7200
    assert (token.refresh_token is not None) == (consent == "query_code")


def test_a_denial_is_an_error_with_the_reason(sign_in_with):
    said: list[httpx.Response] = []
    with pytest.raises(CredentialsError, match="refused the sign-in: access_denied"):
        sign_in_with(lambda url: come_back(consented(url, decision="deny"), said))
    assert "access_denied" in said[0].text


def test_only_the_redirect_of_this_sign_in_counts(sandbox, redirect_uri, sign_in_with):
    own, evil = redirect_uri.removesuffix("/callback"), {"Host": "evil.example.invalid"}
    said: list[httpx.Response] = []

    def act(url: str) -> None:
        fragment = "#" + consented(url).partition("#")[2]
        said.append(get(redirect_uri, headers=evil))
        said.append(get(redirect_uri + "/else"))
        said.append(post(redirect_uri, headers=evil, content=fragment))
        for origin in ("http://evil.example.invalid", "null", "http://localhost:1"):
            said.append(post(redirect_uri, headers={"Origin": origin}, content=fragment))
        said.append(post(redirect_uri, content="x" * (login.MAX_POST_BYTES + 1)))
        said.append(post(redirect_uri, content="#access_token=planted&state=guessed"))
        said.append(post(redirect_uri, headers={"Origin": own}, content=fragment))

    assert sign_in_with(act).access_token == sandbox.users["ben"].access_token
    assert [answer.status_code for answer in said] == [404, 404, 404, 403, 403, 403, 413, 400, 200]
    assert "another sign-in" in said[-2].text


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        return True
    return False


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"] if has_ipv6() else ["127.0.0.1"])
def test_localhost_listens_on_every_address(sandbox, redirect_uri, sign_in_with, host):
    redirect_uri = redirect_uri.replace("127.0.0.1", "localhost")
    sandbox.redirect_uris.add(redirect_uri)

    def act(url: str) -> None:
        parts = urlsplit(consented(url))
        headers = {"Host": parts.netloc, "Origin": f"http://{parts.netloc}"}
        post(f"http://{host}:{parts.port}{parts.path}", headers=headers, content=f"#{parts.fragment}")

    assert sign_in_with(act, redirect_uri).access_token == sandbox.users["ben"].access_token


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /callback HTTP/1.1\r\nHost: ", b"POST /callback HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n"],
)
def test_a_silent_connection_is_closed(sandbox, redirect_uri, monkeypatch, sent):
    monkeypatch.setattr(login._CallbackHandler, "timeout", 0.01)
    parts = urlsplit(redirect_uri)
    with (
        callback_server(redirect_uri, lambda _text: pytest.fail("nothing was sent")),
        socket.create_connection((parts.hostname, parts.port)) as connection,
        suppress(ConnectionError),
    ):  # a slow machine may send into a closed connection
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


def test_the_wait_ends_after_the_timeout_or_a_stop(sign_in_with):
    with pytest.raises(CredentialsError, match="no answer came") as late:
        sign_in_with(lambda _url: None, timeout_seconds=0)
    assert "--no-browser" in late.value.remedy
    stop = threading.Event()
    with pytest.raises(CredentialsError, match="no answer came"):
        sign_in_with(lambda _url: stop.set(), stop=stop)


def test_without_a_browser_the_final_address_is_pasted(sandbox, redirect_uri):
    said: list[str] = []
    config = settings("sqlite:////nowhere.db", sandbox, BOOMPLAY_REDIRECT_URI=redirect_uri)

    def paste() -> str:
        found = re.search(r"http\S+", said[0])
        assert found
        return consented(found[0])

    token = sign_in(config, said.append, paste=paste)
    assert token.access_token == sandbox.users["ben"].access_token


@pytest.mark.parametrize(
    ("pasted", "problem"), [("#access_token=x&state=y", "its state differs"), ("\n", "no address was pasted")]
)
def test_a_useless_pasted_address_is_an_error(sandbox, redirect_uri, pasted, problem):
    config = settings("sqlite:////nowhere.db", sandbox, BOOMPLAY_REDIRECT_URI=redirect_uri)
    with pytest.raises(CredentialsError, match=problem):
        sign_in(config, lambda _words: None, paste=lambda: pasted)


def test_an_unusable_redirect_address_is_named(sign_in_with):
    with pytest.raises(UsageError, match="not on this machine") as refused:
        sign_in_with(lambda _url: None, "https://app.example.invalid/callback")
    assert "--no-browser" in refused.value.remedy
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}"):
            sign_in_with(lambda _url: None, f"http://127.0.0.1:{port}/")

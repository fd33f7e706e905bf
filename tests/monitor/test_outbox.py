"""Posting to an address that is a secret."""

from __future__ import annotations

import socket
import threading
from urllib.error import HTTPError

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from etl.errors import NotDelivered
from etl.monitor.outbox import TRIES, Outbox, describe, post


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    elsewhere = {"Location": httpserver.url_for("/elsewhere")}
    httpserver.expect_request("/hook").respond_with_response(Response(status=302, headers=elsewhere))
    with pytest.raises(HTTPError, match="302"):
        post(httpserver.url_for("/hook"), b"told")
    assert [request.path for request, _ in httpserver.log] == ["/hook"]


def test_a_receiver_that_stumbles_is_asked_once_more_and_one_that_says_no_is_not(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/hook").respond_with_data(status=502)
    httpserver.expect_ordered_request("/hook").respond_with_data("ok")
    httpserver.expect_ordered_request("/hook").respond_with_data(status=404)
    post(httpserver.url_for("/hook"), b"told", "text/plain")
    with pytest.raises(HTTPError, match="404"):
        post(httpserver.url_for("/hook"), b"told", "text/plain")
    assert len(httpserver.log) == 3


@pytest.mark.parametrize("answer", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"])
def test_an_answer_that_is_no_http_is_one_of_a_network_that_fails(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            for _ in range(TRIES):
                connection, _address = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        threading.Thread(target=reply, daemon=True).start()
        with pytest.raises(OSError, match="no HTTP answer"):
            post(f"http://127.0.0.1:{server.getsockname()[1]}/secret", b"told")


def test_a_host_that_no_name_can_have_is_one_of_a_network_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    as_the_real_one_begins = lambda host, *_more, **_named: host.encode("idna")  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", as_the_real_one_begins)
    with pytest.raises(OSError, match="no host can have that name"):
        post(f"http://{'a' * 70}.invalid/secret", b"told")


def test_a_bug_in_one_delivery_does_not_end_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []

    def deliver(number: int) -> None:
        if number == 1:
            raise ZeroDivisionError
        done.append(number)

    outbox = Outbox[int]("test", deliver, trouble="it cannot be told", full="dropped")
    for number in (1, 2):
        outbox.put(number)
    outbox.close()
    assert done == [2]
    assert "it cannot be told" in capfd.readouterr().err


@pytest.mark.parametrize(
    "error", [OSError("https://hook.invalid/secret"), HTTPError("https://hook.invalid/secret", 500, "x", {}, None)]
)  # type: ignore[arg-type]
def test_an_address_is_in_no_message(error: OSError) -> None:
    assert "secret" not in describe(error)
    assert describe(NotDelivered("what was said")) == "what was said"

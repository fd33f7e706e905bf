"""Posts to a secret address, and their queue."""

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
        post(httpserver.url_for("/hook"), b"body")
    assert [request.path for request, _ in httpserver.log] == ["/hook"]


def test_a_5xx_is_tried_again_and_a_4xx_is_not(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/hook").respond_with_data(status=502)
    httpserver.expect_ordered_request("/hook").respond_with_data("ok")
    httpserver.expect_ordered_request("/hook").respond_with_data(status=404)
    post(httpserver.url_for("/hook"), b"body", "text/plain")
    with pytest.raises(HTTPError, match="404"):
        post(httpserver.url_for("/hook"), b"body", "text/plain")
    assert len(httpserver.log) == 3


@pytest.mark.parametrize("answer", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"])
def test_an_invalid_http_response_is_an_os_error(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            for _ in range(TRIES):
                connection, _address = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        threading.Thread(target=reply, daemon=True).start()
        with pytest.raises(OSError, match="invalid HTTP response"):
            post(f"http://127.0.0.1:{server.getsockname()[1]}/secret", b"body")


def test_an_invalid_host_name_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    like_the_real_one = lambda host, *_more, **_named: host.encode("idna")  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", like_the_real_one)
    with pytest.raises(OSError, match="invalid host name"):
        post(f"http://{'a' * 70}.invalid/secret", b"body")


def test_a_bug_in_a_delivery_does_not_end_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []

    def deliver(number: int) -> None:
        if number == 1:
            raise ZeroDivisionError
        done.append(number)

    outbox = Outbox[int]("test", deliver, failed="not delivered", dropped="dropped")
    for number in (1, 2):
        outbox.put(number)
    outbox.close()
    assert done == [2]
    assert "not delivered" in capfd.readouterr().err


@pytest.mark.parametrize(
    "error", [OSError("https://hook.invalid/secret"), HTTPError("https://hook.invalid/secret", 500, "x", {}, None)]
)  # type: ignore[arg-type]
def test_a_description_does_not_contain_the_address(error: OSError) -> None:
    assert "secret" not in describe(error)
    assert describe(NotDelivered("what happened")) == "what happened"

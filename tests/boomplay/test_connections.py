"""What stands on the wire, which httpx's own records of a request no longer see to."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from etl.boomplay.connections import Connections
from etl.boomplay.guard import Deadline
from etl.boomplay.waiting import CancelToken
from etl.errors import SettingsError
from tests.boomplay.service import Service, reply

TARGETS = [
    "/favourite/v1/tracks?offset=0&limit=50",
    "",
    "?again=1",
    "/a/../b",
    "/a b%zz%20'\"<>",
    "/x?q=a b+c%2F&r=[1]",
    "/~user;v=1:2@3",
    "//else.example.invalid/",
]


@pytest.fixture
def connections(service: Service) -> Iterator[Connections]:
    guard = Deadline(CancelToken())
    guard.begin(30)
    made = Connections(service.url, pool_seconds=1, max_connections=1, guard=guard)
    yield made
    made.close()


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_spelt_as_httpx_spells_it(connections: Connections, service: Service, target: str) -> None:
    connections.ask("GET", target, {"X-One": "1"}, b"").close()
    (request,) = service.requests
    assert request.target == httpx.URL(service.url + target).raw_path.decode()
    assert request.headers == {"host": f"127.0.0.1:{service.port}", "x-one": "1"}


def test_a_body_is_sent_with_its_length(connections: Connections, service: Service) -> None:
    connections.ask("POST", "/token", {}, b'{"a":1}').close()
    (request,) = service.requests
    assert (request.line, request.body) == ("POST /token HTTP/1.1", b'{"a":1}')
    assert request.headers["content-length"] == "7"


def test_a_header_that_comes_twice_is_told_with_a_comma(connections: Connections, service: Service) -> None:
    service.answers(reply(b"{}", RETRY_AFTER="1", Retry_After="2"))
    answer = connections.ask("GET", "/", {}, b"")
    assert (answer.header("retry-after"), answer.header("location")) == ("1, 2", None)
    assert b"".join(answer.chunks()) == b"{}"
    answer.close()


def test_what_no_header_can_hold_is_not_sent(connections: Connections, service: Service) -> None:
    with pytest.raises(UnicodeError):
        connections.ask("GET", "/", {"Authorization": "Bearer ü"}, b"")
    assert service.requests == []


def test_a_host_that_no_url_can_hold_is_a_matter_of_settings() -> None:
    with pytest.raises(SettingsError, match="no URL"):
        Connections("https://xn--\x7f", pool_seconds=1, max_connections=1, guard=Deadline(CancelToken()))

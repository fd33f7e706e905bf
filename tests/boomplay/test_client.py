from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from etl import __version__
from etl.boomplay.payloads import User
from etl.boomplay.tokens import StaticToken
from tests.boomplay.conftest import MARKER, Make
from tests.boomplay.service import Service, listing, reply

PLACE = "favourite tracks at offset 98"


def test_a_page_request_is_as_documented(service: Service, client: Make) -> None:
    page = client(language="en-US").favourite_tracks(98, 50)
    assert [item.track_id for item in page.items] == [1, 2]
    (request,) = service.requests
    assert request.line == "GET /favourite/v1/tracks?offset=98&limit=50 HTTP/1.1"
    assert request.headers == {
        "host": f"127.0.0.1:{service.port}",
        "authorization": f"Bearer {MARKER}",
        "app_id": "app-1",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "accept-language": "en-US",
        "connection": "keep-alive",
        "content-type": "application/json",
        "user-agent": f"favsync/{__version__}",
    }


@pytest.mark.parametrize(("limit", "asked"), [(0, 1), (-5, 1), (50, 50), (200, 50)])
def test_the_limit_is_clamped_to_the_documented_range(client: Make, service: Service, limit: int, asked: int) -> None:
    assert client().favourite_tracks(0, limit).limit == asked
    assert service.requests[0].target.endswith(f"limit={asked}")


def test_a_path_before_the_api_is_kept(client: Make, service: Service) -> None:
    client(api_url=service.url + "/proxy/").favourite_tracks(0)
    assert service.requests[0].target == "/proxy/favourite/v1/tracks?offset=0&limit=50"


def test_a_bearer_prefix_is_not_doubled(client: Make, service: Service) -> None:
    client(StaticToken("bearer abcdef")).favourite_tracks(0)
    assert service.requests[0].headers["authorization"] == "Bearer abcdef"


def test_the_user_request_is_as_documented(client: Make, service: Service) -> None:
    service.answers(reply({"code": 0, "data": {"user_id": "u==", "region": "NG"}}))
    assert client().user() == User("u==", None, "NG", None)
    assert service.requests[0].line == "GET /user/getUserInfo HTTP/1.1"


def test_many_requests_use_one_connection(client: Make, service: Service) -> None:
    boomplay = client()
    for offset in range(20):
        boomplay.favourite_tracks(offset)
    assert (service.connections, boomplay.requests, boomplay.retries) == (1, 20, 0)


def test_threads_share_a_client_and_each_gets_its_own_answer(client: Make, service: Service) -> None:
    service.respond = lambda request: listing(int(request.target.partition("offset=")[2].partition("&")[0]))
    boomplay = client()
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(boomplay.favourite_tracks, range(1, 201)))
    assert [(page.offset, page.items[0].track_id) for page in pages] == [(n, n) for n in range(1, 201)]
    assert boomplay.requests_by_status == {"200": 200}


def test_only_retries_are_logged(client: Make, service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.answers(reply(status=503))
    with caplog.at_level(logging.INFO, "etl"):
        client().favourite_tracks(98)
        client().favourite_tracks(98)
    assert caplog.messages == [f"{PLACE}: GET /favourite/v1/tracks: HTTP 503; retry 1 of 5 in 0.5 s"]

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from etl.boomplay.client import Boomplay
from etl.boomplay.http import HttpOptions
from etl.boomplay.oauth import TokenEndpoint
from etl.boomplay.payloads import Token
from etl.boomplay.tokens import RefreshingToken, StaticToken
from etl.errors import (
    ApiRefused,
    CredentialsError,
)
from tests.boomplay.conftest import MARKER
from tests.boomplay.service import FakeTime, Request, Service, listing, reply

Make = Callable[..., Boomplay]


class OtherTokens:
    """A source that has some more tokens."""

    def __init__(self, *more: str) -> None:
        self.more = list(more)
        self.rejected: list[str] = []

    def token(self) -> str:
        return MARKER

    def renew(self, rejected: str) -> str | None:
        self.rejected.append(rejected)
        return self.more.pop(0) if self.more else None


def test_a_request_is_repeated_once_with_a_renewed_token(client: Make, service: Service) -> None:
    service.answers(reply(status=401))
    tokens = OtherTokens("fresh-token")
    boomplay = client(tokens)
    assert boomplay.favourite_tracks(98).items
    assert [request.headers["authorization"] for request in service.requests] == [
        f"Bearer {MARKER}",
        "Bearer fresh-token",
    ]
    assert (tokens.rejected, boomplay.retries) == ([MARKER], 1)


@pytest.mark.parametrize(("more", "requests"), [(["fresh-1", "fresh-2"], 2), ([], 1), ([MARKER], 1)])
def test_a_token_rejected_again_is_a_credentials_error(
    client: Make, service: Service, more: list[str], requests: int
) -> None:
    service.always = reply({"desc": "expired"}, status=401)
    with pytest.raises(CredentialsError, match=r"offset 98: .*HTTP 401: expired"):
        client(OtherTokens(*more)).favourite_tracks(98)
    assert len(service.requests) == requests


def test_a_configured_token_code_renews_the_token(client: Make, service: Service) -> None:
    codes = frozenset({40, 41})
    service.answers(reply({"code": 40, "desc": "token"}))
    assert client(OtherTokens("fresh"), token_codes=codes).favourite_tracks(0).items
    service.answers(reply({"code": 41}, status=403))
    with pytest.raises(CredentialsError, match="code 41"):
        client(token_codes=codes).favourite_tracks(0)


def test_a_configured_throttling_code_is_waited_out(client: Make, service: Service, fake_time: FakeTime) -> None:
    service.answers(reply({"code": 50}, Retry_After="9"))
    assert client(throttled_codes=frozenset({50})).favourite_tracks(0).items
    assert fake_time.waits == [9]


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "na\u00efve", "nul\0"])
def test_a_token_unfit_for_a_header_is_refused(client: Make, service: Service, token: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        client(StaticToken(token)).favourite_tracks(0)
    assert not token or token not in str(caught.value)
    assert service.requests == []


def test_threads_that_were_rejected_together_renew_once(
    client: Make, service: Service, options: Callable[..., HttpOptions]
) -> None:
    def respond(request: Request) -> bytes:
        if request.target == "/oauth/token":
            return reply({"accessToken": "fresh-token"})
        is_fresh = request.headers["authorization"] == "Bearer fresh-token"
        return listing(1) if is_fresh else reply(status=401)

    service.respond = respond
    with TokenEndpoint(options()) as endpoint:
        kept: list[Token] = []
        tokens = RefreshingToken(endpoint, Token("stale-token", None, "refresh-1"), store=kept.append)
        boomplay = client(tokens)
        with ThreadPoolExecutor(8) as pool:
            pages = list(pool.map(boomplay.favourite_tracks, range(40)))
    assert len(pages) == 40
    assert len(kept) == endpoint.requests == 1


def test_a_redirect_within_the_service_keeps_the_token(client: Make, service: Service) -> None:
    service.answers(reply(status=307, Location="/v2/tracks?offset=98"), reply(status=301, Location=f"{service.url}/v3"))
    boomplay = client()
    assert boomplay.favourite_tracks(98).items
    assert [request.target for request in service.requests[1:]] == ["/v2/tracks?offset=98", "/v3"]
    assert {request.headers["authorization"] for request in service.requests} == {f"Bearer {MARKER}"}
    assert (boomplay.requests, boomplay.retries) == (3, 0)


def test_endless_redirects_are_refused(client: Make, service: Service) -> None:
    service.always = reply(status=302, Location="/again")
    with pytest.raises(ApiRefused, match=r"offset 98: .*more than 3 redirects"):
        client().favourite_tracks(98)
    assert len(service.requests) == 4


@pytest.mark.parametrize("location", ["http://evil.example/x", "//evil.example", "https://evil.example:443/"])
def test_a_redirect_elsewhere_is_refused_by_name(client: Make, service: Service, location: str) -> None:
    service.answers(reply(status=302, Location=location))
    with pytest.raises(ApiRefused, match=r"offset 98: .*redirected to evil\.example, which is not followed") as caught:
        client().favourite_tracks(98)
    assert caught.value.status == 302


def test_a_redirect_to_another_port_gets_no_token(client: Make, service: Service) -> None:
    elsewhere = Service(always=listing(666))
    try:
        service.answers(reply(status=302, Location=f"{elsewhere.url}/favourite/v1/tracks"))
        with pytest.raises(ApiRefused, match=r"redirected to 127\.0\.0\.1"):
            client().favourite_tracks(98)
        assert elsewhere.connections == 0
    finally:
        elsewhere.close()

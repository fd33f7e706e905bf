from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from etl.boomplay.http import HttpOptions
from etl.boomplay.oauth import EXCHANGE, REFRESH, GrantRequest, TokenEndpoint
from etl.boomplay.payloads import Token
from etl.boomplay.tokens import AppToken, RefreshingToken, StaticToken
from etl.errors import ApiRefused, ApiUnreachable, CredentialsError
from tests.boomplay.conftest import MARKER, Make
from tests.boomplay.service import FakeTime, Request, Service, listing, reply

OLD = Token("old-access", 7200, "refresh-1", "user-1")


def granted(number: int, **more: object) -> bytes:
    return reply({"desc": None, "code": 0, "data": {"access_token": f"access-{number}", **more}})


@pytest.fixture
def endpoint(options: Callable[..., HttpOptions]) -> Iterator[TokenEndpoint]:
    with TokenEndpoint(options(max_retries=1), "s3cret") as running:
        yield running


@dataclass
class Shelf:
    """Where tokens are kept."""

    kept: list[Token] = field(default_factory=list)
    breaks: int = 0

    def store(self, token: Token) -> None:
        if self.breaks:
            self.breaks -= 1
            raise OSError("disk full")
        self.kept.append(token)

    def load(self) -> Token | None:
        return self.kept[-1] if self.kept else None


def test_a_static_token_cannot_be_renewed() -> None:
    source = StaticToken(" tok-1 \n")
    assert source.token() == "tok-1"
    assert source.renew("tok-1") is None
    assert "tok-1" not in repr(source)


def test_the_app_token_request_is_as_documented(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(reply({"accessToken": "app-access", "expiresIn": 7200}))
    assert AppToken(endpoint).token() == "app-access"
    (request,) = service.requests
    assert request.line == "POST /oauth/token HTTP/1.1"
    assert json.loads(request.body) == {"grant_type": "clientCredentials", "app_id": "app-1", "app_secret": "s3cret"}
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers


def test_the_app_token_is_kept_until_shortly_before_its_end(
    service: Service, endpoint: TokenEndpoint, fake_time: FakeTime
) -> None:
    service.answers(granted(1, expires_in=1000), granted(2, expires_in=None), granted(3))
    source = AppToken(endpoint)
    seen = []
    for elapsed in (0, 899, 900, 900 + 6479, 900 + 6480):
        fake_time.elapsed = elapsed
        seen.append(source.token())
    assert seen == ["access-1", "access-1", "access-2", "access-2", "access-3"]


def test_a_rejected_app_token_is_replaced_once(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(granted(1), granted(2))
    source = AppToken(endpoint)
    assert source.token() == "access-1"
    assert source.renew("access-1") == source.renew("access-1") == source.token() == "access-2"
    assert len(service.requests) == 2


def test_the_same_app_token_again_is_no_new_one(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(granted(1), granted(1))
    source = AppToken(endpoint)
    assert source.renew(source.token()) is None


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_a_refused_secret_is_a_credentials_error(service: Service, endpoint: TokenEndpoint, status: int) -> None:
    service.answers(reply({"code": 9, "desc": "s3cret is wrong"}, status=status))
    with pytest.raises(CredentialsError) as caught:
        AppToken(endpoint).token()
    assert "app token: " in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_missing_token_endpoint_is_a_refusal(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(reply(status=404))
    with pytest.raises(ApiRefused, match="app token: POST /oauth/token: HTTP 404"):
        AppToken(endpoint).token()


def test_a_secret_does_not_follow_a_redirect(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(reply(status=307, Location="/elsewhere"))
    with pytest.raises(ApiRefused, match="redirected to"):
        AppToken(endpoint).token()
    assert len(service.requests) == 1


def test_the_path_and_the_fields_of_a_grant_can_be_configured(service: Service, endpoint: TokenEndpoint) -> None:
    service.always = granted(1)
    endpoint.ask(GrantRequest("x", "/t", "rt", "refreshToken"), "refresh-1")
    assert service.requests[0].target == "/t"
    assert json.loads(service.requests[0].body) == {
        "grant_type": "rt", "app_id": "app-1", "app_secret": "s3cret", "refreshToken": "refresh-1"
    }  # fmt: skip


def test_a_code_is_exchanged_for_the_users_token(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(granted(1, refresh_token="r", user_id="u", expires_in=7200))
    assert endpoint.ask(EXCHANGE, "code+1", redirect_uri="http://127.0.0.1:8888/") == Token("access-1", 7200, "r", "u")
    assert service.requests[0].target == EXCHANGE.path
    assert json.loads(service.requests[0].body) == {
        "grant_type": "authorization_code",
        "app_id": "app-1",
        "app_secret": "s3cret",
        "code": "code+1",
        "redirect_uri": "http://127.0.0.1:8888/",
    }


def test_a_refreshed_token_is_stored_before_it_is_used(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(granted(1, refresh_token="refresh-2", expires_in=60))
    in_use_at_store = []
    source = RefreshingToken(endpoint, OLD, store=lambda _: in_use_at_store.append(str(source.token())))
    assert source.renew("old-access") == source.token() == "access-1"
    assert in_use_at_store == ["old-access"]
    assert service.requests[0].target == REFRESH.path
    assert json.loads(service.requests[0].body)["refresh_token"] == "refresh-1"


def test_a_refresh_keeps_fields_that_the_answer_omits(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(granted(1))
    shelf = Shelf()
    RefreshingToken(endpoint, OLD, store=shelf.store).renew("old-access")
    assert shelf.kept == [Token("access-1", None, "refresh-1", "user-1")]


def test_an_unstored_token_is_neither_used_nor_lost(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(granted(1, refresh_token="refresh-2"))
    shelf = Shelf(breaks=1)
    source = RefreshingToken(endpoint, OLD, store=shelf.store)
    with pytest.raises(OSError, match="disk full"):
        source.renew("old-access")
    assert source.token() == "old-access"
    assert source.renew("old-access") == "access-1"
    assert (len(service.requests), shelf.kept[0].refresh_token) == (1, "refresh-2")


def test_a_token_renewed_by_another_process_is_used(service: Service, endpoint: TokenEndpoint) -> None:
    shelf = Shelf([Token("theirs", None, "refresh-9")])
    entered = []

    @contextmanager
    def alone() -> Iterator[None]:
        entered.append(True)
        yield

    source = RefreshingToken(endpoint, OLD, store=shelf.store, load=shelf.load, alone=alone)
    assert source.renew("old-access") == "theirs"
    assert (service.requests, entered) == ([], [True])
    service.answers(granted(1))
    assert source.renew("theirs") == "access-1"
    assert json.loads(service.requests[0].body)["refresh_token"] == "refresh-9"


def test_without_a_refresh_token_there_is_nothing_to_renew(service: Service, endpoint: TokenEndpoint) -> None:
    source = RefreshingToken(endpoint, Token("old-access"), store=Shelf().store)
    assert source.renew("old-access") is None
    assert service.requests == []


def test_a_refused_refresh_token_is_not_sent_again(service: Service, endpoint: TokenEndpoint) -> None:
    service.always = reply({"error": "invalid_grant"}, status=400)
    source = RefreshingToken(endpoint, OLD, store=Shelf().store)
    for _ in range(3):
        with pytest.raises(CredentialsError, match="invalid_grant"):
            source.renew("old-access")
    assert len(service.requests) == 1


def test_a_refresh_that_failed_transiently_is_retried(service: Service, endpoint: TokenEndpoint) -> None:
    service.answers(reply(status=503), reply(status=503), granted(1))
    source = RefreshingToken(endpoint, OLD, store=Shelf().store)
    with pytest.raises(ApiUnreachable, match="refreshed token: POST /oauth/token: HTTP 503, 2 times"):
        source.renew("old-access")
    assert source.renew("old-access") == "access-1"


def test_no_repr_shows_a_secret(endpoint: TokenEndpoint) -> None:
    shown = repr((endpoint, AppToken(endpoint), RefreshingToken(endpoint, OLD, store=Shelf().store)))
    assert not any(secret in shown for secret in ("s3cret", "old-access", "refresh-1"))


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

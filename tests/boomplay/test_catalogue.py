"""Lookup of tracks by id, against every documented or possible answer of the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from etl.boomplay.client import MAX_SINGLE_LOOKUPS, TrackCatalogue
from etl.boomplay.http import HttpOptions
from etl.boomplay.oauth import TokenEndpoint
from etl.boomplay.tokens import AppToken, StaticToken
from etl.errors import ApiRefused, PayloadError
from tests.boomplay.conftest import MARKER, Make
from tests.boomplay.service import Request, Service, listing, reply

USER = StaticToken(MARKER)
KNOWN = {*range(1, 31), 500}


def asked(request: Request) -> list[int]:
    return [int(track_id) for track_id in request.target.partition("?ids=")[2].split(",")]


def dropping(request: Request) -> bytes:
    return listing(*(track_id for track_id in reversed(asked(request)) if track_id in KNOWN))


def with_nulls(request: Request) -> bytes:
    data = [{"track_id": track_id} if track_id in KNOWN else None for track_id in asked(request)]
    return reply({"code": 0, "data": data})


def refusing(request: Request) -> bytes:
    return dropping(request) if set(asked(request)) <= KNOWN else reply({"code": 9, "desc": "no such track"})


def not_found(request: Request) -> bytes:
    return dropping(request) if set(asked(request)) <= KNOWN else reply(status=404)


def found(result: dict[int, object] | None) -> dict[int, bool] | None:
    return None if result is None else {track_id: item is not None for track_id, item in result.items()}


def test_tracks_are_requested_in_batches_without_duplicates(client: Make, service: Service) -> None:
    service.respond = dropping
    result = TrackCatalogue(client(), [USER]).lookup([*range(1, 42), 5, 6])
    assert found(result) == {track_id: track_id <= 30 for track_id in range(1, 42)}
    assert result
    assert result[7].body == b'{"track_id": 7}'
    batches = [asked(request) for request in service.requests]
    assert [len(batch) for batch in batches] == [20, 20, 1]
    assert [number for batch in batches for number in batch] == [*range(1, 42)]


def test_an_unrequested_entry_is_ignored(client: Make, service: Service) -> None:
    service.always = listing(1, 77)
    assert found(client().tracks([1, 2])) == {1: True, 2: False}


def test_an_entry_without_an_id_makes_the_answer_unusable(client: Make, service: Service) -> None:
    service.always = listing(1, "x")
    with pytest.raises(PayloadError, match="2 tracks by id, from 1: an entry has no readable id"):
        client().tracks([1, 2])
    assert TrackCatalogue(client(), [USER]).lookup([1, 2]) is None


@pytest.mark.parametrize("respond", [dropping, with_nulls, refusing, not_found])
def test_every_form_of_an_unknown_id_is_understood(
    client: Make, service: Service, respond: Callable[[Request], bytes]
) -> None:
    service.respond = respond
    wanted = [*range(1, 25), 40, 41]
    assert found(TrackCatalogue(client(), [USER]).lookup(wanted)) == {track_id: track_id < 40 for track_id in wanted}


def test_a_lone_refusal_needs_a_known_id_to_count(client: Make, service: Service) -> None:
    service.respond = refusing
    catalogue = TrackCatalogue(client(), [USER])
    assert catalogue.lookup([40]) is None
    assert found(catalogue.lookup([40], known_id=500)) == {40: False}
    assert catalogue.lookup([40], known_id=41) is None


@pytest.mark.parametrize("answer", [reply({"code": 9}), reply(status=404), reply(status=403), reply(status=401)])
def test_a_service_that_refuses_everything_proves_nothing(client: Make, service: Service, answer: bytes) -> None:
    service.always = answer
    assert TrackCatalogue(client(), [USER]).lookup([1, 2], known_id=3) is None
    assert len(service.requests) <= 2


@pytest.mark.parametrize("answer", [reply(status=503), reply(b"<html>"), reply(status=429, Retry_After="4000")])
def test_a_service_that_is_down_cannot_be_asked(client: Make, service: Service, answer: bytes) -> None:
    service.always = answer
    assert TrackCatalogue(client(max_retries=0), [USER, USER]).lookup([1]) is None
    assert len(service.requests) <= 3


def test_single_lookups_are_bounded(client: Make, service: Service) -> None:
    service.respond = refusing
    catalogue = TrackCatalogue(client(), [USER])
    assert catalogue.lookup(range(30, 30 + 20 * 10), known_id=500) is None
    assert len(service.requests) <= MAX_SINGLE_LOOKUPS + 20


def test_the_app_token_comes_before_the_users(
    client: Make, service: Service, options: Callable[..., HttpOptions]
) -> None:
    def respond(request: Request) -> bytes:
        return reply({"accessToken": "app-access"}) if request.target == "/oauth/token" else dropping(request)

    service.respond = respond
    with TokenEndpoint(options(), "s3cret") as endpoint:
        assert found(TrackCatalogue(client(), [AppToken(endpoint), USER]).lookup([1])) == {1: True}
    assert [request.headers.get("authorization") for request in service.requests] == [None, "Bearer app-access"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_users_token_follows_a_refused_app_token(client: Make, service: Service, status: int) -> None:
    def respond(request: Request) -> bytes:
        is_user = request.headers["authorization"] == f"Bearer {MARKER}"
        return dropping(request) if is_user else reply(status=status)

    service.respond = respond
    assert found(TrackCatalogue(client(), [StaticToken("app-access"), USER]).lookup([1])) == {1: True}


def test_without_any_token_the_catalogue_cannot_be_asked(client: Make, service: Service) -> None:
    assert TrackCatalogue(client(), []).lookup([1]) is None
    assert service.requests == []


def test_a_refusal_of_tracks_is_an_error_outside_the_catalogue(client: Make, service: Service) -> None:
    service.respond = refusing
    with pytest.raises(ApiRefused, match="2 tracks by id, from 1: the service answered code 9: no such track"):
        client().tracks([1, 40])

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from etl import clock
from etl.boomplay.client import Boomplay
from etl.boomplay.rate_limit import limiter_for
from etl.boomplay.waiting import Clock
from etl.errors import (
    ApiUnreachable,
    RateLimited,
)
from tests.boomplay.service import FakeTime, Service, reply

Make = Callable[..., Boomplay]


def test_waits_grow_and_no_wait_follows_the_last_try(client: Make, service: Service, fake_time: FakeTime) -> None:
    service.always = reply(status=500)
    with pytest.raises(ApiUnreachable):
        client().favourite_tracks(0)
    assert fake_time.waits == [0.5, 1, 2, 4, 8]


def test_retry_after_is_honoured(client: Make, service: Service, fake_time: FakeTime) -> None:
    service.answers(
        reply(status=429, Retry_After="7"),
        reply(status=503, Retry_After="Fri, 02 Jan 2026 03:04:32 GMT"),
        reply(status=429, Retry_After="0"),
        reply(status=429, Retry_After="soon"),
    )
    assert client().favourite_tracks(0).items
    assert fake_time.waits == [7, 20, 2, 4]


def test_one_429_makes_every_request_of_the_app_id_wait(client: Make, service: Service, fake_time: FakeTime) -> None:
    service.answers(reply(status=429, Retry_After="7"))
    slowed, other, stranger = client(max_retries=0), client(), client(app_id="app-2")
    with pytest.raises(RateLimited):
        slowed.favourite_tracks(0)
    stranger.favourite_tracks(0)
    assert fake_time.waits == []
    other.favourite_tracks(0)
    assert fake_time.waits == [60]


def test_everybody_is_held_already_while_the_one_that_got_the_429_waits(
    client: Make, service: Service, fake_time: FakeTime
) -> None:
    held = []

    def wait(seconds: float) -> bool:
        held.append(limiter_for(service.url, "app-1", 0).paused_seconds(fake_time.elapsed))
        return fake_time.wait(seconds)

    service.answers(reply(status=429, Retry_After="7"), reply(status=503), reply(status=503, Retry_After="9"))
    client(timing=replace(fake_time.timing, wait=wait)).favourite_tracks(0)
    assert (held, fake_time.waits) == ([7, 0, 9], [7, 1, 9])


def test_who_waits_for_a_turn_is_told_when_the_app_id_is_parked_meanwhile(
    client: Make, service: Service, fake_time: FakeTime
) -> None:
    def wait(seconds: float) -> bool:
        assert not fake_time.waits, "it waits for a turn that was put off by a quarter of an hour"
        limiter_for(service.url, "app-1", 1).pause(fake_time.elapsed + 1000)
        return fake_time.wait(seconds)

    boomplay = client(requests_per_second=1, timing=replace(fake_time.timing, wait=wait))
    boomplay.favourite_tracks(0)
    with pytest.raises(RateLimited, match="asked this app to wait"):
        boomplay.favourite_tracks(49)
    assert (len(service.requests), fake_time.waits) == (1, [1])


def test_a_long_retry_after_parks_all_requests_of_the_app_id_at_once(
    client: Make, service: Service, fake_time: FakeTime
) -> None:
    service.answers(reply(status=429, Retry_After="74214"))
    retry_at = fake_time.now() + timedelta(seconds=74214)
    first, second = client(), client()
    with pytest.raises(RateLimited, match="HTTP 429; next try at 2026-01-02 23:40:59 UTC") as caught:
        first.favourite_tracks(98)
    assert caught.value.retry_at == retry_at
    fake_time.elapsed += 1000
    with pytest.raises(RateLimited, match="asked this app to wait; next try at 2026-01-02 23:40:59 UTC") as caught:
        second.favourite_tracks(49)
    assert caught.value.retry_at == retry_at
    assert (len(service.requests), fake_time.waits) == (1, [])
    fake_time.elapsed += 74214
    assert second.favourite_tracks(49).items


def test_requests_keep_to_the_rate_that_all_share(client: Make, fake_time: FakeTime) -> None:
    first, second = client(requests_per_second=2), client(requests_per_second=2)
    for _ in range(3):
        first.favourite_tracks(0)
        second.favourite_tracks(0)
    assert sum(fake_time.waits) == 2.0


@pytest.mark.parametrize("rest", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_server_that_drips_is_left_when_the_time_of_the_request_is_up(
    client: Make, service: Service, rest: bytes
) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(rest)
        while not service.is_closing.wait(0.01) and rest:
            connection.sendall(b"x")
        service.is_closing.wait()

    service.answers(drip)
    boomplay = client(timeout_seconds=0.1, max_retries=0)
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*no complete answer within 0\.1 s"):
        boomplay.favourite_tracks(98)
    assert boomplay.favourite_tracks(0).items


def test_a_stop_ends_a_wait_at_once(client: Make, service: Service) -> None:
    stop = threading.Event()
    service.always = reply(status=429, Retry_After="50")
    boomplay = client(stop=stop, timing=Clock())
    threading.Timer(0.05, stop.set).start()
    began = clock.monotonic()
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*: stopped before there was an answer"):
        boomplay.favourite_tracks(98)
    assert clock.monotonic() - began < 40
    with pytest.raises(ApiUnreachable, match="stopped"):
        boomplay.favourite_tracks(98)
    assert len(service.requests) == 1


@pytest.mark.parametrize("by_closing", [True, False])
def test_a_stop_ends_a_read_that_waits_for_the_server(client: Make, service: Service, by_closing: bool) -> None:
    stop = threading.Event()
    boomplay = client(stop=stop, timing=Clock())

    def keep_waiting(_: socket.socket) -> None:
        boomplay.close() if by_closing else stop.set()
        service.is_closing.wait()

    service.always = keep_waiting
    began = clock.monotonic()
    with pytest.raises(ApiUnreachable, match="stopped"):
        boomplay.favourite_tracks(98)
    assert clock.monotonic() - began < 20  # the request itself has 30
    assert (boomplay.requests, stop.is_set()) == (1, not by_closing)

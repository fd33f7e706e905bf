"""Waits: retries, requests to slow down, the rate of an app id, and cancellation."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from etl.boomplay.waiting import RateLimiter, limiter_for
from etl.errors import ApiUnreachable, RateLimited
from tests.boomplay.conftest import Make
from tests.boomplay.service import FakeTime, Service, hang_up, reply


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


def test_one_429_delays_every_request_of_the_app_id(client: Make, service: Service, fake_time: FakeTime) -> None:
    service.answers(reply(status=429, Retry_After="7"))
    slowed, other, stranger = client(max_retries=0), client(), client(app_id="app-2")
    with pytest.raises(RateLimited):
        slowed.favourite_tracks(0)
    stranger.favourite_tracks(0)
    assert fake_time.waits == []
    other.favourite_tracks(0)
    assert fake_time.waits == [60]


def test_other_requests_wait_during_a_shared_wait(client: Make, service: Service, fake_time: FakeTime) -> None:
    held = []

    def wait(seconds: float) -> bool:
        held.append(limiter_for(service.url, "app-1", 0).paused_seconds(fake_time.elapsed))
        return fake_time.wait(seconds)

    service.answers(reply(status=429, Retry_After="7"), reply(status=503), reply(status=503, Retry_After="9"))
    client(timing=replace(fake_time.timing, wait=wait)).favourite_tracks(0)
    assert (held, fake_time.waits) == ([7, 0, 9], [7, 1, 9])


def test_a_call_that_waits_for_its_turn_notices_a_parked_app_id(
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


def test_a_long_retry_after_parks_the_whole_app_id(client: Make, service: Service, fake_time: FakeTime) -> None:
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


def test_clients_of_an_app_id_share_its_rate(client: Make, fake_time: FakeTime) -> None:
    first, second = client(requests_per_second=2), client(requests_per_second=2)
    for _ in range(3):
        first.favourite_tracks(0)
        second.favourite_tracks(0)
    assert sum(fake_time.waits) == 2.0


def test_a_cancelled_wait_ends_the_call(client: Make, service: Service, fake_time: FakeTime) -> None:
    stop = threading.Event()

    def wait(_: float) -> bool:
        stop.set()
        return True

    service.always = reply(status=503)
    boomplay = client(stop=stop, timing=replace(fake_time.timing, wait=wait))
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*: stopped before there was an answer"):
        boomplay.favourite_tracks(98)
    with pytest.raises(ApiUnreachable, match="stopped"):
        boomplay.favourite_tracks(98)
    assert len(service.requests) == 1


@pytest.mark.parametrize("by_closing", [True, False])
def test_a_request_that_fails_after_a_stop_is_not_repeated(client: Make, service: Service, by_closing: bool) -> None:
    stop = threading.Event()
    boomplay = client(stop=stop)

    def stop_and_hang_up(connection: socket.socket) -> None:
        boomplay.close() if by_closing else stop.set()
        hang_up(connection)

    service.always = stop_and_hang_up
    with pytest.raises(ApiUnreachable, match="stopped"):
        boomplay.favourite_tracks(98)
    assert (boomplay.requests, stop.is_set()) == (1, not by_closing)


@pytest.mark.parametrize("by_closing", [True, False])
def test_a_wait_ends_when_another_thread_stops_the_client(
    client: Make, service: Service, fake_time: FakeTime, by_closing: bool
) -> None:
    stop, deciding = threading.Event(), threading.Event()

    def an_hour() -> float:
        deciding.set()
        return 7200.0  # times half a second

    service.always = reply(status=503)
    boomplay = client(stop=stop, timing=replace(fake_time.timing, wait=None, jitter=an_hour))
    stopping = threading.Thread(target=lambda: deciding.wait() and (boomplay.close() if by_closing else stop.set()))
    stopping.start()
    with pytest.raises(ApiUnreachable, match="stopped"):
        boomplay.favourite_tracks(98)
    stopping.join()
    assert len(service.requests) == 1


@given(st.sampled_from([0.5, 1, 2.5, 3, 10]), st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_no_second_holds_more_turns_than_the_rate(rate: float, waits: list[float]) -> None:
    limiter, now, turns = RateLimiter(rate), 0.0, []
    for wait in waits:
        now += wait
        turns.append(limiter.take_turn(now))
    width = max(1, int(rate))
    assert all(later - earlier >= width / rate - 1e-9 for earlier, later in zip(turns, turns[width:], strict=False))
    assert turns == sorted(turns)


def test_a_burst_up_to_the_rate_is_not_delayed() -> None:
    limiter = RateLimiter(10)
    assert [limiter.take_turn(5.0) for _ in range(21)] == [5.0] * 10 + [6.0] * 10 + [7.0]
    limiter.set_rate(0)
    assert [limiter.take_turn(8.0) for _ in range(100)] == [8.0] * 100


def test_a_pause_delays_taken_and_later_turns() -> None:
    limiter = RateLimiter(10)
    turn = limiter.take_turn(5.0)
    limiter.pause(8.0)
    limiter.pause(7.0)
    assert limiter.seconds_to(turn, 5.0) == 3.0
    assert limiter.take_turn(5.0) == 8.0
    assert limiter.paused_seconds(6.0) == 2.0
    assert limiter.seconds_to(turn, 9.0) == limiter.paused_seconds(9.0) == 0.0


def test_threads_share_the_turns_and_none_is_lost() -> None:
    limiter = RateLimiter(10)
    together = threading.Barrier(4)

    def take(_: int) -> list[float]:
        together.wait()
        return [limiter.take_turn(0.0) for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        turns = sorted(turn for taken in pool.map(take, range(4)) for turn in taken)
    assert turns == pytest.approx([float(number // 10) for number in range(200)])


def test_an_app_id_has_one_limiter_for_each_service() -> None:
    first = limiter_for("https://one.invalid", "app", 1)
    assert limiter_for("https://one.invalid", "app", 0) is first
    assert limiter_for("https://two.invalid", "app", 1) is not first
    assert limiter_for("https://one.invalid", "other", 1) is not first
    assert [first.take_turn(0.0) for _ in range(3)] == [0.0] * 3, "the newest rate applies"

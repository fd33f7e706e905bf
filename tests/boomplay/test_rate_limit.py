from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.boomplay.rate_limit import RateLimiter, limiter_for

steps = st.lists(st.floats(0, 2), min_size=1, max_size=60)


@given(st.sampled_from([0.5, 1, 2.5, 3, 10]), steps)
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


def test_rate_0_is_no_limit() -> None:
    limiter = RateLimiter(0)
    assert [limiter.take_turn(5.0) for _ in range(100)] == [5.0] * 100


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
    assert limiter_for("https://one.invalid", "app", 1) is first
    assert limiter_for("https://two.invalid", "app", 1) is not first
    assert limiter_for("https://one.invalid", "other", 1) is not first


def test_the_newest_rate_applies_to_a_shared_limiter() -> None:
    limiter = limiter_for("https://rate.invalid", "app", 1)
    limiter_for("https://rate.invalid", "app", 0)
    assert [limiter.take_turn(0.0) for _ in range(3)] == [0.0] * 3

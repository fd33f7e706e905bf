"""What the service of the benchmarks counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from benchmarks.service import Answers
from etl.sandbox import SandboxRequest


def test_the_worst_second_is_that_with_the_most_requests() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    answers = Answers(tracks=5)
    answers.sandbox.now = lambda: now
    for milliseconds in (0, 900, 200, 300, 5_000):
        now += timedelta(milliseconds=milliseconds)
        answers.sandbox.answer(SandboxRequest("GET", "/favourite/v1/tracks?offset=0&limit=50", {}))
    assert (answers.requests(), answers.worst()) == (5, 3)  # 900, 1,100 and 1,400 ms
    answers.reset()
    assert (answers.requests(), answers.worst()) == (0, 0)


def test_reset_serves_the_first_list_again() -> None:
    answers = Answers(tracks=200)
    first = answers.sandbox.favourites("ada")
    assert answers.added(0.01) == 2
    assert answers.sandbox.favourites("ada")[2:] == first
    answers.reset()
    assert answers.sandbox.favourites("ada") == first

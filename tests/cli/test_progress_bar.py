"""The progress line of a long read: it fits 80 columns and is right after a resumption."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from etl.cli import progress_bar
from etl.cli.progress_bar import ReadingPace, duration


@dataclass
class Going:
    reused_items: int = 0
    expected: int = 0


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress_bar, "monotonic", lambda: now[0])
    return now


def test_a_known_length_shows_rate_and_time_left(seconds: list[float]) -> None:
    pace = ReadingPace("ada", Going(expected=1_000))
    seconds[0] += 10
    assert pace.words(500) == "ada: 500 of about 1,000 read, 50/s, 10 s left"


def test_resumed_items_do_not_count_for_the_rate(seconds: list[float]) -> None:
    pace = ReadingPace("ada", Going(reused_items=400, expected=1_000))
    seconds[0] += 10
    assert pace.words(500) == "ada: 500 of about 1,000 read (400 kept), 10/s, 50 s left"


def test_an_unknown_or_exceeded_length_shows_no_time_left(seconds: list[float]) -> None:
    seconds[0] += 10
    pace = ReadingPace("ada", Going())
    seconds[0] += 10
    assert pace.words(500) == "ada: 500 read, 50/s"
    assert "left" not in ReadingPace("ada", Going(expected=400)).words(500)


def test_the_longest_line_fits_80_columns(seconds: list[float]) -> None:
    pace = ReadingPace("default", Going(reused_items=9_751, expected=100_000))
    seconds[0] += 20
    assert len("⠸ " + pace.words(15_142) + " 0:00:09") <= 80


@pytest.mark.parametrize(
    ("length", "words"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (5_399, "90 min"), (7_200, "2.0 h")]
)
def test_a_duration_is_shown_in_s_min_or_h(length: float, words: str) -> None:
    assert duration(length) == words

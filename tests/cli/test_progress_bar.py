"""How far a long reading is: told in words that fit a terminal of 80 columns, and true after a resumption."""

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


def test_rate_and_time_left_are_told_where_the_length_is_known(seconds: list[float]) -> None:
    told = ReadingPace("ada", Going(expected=1_000))
    seconds[0] += 10
    assert told.words(500) == "ada: 500 of about 1,000 read, 50/s, 10 s left"


def test_what_was_kept_counts_neither_for_the_rate_nor_as_read_now(seconds: list[float]) -> None:
    told = ReadingPace("ada", Going(reused_items=400, expected=1_000))
    seconds[0] += 10
    assert told.words(500) == "ada: 500 of about 1,000 read (400 kept), 10/s, 50 s left"


def test_where_the_length_is_unknown_or_passed_no_time_left_is_made_up(seconds: list[float]) -> None:
    seconds[0] += 10
    told = ReadingPace("ada", Going())
    seconds[0] += 10
    assert told.words(500) == "ada: 500 read, 50/s"
    assert "left" not in ReadingPace("ada", Going(expected=400)).words(500)


def test_the_longest_words_fit_a_terminal_of_80_columns_with_the_clock_beside_them(seconds: list[float]) -> None:
    told = ReadingPace("default", Going(reused_items=9_751, expected=100_000))
    seconds[0] += 20
    assert len("⠸ " + told.words(15_142) + " 0:00:09") <= 80


@pytest.mark.parametrize(
    ("length", "words"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (5_399, "90 min"), (7_200, "2.0 h")]
)
def test_a_length_of_time_is_said_as_a_person_says_it(length: float, words: str) -> None:
    assert duration(length) == words

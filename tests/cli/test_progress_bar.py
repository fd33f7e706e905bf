"""The progress line of a long read: it fits 80 columns and is right after a resumption."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from etl.cli.progress_bar import duration, pace


@dataclass
class Going:
    reused_items: int = 0
    expected: int = 0


@pytest.mark.parametrize(
    ("reused", "expected", "seconds", "line"),
    [
        (0, 1_000, 10, "ada: 500 of about 1,000 read, 50/s, 10 s left"),
        (400, 1_000, 10, "ada: 500 of about 1,000 read (400 kept), 10/s, 50 s left"),
        (0, 0, 10, "ada: 500 read, 50/s"),
        (0, 400, 10, "ada: 500 read, 50/s"),
        (0, 0, 0, "ada: 500 read"),
    ],
)
def test_the_pace_counts_what_was_read_now(reused: int, expected: int, seconds: float, line: str) -> None:
    assert pace("ada", Going(reused, expected), 500, seconds) == line


def test_the_longest_line_fits_80_columns() -> None:
    assert len("⠸ " + pace("default", Going(9_751, 100_000), 15_142, 20) + " 0:00:09") <= 80


@pytest.mark.parametrize(
    ("length", "words"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (5_399, "90 min"), (7_200, "2.0 h")]
)
def test_a_duration_is_shown_in_s_min_or_h(length: float, words: str) -> None:
    assert duration(length) == words

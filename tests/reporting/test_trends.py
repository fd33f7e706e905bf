"""The places of names at the end of each month, for the bump chart."""

from __future__ import annotations

from etl.reporting.html.trends import Series, monthly_places


def test_places_follow_the_counts_of_each_month() -> None:
    series = {1: Series([3, 1, 0], 0), 2: Series([1, 2, 2], 0), 3: Series([0, 0, 5], 0)}
    assert monthly_places(series, 10) == {1: [1, 2, None], 2: [2, 1, 2], 3: [None, None, 1]}


def test_of_equal_counts_the_smaller_id_is_first() -> None:
    assert monthly_places({9: Series([2], 0), 4: Series([2], 0)}, 10) == {4: [1], 9: [2]}


def test_names_that_are_never_among_the_first_are_left_out() -> None:
    series = {number: Series([100 - number, number], 0) for number in range(1, 30)}
    found = monthly_places(series, 3)
    assert found == {1: [1, None], 2: [2, None], 3: [3, None], 29: [None, 1], 28: [None, 2], 27: [None, 3]}


def test_nothing_has_no_places() -> None:
    assert monthly_places({}, 10) == {}

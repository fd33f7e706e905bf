"""The files of the views: headers, phrases, order, names."""

from __future__ import annotations

import pytest

from etl.errors import UsageError
from etl.reporting.views import PHRASES, View, view_named, views


def test_both_engines_know_the_same_phrases() -> None:
    assert PHRASES["sqlite"].keys() == PHRASES["postgresql"].keys()


@pytest.mark.parametrize("dialect", PHRASES)
def test_a_query_has_no_phrase_left(dialect: str) -> None:
    for view in views().values():
        query = view.query(dialect)
        assert "${" not in query, view.name
        assert not any(f"\\{number}" in query for number in range(1, 4)), view.name


def test_every_phrase_is_used() -> None:
    texts = " ".join([view.sql for view in views().values()])
    assert [name for name in PHRASES["sqlite"] if f"${{{name}" not in texts] == []


def test_every_view_has_a_title_that_a_narrow_list_holds() -> None:
    titles = [view.title for view in views().values()]
    assert all(titles)
    assert len(set(titles)) == len(titles)
    assert max(map(len, titles)) <= 42


def test_a_phrase_may_contain_another() -> None:
    view = View("v", "A row.", "SELECT ${days_between(a; coalesce(b, ${now}))}")
    assert "coalesce(b, now())" in view.query("postgresql")


def test_a_view_comes_after_those_that_it_reads() -> None:
    names = list(views())
    assert names.index("report_market_coverage") < names.index("report_market_reach")
    assert names.index("report_survival") < names.index("report_half_life")


@pytest.mark.parametrize(
    "name",
    [
        "report_favourite_changes",
        "favourite-changes",
        "FAVOURITE_CHANGES",
        "report-favourite-changes",
        " favourite-changes ",
    ],
)
def test_a_view_is_found_by_every_spelling_of_its_name(name: str) -> None:
    assert view_named(name).name == "report_favourite_changes"


@pytest.mark.parametrize(
    ("name", "nearest"), [("artist", "artists"), ("curent-favorites", "current-favourites"), ("churn", "weekly-churn")]
)
def test_an_unknown_name_suggests_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        view_named(name)
    assert nearest in caught.value.remedy

"""Every number of the year in review, its page and its cards, compared with a count on base tables in odd histories too."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any

import pytest

from etl.reporting.html.card import SHAPES, card
from etl.reporting.html.year_page import year_page
from etl.reporting.year import TOP, read_history, review
from tests.conftest import ENGINES
from tests.support import recount
from tests.support.awkward import CASES, opened
from tests.support.recount import KINDS, Recount
from tests.support.seeded import Histories

pytestmark = pytest.mark.once_on_postgresql  # the SQL is that of the pages

Row = dict[str, Any]
TODAY = date(2026, 6, 20)
DAY = timedelta(days=1)
YEARS = (2023, 2024, 2025, 2026, 2027)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=ENGINES)
def years(request: pytest.FixtureRequest, histories: Histories, case: str) -> Iterator[list[tuple[Recount, Row]]]:
    """Return the review of each year of each account of the case, and its rows."""
    with opened(histories, request.param, case) as connection:
        yield [
            (recount.recount(connection, name), review(history, year, TODAY))
            for name in CASES[case].accounts
            for history in [read_history(connection, name)]
            for year in YEARS
        ]


def bounds(found: Row) -> tuple[datetime, datetime]:
    year = found["year"]
    return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)


def added(rows: Recount, found: Row) -> list[Any]:
    start, end = bounds(found)
    return [stay for stay in rows.dated if start <= stay.valid_from < end]


def removed(rows: Recount, found: Row) -> list[Any]:
    start, end = bounds(found)
    return [stay for stay in rows.ended if start <= stay.valid_to < end]


def test_counts_and_what_was_observed(years: list[tuple[Recount, Row]]) -> None:
    for rows, found in years:
        start, end = bounds(found)
        came, went = added(rows, found), removed(rows, found)
        looks = [look for look in rows.looks if start <= look < end]
        is_known = rows.looks[0] <= start
        wanted = {
            "favourites_at_start": rows.open_at(start) if is_known else None,
            "favourites_at_end": rows.open_at(looks[-1]) if looks else None,
            "added": len(came),
            "added_tracks": len({stay.track_id for stay in came}),
            "removed": len(went),
            "removed_by_reason": Counter(stay.removal_reason or "unknown" for stay in went),
            "uncertain": sum(stay.added_after < start for stay in came),
            "uncertain_removals": sum((stay.removed_after or stay.valid_from) < start for stay in went),
        }
        assert {name: found[name] for name in wanted} == wanted
        seen = found["observed"]
        assert (seen["looks"], seen["days_looked"]) == (len(looks), len({look.date() for look in looks}))
        assert (seen["from"], seen["to"]) == ((looks[0], looks[-1]) if looks else (None, None))
        assert seen["days"] == (end - start).days
        later = sum(stay.added_after < end <= stay.valid_from for stay in rows.dated)
        later += sum((stay.removed_after or stay.valid_from) < end <= stay.valid_to for stay in rows.ended)
        assert found["seen_later"] == later


def test_sums_agree_from_the_start_of_a_year_to_its_end(years: list[tuple[Recount, Row]]) -> None:
    for _, found in years:
        if found["favourites_at_start"] is not None and found["favourites_at_end"] is not None:
            grown = found["favourites_at_end"] - found["favourites_at_start"]
            assert grown == found["added"] - found["removed"]
        assert sum(month["added"] for month in found["months"]) == found["added"]
        assert sum(found["removed_by_reason"].values()) == found["removed"]


def test_the_year_is_whole_only_if_both_its_ends_were_seen(years: list[tuple[Recount, Row]]) -> None:
    for rows, found in years:
        start, end = bounds(found)
        first = [look for look in rows.looks if start <= look <= start + DAY]
        final = [look for look in rows.looks if end - DAY <= look < end]
        assert found["observed"]["is_whole_year"] == bool(first and final)


def test_months_tell_no_look_from_no_change(years: list[tuple[Recount, Row]]) -> None:
    for rows, found in years:
        days = {look.date() for look in rows.looks if look.year == found["year"]}
        for month in found["months"]:
            assert month["added"] == sum(stay.valid_from.month == month["month"] for stay in added(rows, found))
            assert month["removed"] == sum(stay.valid_to.month == month["month"] for stay in removed(rows, found))
            assert month["days_looked"] == sum(day.month == month["month"] for day in days)
        seen = [month for month in found["months"] if month["days_looked"]]
        said = re.findall(r"<text[^>]*>([+−])([\d,]+)</text>", year_page([found], "1").split('class="months"')[-1])
        wanted = [(sign, f"{month[key]:,}") for month in seen for sign, key in (("+", "added"), ("−", "removed"))]
        assert said[: len(wanted)] == wanted


def test_names_of_the_year_and_discoveries(years: list[tuple[Recount, Row]]) -> None:
    for rows, found in years:
        start, _ = bounds(found)
        tracks_of: dict[str, dict[int, set[int]]] = {kind: defaultdict(set) for kind in KINDS}
        for kind in KINDS:
            for stay in added(rows, found):
                for number, _ in rows.names[kind].get(stay.track_id, ()):
                    tracks_of[kind][number].add(stay.track_id)
        ranked = {kind: sorted(((-len(own), number) for number, own in tracks_of[kind].items())) for kind in tracks_of}
        for key, kind in (("artist", "artist"), ("album", "album")):
            first = ranked[kind][:1]
            assert [(-found[key]["tracks"], found[key]["id"])] == first if first else found[key] is None
        for key, kind in (("top_artists", "artist"), ("top_genres", "genre")):
            assert [(-each["tracks"], each["id"]) for each in found[key]] == ranked[kind][:TOP]
        known = {
            number
            for stay in rows.stays
            if stay.added_after is None or stay.valid_from < start
            for number, _ in rows.names["artist"].get(stay.track_id, ())
        }
        new = [(count, number) for count, number in ranked["artist"] if number not in known]
        shown = found["discoveries"] or {"count": 0, "top": []}
        assert (shown["count"], [(-each["tracks"], each["id"]) for each in shown["top"]]) == (len(new), new[:TOP])


def test_longest_shortest_and_back_again(years: list[tuple[Recount, Row]]) -> None:
    for rows, found in years:
        start, end = bounds(found)
        looks = [look for look in rows.looks if start <= look < end]
        last = looks[-1] if looks else None
        there = [stay for stay in rows.stays if last and rows.open_at(last, [stay])]
        ages = {"longest_loved": there, "track": [stay for stay in there if stay in added(rows, found)]}
        for key, stays in ages.items():
            longest = max(((last - stay.valid_from).days for stay in stays if last), default=None)
            assert (found[key] and found[key]["days"]) == longest
        back = recount.regrets(rows)
        gaps = [at - left for _, left, at in back if start <= at < end]
        assert found["came_back"] == sum(count for (_, _, at), count in back.items() if start <= at < end)
        assert (found["comeback"] and found["comeback"]["days_away"]) == (max(gaps).days if gaps else None)
        crushes = [stay.valid_to - stay.added_after for stay in removed(rows, found) if stay.added_after]
        assert (found["shortest_crush"] is None) == (not crushes)
        if crushes:
            shown = found["shortest_crush"]
            assert 0 <= shown["at_most_days"] - min(crushes) / DAY < 0.1 + 1e-9
            assert 0 <= shown["at_least_days"] <= shown["at_most_days"]
        weeks = {stay.valid_from.date() - timedelta(days=stay.valid_from.weekday()) for stay in added(rows, found)}
        runs = [sum(1 for _ in _following(week, weeks)) for week in weeks]
        assert (found["streak"] and found["streak"]["weeks"]) == max(runs, default=None)
        withdrawn = Counter(stay.track_id for stay in removed(rows, found) if stay.removal_reason == "withdrawn")
        assert Counter(each["track_id"] for each in found["withdrawn"]) == withdrawn
        again = Counter(
            stay.track_id
            for stay in rows.dated
            if (stay.valid_from.month, stay.valid_from.day) == (6, 20) and stay.valid_from.year < TODAY.year
        )
        assert Counter(each["track_id"] for each in found["on_this_day"]) == again


def _following(week: date, weeks: set[date]) -> Iterator[date]:
    while week in weeks:
        yield week
        week += timedelta(days=7)


def plain(markup: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", markup, flags=re.DOTALL)))


def test_page_and_cards_show_these_numbers(years: list[tuple[Recount, Row]]) -> None:
    for rows, found in years:
        words = " ".join(plain(year_page([found], "1")).split())
        cards = [" ".join(plain(card(found, shape)).split()) for shape in SHAPES]
        if not any(look.year == found["year"] for look in rows.looks):
            assert f"Nobody looked at this list in {found['year']}" in words
            assert all("+0" not in each and "Nobody looked" in each for each in cards)
            continue
        came, went, at_end = len(added(rows, found)), len(removed(rows, found)), found["favourites_at_end"]
        tracks = len({stay.track_id for stay in added(rows, found)})
        assert re.search(rf"\b{came} additions? of {tracks} tracks? and {went} removals?: ", words)
        for each in cards:
            assert f"+{came} added −{went} removed {at_end} favourites" in each
            assert f"seen on {found['observed']['days_looked']} of {found['observed']['days']} days" in each


def test_an_overview_shows_no_zero_for_a_year_without_a_look(years: list[tuple[Recount, Row]]) -> None:
    unseen = [found for rows, found in years if not any(look.year == found["year"] for look in rows.looks)]
    html = year_page([unseen[0], unseen[0] | {"account": "other"}], "1")
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html)
    assert cells == ["not seen", "not seen", "not seen", "not seen", "0", ""] * 2

"""Every number that the page of an account shows, compared with a count on base tables, in ordinary and in odd histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from etl.reporting.html.account import AGES, ISRC_COUNTRIES, MAX_CHANGES, MAX_NAMES, MAX_RUNS, TOP, account_report
from tests.conftest import ENGINES
from tests.reporting.test_view_numbers import kaplan_meier
from tests.support import recount
from tests.support.awkward import CASES, opened
from tests.support.recount import KINDS, Recount
from tests.support.seeded import Histories

Row = dict[str, Any]
Page = tuple[Connection, Recount, Row]
SHARE = 0.00006


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=ENGINES)
def pages(request: pytest.FixtureRequest, histories: Histories, case: str) -> Iterator[list[Page]]:
    """Return for each account of the case a connection, its rows and what its page shows."""
    with opened(histories, request.param, case) as connection:
        yield [
            (connection, recount.recount(connection, name), account_report(connection, name))
            for name in CASES[case].accounts
        ]


def test_the_summary_and_its_windows(pages: list[Page]) -> None:
    for _, found, report in pages:
        wanted = recount.summary(found)
        assert {name: report["summary"][name] for name in wanted} == wanted


def test_the_playing_time_is_at_most_the_known_and_never_zero(pages: list[Page]) -> None:
    units = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
    for _, _, report in pages:
        summary = report["summary"]
        assert (summary["playing_time"] is None) == (summary["known_durations"] == 0)
        if summary["playing_time"] is None:
            continue
        amount, unit = summary["playing_time"]
        shown, of = float(amount), units[unit.removesuffix("s")]
        step = 0.1 if unit in ("days", "hours") else 1
        assert shown > 0
        assert (1 if of == 1 else 0.99) <= summary["seconds"] / of < (48 if unit == "hours" else 1e9)
        is_part = summary["known_durations"] < summary["favourites"]
        assert (
            -1e-9 <= summary["seconds"] / of - shown < step
            if is_part
            else abs(summary["seconds"] / of - shown) <= step / 2 + 1e-9
        )


def test_looks_are_readings_of_the_list(pages: list[Page]) -> None:
    for _, found, report in pages:
        assert (report["looks"]["first"], report["looks"]["last"]) == (found.looks[0], found.last)
        assert report["looks"]["count"] == len(found.looks)
        assert report["looks"]["runs"] == len(found.runs)
        assert report["looked"] == sorted({look.date() for look in found.looks})


def test_days_of_change(pages: list[Page]) -> None:
    for _, found, report in pages:
        assert report["daily"] == recount.daily(found)
        days = report["daily"]
        assert sum(day[1] for day in days) == report["summary"]["added"]
        assert sum(day[4] + day[1] - day[2] for day in days) == report["summary"]["favourites"]


def test_survival_of_additions(pages: list[Page]) -> None:
    for _, found, report in pages:
        ages = [
            (((stay.valid_to or stay.last_seen_at or found.last) - stay.valid_from).days, stay.valid_to is not None)
            for stay in found.dated
        ]
        wanted = kaplan_meier(ages)
        assert [each[:3] for each in report["survival"]] == [list(each[:3]) for each in wanted]
        assert [each[3] for each in report["survival"]] == pytest.approx([each[3] for each in wanted], abs=SHARE)
        half = next((days for days, _, _, share in wanted if round(share, 4) <= 0.5), None)
        life = report["half_life"] or {"stays": 0, "removed": 0, "half_life_days": None}
        assert (life["stays"], life["removed"]) == (len(found.dated), sum(is_gone for _, is_gone in ages))
        assert life["half_life_days"] == half
        oldest = max((days for days, _ in ages), default=0)
        shares = {days: min((share for age, _, _, share in wanted if age <= days), default=1) for days in AGES}
        assert report["still_there"]["watched_days"] == oldest
        assert report["still_there"]["ages"] == [
            [AGES[days], pytest.approx(share, abs=SHARE)] for days, share in shares.items() if days <= oldest
        ]


def test_markets_and_regions_are_of_the_known(pages: list[Page]) -> None:
    for connection, found, report in pages:
        wanted = recount.coverage(found)
        assert {row["market_code"]: (row["available"], row["known"]) for row in report["coverage"]} == wanted
        for row in report["coverage"]:
            share = row["available"] / row["known"] if row["known"] else None
            assert row["share"] == (None if share is None else pytest.approx(share, abs=SHARE))
        for region in report["reach"]:
            own = [wanted[code] for code, market in found.markets.items() if market.region == region["region"]]
            assert (region["markets"], region["markets_reached"]) == (len(own), sum(here > 0 for here, _ in own))
            shares = [here / known for here, known in own if known]
            least_most_all = (
                (min(shares), max(shares), sum(here for here, _ in own) / sum(known for _, known in own))
                if shares
                else (None, None, None)
            )
            shown = (region["least_share"], region["most_share"], region["share"])
            assert shown == (pytest.approx(least_most_all, abs=SHARE) if shares else least_most_all)
        away = recount.unavailable(found)
        assert {row["track_id"] for row in report["unavailable"]["rows"]} == away
        assert report["unavailable"]["count"] == len(away)
        lost = recount.losses(found, connection)
        names = {code: market.name or code for code, market in found.markets.items()}
        assert {row["market"]: row["tracks"] for row in report["losses"]} == {names[code]: lost[code] for code in lost}


def test_what_is_known_of_the_favourites(pages: list[Page]) -> None:
    for _, found, report in pages:
        wanted = recount.completeness(found)
        total = len(found.current)
        assert {row["fact"]: row["known"] for row in report["completeness"]} == wanted
        for row in report["completeness"]:
            assert row["missing"] == total - row["known"]
            assert row["share"] == pytest.approx(row["known"] / total, abs=SHARE)
        codes = [found.tracks[stay.track_id].isrc or "" for stay in found.current]
        known = [code[:2].upper() for code in codes if code[:2].isascii() and len(code) > 1 and code[:2].isalpha()]
        assert report["passport"]["known"] == len(known)
        countries = Counter(ISRC_COUNTRIES.get(code, code) for code in known)
        assert {code: count for code, _, count in report["passport"]["countries"]} == countries


def test_what_left_came_back_and_changed(pages: list[Page]) -> None:
    for _, found, report in pages:
        vanished = report["vanished"]
        assert vanished["count"] == len(found.ended) == sum(vanished["reasons"].values())
        assert vanished["reasons"] == Counter(stay.removal_reason or "unknown" for stay in found.ended)
        withdrawn = sorted(stay.track_id for stay in found.ended if stay.removal_reason == "withdrawn")
        assert sorted(row["track_id"] for row in vanished["withdrawn"]["rows"]) == withdrawn
        regrets = report["regrets"]
        shown = Counter((row["track_id"], row["removed_at"], row["returned_at"]) for row in regrets["rows"])
        assert shown == recount.regrets(found)
        assert regrets["count"] == shown.total()
        assert all(
            row["days_away"]
            == pytest.approx((row["returned_at"] - row["removed_at"]).total_seconds() / 86400, abs=0.0051)
            for row in regrets["rows"]
        )
        now = {stay.track_id for stay in found.current}
        since = recount.year_before(found)
        away = [at - left for number, left, at in recount.regrets(found) if number in now and at > since]
        back = report["comeback"]
        assert (back and back["returned_at"] - back["removed_at"]) == max(away, default=None)
        every = recount.changes(found)
        newest = Counter(
            (row["change"], row["track_id"], row["not_before"], row["changed_at"]) for row in report["changes"]["rows"]
        )
        assert newest <= every
        assert newest.total() == min(MAX_CHANGES, every.total())
        assert min(each[3] for each in newest) >= max((each[3] for each in (every - newest)), default=found.looks[0])


def test_runs_and_their_outcomes(pages: list[Page]) -> None:
    for _, found, report in pages:
        assert [row["run_id"] for row in report["runs"]] == [run.run_id for run in found.runs[-MAX_RUNS:]]
        assert report["outcomes"] == Counter(run.outcome for run in found.runs if run.outcome)
        there = Counter(stay.added_run_id for stay in found.stays if stay.added_after is None)
        shown = ("favourites", "added", "removed", "held", "missing", "rejected")
        for row, run in zip(report["runs"], found.runs[-MAX_RUNS:], strict=True):
            assert [row[name] for name in shown] == [getattr(run, name) for name in shown]
            assert row["already_there"] == there[run.run_id]


def test_every_favourite_is_in_the_table(pages: list[Page]) -> None:
    for _, found, report in pages:
        packed = report["tracks"]

        def text(place: int | None, texts: list[str] = packed["texts"]) -> str | None:
            return None if place is None else texts[place]

        def instant(place: int | None, instants: list[int] = packed["instants"]) -> int | None:
            return None if place is None else instants[place]

        shown = Counter(
            (row[0], row[1], text(row[2]), text(row[3]), text(row[4]), row[5], row[6], *map(instant, row[7:11]))
            for row in packed["rows"]
        )
        assert packed["ended"] == len(found.ended)
        assert shown == Counter(_table_row(found, stay) for stay in found.stays)


def _table_row(found: Recount, stay: Any) -> tuple[Any, ...]:
    track = found.tracks[stay.track_id]
    artists, albums, genres = ([name for _, name in found.names[kind].get(stay.track_id, ())] for kind in KINDS)
    codes = found.codes(stay)
    is_now = stay.valid_to is None
    bounds = (stay.valid_from, stay.added_after, stay.valid_to, stay.removed_after)
    return (
        stay.track_id,
        track.title,
        ", ".join(map(str, artists)) or None,
        (albums[0] if albums else None) if is_now else None,
        (", ".join(map(str, genres)) or None) if is_now else None,
        track.duration_seconds if is_now else None,
        len(codes) if is_now and codes is not None else None,
        *(each and round(each.timestamp()) for each in bounds),
    )


def test_months_and_the_comparison_with_a_year_ago(pages: list[Page]) -> None:
    for _, found, report in pages:
        ends = recount.month_ends(found)
        assert report["months"] == [end.date().replace(day=1) for end in ends]
        assert report["favourites_by_month"] == [found.open_at(end) for end in ends]
        assert report["year_ago"] == recount.year_before(found)


@pytest.mark.parametrize("kind", KINDS)
def test_artists_albums_and_genres(pages: list[Page], kind: str) -> None:
    for _, found, report in pages:
        shown, counts = report[f"{kind}s"], recount.by_name(found, kind)
        now = [row for row in counts.values() if row["now"]]
        assert (shown["count"], shown["ever"]) == (len(now), len(counts))
        order = sorted(counts, key=lambda number: (-counts[number]["now"], -counts[number]["ever"], number))
        top = [counts[number] for number in order if counts[number]["now"]][:TOP]
        fields = ("name", "current_favourites", "series", "before")
        assert [[row[name] for name in fields] for row in shown["top"]] == [
            [row["name"], row["now"], row["series"], row["before"]] for row in top
        ]
        came = [row for row in now if not row["before"]]
        left = [row for row in counts.values() if row["before"] and not row["now"]]
        for word, rows, number in (("came", came, "now"), ("left", left, "before")):
            assert shown[word]["count"] == len(rows)
            largest = sorted((row[number] for row in rows), reverse=True)[:MAX_NAMES]
            assert [count for _, count in shown[word]["top"]] == largest
        before = found.open_at(recount.year_before(found))
        assert shown["favourites_year_ago"] == before
        _compare_rises(found, shown, list(counts.values()), before)


def _compare_rises(found: Recount, shown: Row, counts: list[Row], before: int) -> None:
    assert (shown["risen"] is None) == (not counts)
    if counts:
        total = max(1, len(found.current))
        assert shown["risen"] in recount.most(counts, lambda row: row["now"] - row["before"])
        rise = recount.most(counts, lambda row: row["now"] / total - row["before"] / max(1, before))
        assert shown["risen_share"] in rise

"""The review of a year: its numbers are those of SQL on base tables, its page and card hold no markup of the data."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import Connection, text

from etl.reporting.html.card import SHAPES, card
from etl.reporting.html.year_page import year_page
from etl.reporting.year import AccountHistory, read_history, review
from etl.reporting.year_text import headline, honesty, year_text
from tests.reporting.test_html import Parsed

TODAY = date(2027, 5, 19)
HOSTILE = "</text><script>window.hacked = 1</script>\u202e\x1b[31m"


def on(year: int, month: int, day: int = 1) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def stay(track_id: int, since: datetime, until: datetime | None = None, **fields: Any) -> dict[str, Any]:
    bounds = {
        "valid_from": since,
        "added_after": since - timedelta(days=1),
        "valid_to": until,
        "removed_after": until - timedelta(days=1) if until else None,
        "removal_reason": "unfavourited" if until else None,
    }
    return {"track_id": track_id, "title": f"Track {track_id}", "artists": "Somebody", **bounds, **fields}


def history(*stays: dict[str, Any], looks: tuple[datetime, ...] = (on(2025, 6), on(2026, 12, 31))) -> AccountHistory:
    names = {each["track_id"]: [(each["track_id"] % 10, f"Artist {each['track_id'] % 10}")] for each in stays}
    ordered = sorted(stays, key=lambda each: (each["valid_from"], each["track_id"]))
    return AccountHistory("ada", ordered, looks, names, {}, {})


@pytest.mark.parametrize("year", [2025, 2026])
def test_the_numbers_are_those_of_sql_on_base_tables(seeded: Connection, year: int) -> None:
    found = review(read_history(seeded, "ada"), year, TODAY)
    inside = f">= '{year}-01-01T00:00:00.000000Z' AND {{0}} < '{year + 1}-01-01T00:00:00.000000Z'"
    began = f"account_id = 1 AND added_after IS NOT NULL AND valid_from {inside.format('valid_from')}"
    ended = f"account_id = 1 AND valid_to {inside.format('valid_to')}"
    sql = {
        "added": f"SELECT count(*) FROM favourites WHERE {began}",
        "added_tracks": f"SELECT count(DISTINCT track_id) FROM favourites WHERE {began}",
        "uncertain": f"SELECT count(*) FROM favourites WHERE {began} AND added_after < '{year}-01-01T00:00:00.000000Z'",
        "removed": f"SELECT count(*) FROM favourites WHERE {ended}",
    }
    assert {name: found[name] for name in sql} == {
        name: seeded.execute(text(each)).scalar() for name, each in sql.items()
    }
    reasons = f"SELECT removal_reason, count(*) FROM favourites WHERE {ended} GROUP BY removal_reason"
    assert found["removed_by_reason"] == dict(seeded.execute(text(reasons)).all())
    artist = f"""SELECT a.artist_id, count(DISTINCT f.track_id) FROM favourites f JOIN track_artists a ON a.track_id = f.track_id
        WHERE {began} GROUP BY a.artist_id ORDER BY 2 DESC, 1 LIMIT 1"""
    assert (found["artist"]["id"], found["artist"]["tracks"]) == tuple(seeded.execute(text(artist)).one())
    album = f"""SELECT t.album_id, count(DISTINCT f.track_id) FROM favourites f JOIN tracks t ON t.track_id = f.track_id
        WHERE {began} AND t.album_id IS NOT NULL GROUP BY t.album_id ORDER BY 2 DESC, 1 LIMIT 1"""
    assert (found["album"]["id"], found["album"]["tracks"]) == tuple(seeded.execute(text(album)).one())
    new = f"""SELECT count(DISTINCT a.artist_id) FROM favourites f JOIN track_artists a ON a.track_id = f.track_id
        WHERE {began} AND NOT EXISTS (SELECT 1 FROM favourites o JOIN track_artists b ON b.track_id = o.track_id
            WHERE o.account_id = 1 AND b.artist_id = a.artist_id
            AND (o.added_after IS NULL OR o.valid_from < '{year}-01-01T00:00:00.000000Z'))"""
    assert found["discoveries"]["count"] == seeded.execute(text(new)).scalar()
    first = f"SELECT track_id FROM favourites WHERE {began} ORDER BY valid_from, track_id LIMIT 1"
    assert found["first_love"]["track_id"] == seeded.execute(text(first)).scalar()
    looks = f"SELECT count(*) FROM runs WHERE account_id = 1 AND observed_at {inside.format('observed_at')}"
    assert found["observed"]["looks"] == seeded.execute(text(looks)).scalar()
    assert sum(month["added"] for month in found["months"]) == found["added"]
    assert sum(month["removed"] for month in found["months"]) == found["removed"]


def test_the_end_of_the_newest_year_is_the_current_list(seeded: Connection) -> None:
    found = review(read_history(seeded, "ada"), 2026, TODAY)
    current = seeded.execute(text("SELECT count(*) FROM favourites WHERE account_id = 1 AND valid_to IS NULL")).scalar()
    assert found["favourites_at_end"] == current
    before = review(read_history(seeded, "ada"), 2025, TODAY)
    assert before["favourites_at_start"] is None, "nobody had looked when that year began"
    assert before["favourites_at_end"] == found["favourites_at_start"]


def test_a_year_without_a_look_says_nothing_is_known() -> None:
    found = review(history(stay(1, on(2025, 6))), 2024, TODAY)
    assert headline(found) == "Nobody looked at this list in 2024, so nothing is known of that year."
    assert year_text(found) == f"ada in 2024\n{headline(found)}"
    assert found["favourites_at_end"] is None
    for shape in SHAPES:
        assert "Nobody looked" in card(found, shape)
        assert ">0<" not in card(found, shape)
    assert "Month by month" not in year_page([found], "1")


def test_what_may_belong_to_the_year_before_is_counted() -> None:
    late = stay(1, on(2026, 1, 2), added_after=on(2025, 12, 28))
    found = review(history(late, stay(2, on(2026, 3))), 2026, TODAY)
    assert (found["added"], found["uncertain"]) == (2, 1)
    assert "1 addition may belong to the year before" in honesty(found)


def test_the_first_look_adds_and_discovers_nothing() -> None:
    there = stay(1, on(2026, 2), added_after=None)
    found = review(
        history(there, stay(11, on(2026, 3)), stay(12, on(2026, 3)), looks=(on(2026, 2), on(2026, 4))), 2026, TODAY
    )
    assert (found["added"], found["discoveries"]) == (
        2,
        {"count": 1, "top": [{"id": 2, "name": "Artist 2", "tracks": 1}]},
    )
    assert found["longest_loved"]["is_at_least"]
    assert found["first_love"]["track_id"] == 11
    assert "at least 59 days" in year_text(found)


def test_comeback_crush_and_streak() -> None:
    stays = [
        stay(1, on(2026, 1, 5), on(2026, 1, 9)),
        stay(1, on(2026, 5, 9)),
        stay(2, on(2026, 1, 12), on(2026, 6)),
        stay(3, on(2026, 1, 19), on(2026, 2), removal_reason="withdrawn"),
        stay(4, on(2026, 5, 19)),
    ]
    found = review(history(*stays), 2026, TODAY)
    assert (found["comeback"]["track_id"], found["comeback"]["days_away"], found["came_back"]) == (1, 120, 1)
    crush = found["shortest_crush"]
    assert (crush["track_id"], crush["at_least_days"], crush["at_most_days"]) == (1, 3.0, 5.0)
    assert found["streak"] == {"weeks": 3, "from": date(2026, 1, 5), "to": date(2026, 1, 25)}
    assert [each["track_id"] for each in found["withdrawn"]] == [3]
    assert [each["track_id"] for each in found["on_this_day"]] == [4]
    assert review(history(*stays), 2026, date(2026, 5, 19))["on_this_day"] == [], "the day itself is no anniversary"


def test_hostile_names_stay_text_on_page_and_card() -> None:
    names = {1: [(1, HOSTILE)]}
    own = stay(1, on(2026, 3), title=HOSTILE, artists=HOSTILE)
    found = review(AccountHistory(HOSTILE, [own], (on(2026, 2), on(2026, 4)), names, names, names), 2026, TODAY)
    html = year_page([found, found | {"account": "b"}], "1")
    assert not re.search("[\u202e\x1b]", html)
    parsed = Parsed(html)
    assert not {"script", "img"} & {tag for tag, _, _ in parsed.found}
    assert not [at for _, at, _ in parsed.found if any(name.startswith("on") for name in at)]
    (policy,) = [at["content"] or "" for at, _ in parsed.of("meta") if at.get("http-equiv")]
    assert "script-src 'none'" in policy
    assert "unsafe" not in policy
    for name, shape in SHAPES.items():
        root = ElementTree.fromstring(card(found, name))
        assert (root.get("width"), root.get("height")) == (str(shape.width), str(shape.height))
        tags = {each.tag.rpartition("}")[2] for each in root.iter()}
        assert tags <= {"svg", "style", "defs", "linearGradient", "stop", "rect", "text"}
        assert not re.search("[\u202e\x1b]", card(found, name))


@pytest.mark.parametrize("accounts", [1, 2])
def test_no_level_of_headings_is_skipped(accounts: int) -> None:
    found = review(history(stay(1, on(2026, 3)), stay(12, on(2026, 4))), 2026, TODAY)
    levels = [int(level) for level in re.findall(r"<h([1-6])", year_page([found] * accounts, "1"))]
    assert levels[0] == 1
    assert max(levels) == accounts + 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_an_overview_links_to_every_account(seeded: Connection) -> None:
    reviews = [review(read_history(seeded, name), 2026, TODAY) for name in ("ada", "kofi")]
    parsed = Parsed(year_page(reviews, "1"))
    links = [at["href"] for at, _ in parsed.of("a")]
    assert links == [f"#{at['id']}" for at, _ in parsed.of("article")] == ["#account-0", "#account-1"]
    assert len(parsed.of("h1")) == 1
    assert len(Parsed(year_page(reviews[:1], "1")).of("h1")) == 1

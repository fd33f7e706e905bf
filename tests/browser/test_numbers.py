"""The numbers that scripts write on the page, compared with a count on base tables, in odd histories too."""

from __future__ import annotations

import re

from etl.reporting.html.static import playing_time
from tests.browser.conftest import Shown
from tests.browser.test_page import numbers, tile
from tests.support import recount


def test_the_top_of_the_page(shown: Shown) -> None:
    page, rows, summary = shown
    lede, favourites = page.text("#lede"), len(rows.current)
    assert lede.startswith(f"{favourites} favourite")
    assert f"{summary['added']} addition" in lede
    assert f" of {summary['added_tracks']} track" in lede
    assert f"{summary['removed']} removal" in lede
    back = recount.regrets(rows).total()
    assert (f"of which {back} came back" in lede) == (back > 0)
    missing = summary["missing"]
    assert re.findall(r"([\d,]+) tracks? (?:is|are) missing", lede) == ([f"{missing:,}"] if missing else [])
    artists = recount.by_name(rows, "artist")
    now = sum(row["now"] > 0 for row in artists.values())
    assert numbers(tile(page, "Artists")) == [now, len(artists)]
    assert numbers(tile(page, "Favourites"))[0] == favourites
    music = tile(page, "Playing time")
    amount, unit = playing_time(summary) or ("not known", "")
    assert f"{amount}\n{unit}".strip() in music
    assert not re.search(r"\b0(\.0)? (second|minute|hour|day)", music.replace("\n", " "))
    if 0 < summary["known_durations"] < favourites:
        assert f"{summary['known_durations']} of {favourites} durations known" in music
        assert f"at least {amount} {unit} of music" in lede
    watched = (rows.last - rows.looks[0]).total_seconds() / 86400
    for span, name, window in ((30, "In 30 days", "month"), (365, "In a year", "year")):
        if watched > span:
            assert numbers(tile(page, name))[:2] == list(summary[window].values())


def test_sections_say_the_numbers_of_sql(shown: Shown) -> None:
    page, rows, summary = shown
    favourites = len(rows.current)
    counts = {kind: recount.by_name(rows, kind) for kind in recount.KINDS}
    now = {kind: sum(row["now"] > 0 for row in counts[kind].values()) for kind in counts}
    if now["artist"]:
        assert numbers(page.text("#who-lead"))[:3] == [now["artist"], now["album"], now["genre"]]
    known = summary["known_markets"]
    where, coverage = page.text("#where-lead"), recount.coverage(rows)
    if known < favourites:
        assert str(favourites - known) in where
        assert "not known" in where
    home = (rows.account.region or "").upper()
    if known and home in coverage:
        assert f"{coverage[home][0]} of {known}" in where
        assert numbers(page.text("#vanished .note" if rows.ended else "#every"))
    runs = len(rows.runs)
    assert (f"Of {runs} runs" if runs > 1 else "The only run") in page.text("#sure-lead")
    assert page.text("#every .pages span").endswith(f"of {favourites}")
    isrc = [rows.tracks[stay.track_id].isrc or "" for stay in rows.current]
    coded = sum(bool(re.match("[A-Za-z]{2}", code)) for code in isrc)
    if known:
        assert (f"known for {coded} of {favourites}" in page.text("#passport")) == (coded > 0)
    if rows.ended:
        shares = page.page.locator("#vanished .ranks .count").all_inner_texts()
        assert sum(map(int, shares)) == len(rows.ended)


def test_ages_are_told_as_far_as_a_favourite_was_watched(shown: Shown) -> None:
    page, rows, _ = shown
    ages = [((stay.valid_to or stay.last_seen_at or rows.last) - stay.valid_from).days for stay in rows.dated]
    oldest, words = max(ages, default=0), page.text("#lasting-lead")
    for days, name in ((7, "a week"), (30, "a month"), (182, "half a year"), (365, "a year"), (730, "two years")):
        if words:
            assert bool(re.search(f"(after|,) {name}: ", words)) == (days <= oldest)


def test_the_calendar_has_three_states(shown: Shown) -> None:
    page, rows, _ = shown
    if (rows.last - rows.looks[0]).days < 14:
        return
    looked = {look.date() for look in rows.looks}
    changed = {day[0] for day in recount.daily(rows) if day[1] + day[2]}
    every = (rows.last.date() - rows.looks[0].date()).days + 1
    rects = page.page.locator("#calendar rect")
    assert rects.count() == every
    assert page.page.locator("#calendar rect.unseen").count() == every - len(looked)
    assert page.page.locator("#calendar rect.q0").count() == len(looked - changed)


def test_nothing_on_the_page_is_no_number(shown: Shown) -> None:
    page, _, _ = shown
    page.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    words = page.page.locator("main").inner_text()
    labels = page.page.locator("[aria-label]").evaluate_all("all => all.map((each) => each.getAttribute('aria-label'))")
    assert not re.search(r"\b(NaN|undefined|null|Infinity)\b", " ".join([words, *labels]))

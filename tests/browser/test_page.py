"""The HTML report in a real browser: it draws, its numbers are those of SQL, and it can be used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from sqlalchemy import Connection, text

from etl.db.engine import read_transaction
from tests.browser.conftest import Open, Opened
from tests.support.seeded import Histories

SECTIONS = (
    "growth",
    "calendar",
    "artists",
    "genres",
    "albums",
    "places",
    "mixture",
    "survival",
    "maps",
    "passport",
    "vanished",
    "recent",
    "every",
    "runs",
)
TABLE = "#every .tablebox"


def numbers(words: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"\d[\d,]*", words)]


def tile(opened: Opened, name: str) -> str:
    return opened.page.locator("#tiles div", has=opened.page.get_by_text(name, exact=True)).locator("dd").inner_text()


@pytest.fixture
def sql(histories: Histories) -> Any:
    """Return a function that asks the database for one value about the account ``ada``."""

    def ask(query: str) -> Any:
        with read_transaction(histories.engine("sqlite")) as connection:
            return one(connection, query)

    return ask


def one(connection: Connection, query: str) -> Any:
    return connection.execute(text(query)).scalar_one()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_every_part_draws_without_an_error_and_fits_the_window(
    open_page: Open, story: Path, width: int, scheme: str
) -> None:
    opened = open_page(story, width=width, scheme=scheme)
    for part in SECTIONS:
        box = opened.page.locator(f"#{part}").bounding_box()
        assert box is not None
        assert box["height"] > 40, part
    assert opened.page.locator("#growth .bar-added").count() > 20
    assert opened.page.locator("#maps .land").count() > 200
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(numbers(background)) < 384) == (scheme == "dark")


def test_the_numbers_on_the_page_are_those_of_sql(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    favourites = sql("SELECT count(*) FROM report_current_favourites WHERE account = 'ada'")
    assert numbers(tile(opened, "Favourites"))[0] == favourites
    artists = "SELECT count(*) FROM report_artists WHERE account = 'ada'"
    assert numbers(tile(opened, "Artists")) == [sql(f"{artists} AND current_favourites > 0"), sql(artists)]
    days = sql("SELECT sum(duration_seconds) / 3600.0 FROM report_current_favourites WHERE account = 'ada'")
    assert tile(opened, "Playing time").split()[0] == f"{days / 24 if days >= 48 else days:.1f}"
    added = sql("SELECT sum(added) FROM report_daily_changes WHERE account = 'ada'")
    removed = sql("SELECT sum(removed) FROM report_daily_changes WHERE account = 'ada'")
    back = sql("SELECT count(*) FROM report_regretted_removals WHERE account = 'ada'")
    lede = opened.text("#lede")
    tracks = sql("SELECT count(DISTINCT track_id) FROM favourites WHERE account_id = 1 AND added_after IS NOT NULL")
    assert f"{added} additions of {tracks} tracks and {removed} removals, of which {back} came back" in lede
    since = "changed_at > (SELECT strftime('%Y-%m-%d', max(observed_at), '-29 days') FROM runs WHERE account_id = 1)"
    month = [
        sql(f"SELECT count(*) FROM report_favourite_changes WHERE account = 'ada' AND change = '{change}' AND {since}")
        for change in ("added", "removed")
    ]
    assert numbers(tile(opened, "In 30 days"))[:2] == month
    assert "to 30 Jun 2026" in tile(opened, "In 30 days")
    missing = sql("SELECT count(*) FROM report_missing WHERE account = 'ada'")
    assert numbers(tile(opened, "Missing"))[0] == missing > 0
    assert f"{missing} tracks are missing from the list, the first since" in lede
    home = sql("SELECT available FROM report_market_coverage WHERE account = 'ada' AND market_code = 'NG'")
    assert f"{home} of {favourites}" in opened.text("#where-lead")
    half = sql("SELECT half_life_days FROM report_half_life WHERE account = 'ada'")
    assert tile(opened, "Half are gone after").startswith(str(half) if half else "—")
    assert opened.text(f"{TABLE} .pages span").endswith(f"of {favourites}")
    runs = sql("SELECT count(*) FROM report_runs WHERE account = 'ada'")
    assert f"Of {runs} runs" in opened.text("#sure-lead")


def test_reasons_and_countries_are_those_of_sql(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    removals = "SELECT count(*) FROM favourites WHERE account_id = 1 AND valid_to IS NOT NULL"
    shown = dict(
        opened.page.locator("#vanished .ranks li").evaluate_all(
            "rows => rows.map((row) => [row.querySelector('.name').innerText, row.querySelector('.count').innerText])"
        )
    )
    withdrawn = sql(f"{removals} AND removal_reason = 'withdrawn'")
    assert int(shown["withdrawn by Boomplay"]) == withdrawn > 0
    assert sum(map(int, shown.values())) == sql(removals)
    assert opened.page.locator("#vanished tbody tr").count() == min(8, withdrawn)
    isrc = """SELECT count(*) FROM favourites f JOIN tracks t ON t.track_id = f.track_id
        WHERE f.account_id = 1 AND f.valid_to IS NULL AND substr(t.isrc, 1, 2) GLOB '[A-Za-z][A-Za-z]'"""
    assert f"known for {sql(isrc)} of 70 favourites" in opened.text("#passport .note")
    counts = opened.page.locator("#passport .count").all_inner_texts()
    assert sum(map(int, counts)) == sql(isrc) > 0


def test_the_calendar_tells_no_look_from_no_change(open_page: Open, story: Path, sql: Any) -> None:
    days = """SELECT count(*) FROM report_daily_snapshots d WHERE account = 'ada' AND {}"""
    changes = "added + removed > 0"
    opened = open_page(story)
    seen = opened.page.locator("#calendar rect")
    assert seen.count() == sql(days.format("1 = 1"))
    assert (
        opened.page.locator("#calendar rect.unseen").count() == sql(days.format(f"NOT looked AND NOT ({changes})")) > 0
    )
    assert opened.page.locator("#calendar rect.q0").count() == sql(days.format(f"looked AND NOT ({changes})")) > 0
    assert "no look" in opened.text("#calendar .legend")
    narrow = open_page(story, width=390)
    drawn = narrow.page.locator("#calendar text.cell").all_text_contents()
    legend = narrow.page.locator("#calendar .legend").inner_text()
    assert max(map(int, filter(None, drawn))) == max(numbers(legend))


def test_genre_shares_are_of_the_favourites(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    top = """SELECT 100.0 * current_favourites / (SELECT count(*) FROM report_current_favourites WHERE account = 'ada')
        FROM report_genres WHERE account = 'ada' ORDER BY current_favourites DESC, ever_favourites DESC, genre_id LIMIT 1"""
    name = sql(
        top.replace(
            "100.0 * current_favourites / (SELECT count(*) FROM report_current_favourites WHERE account = 'ada')",
            "name",
        )
    )
    label = next(
        text for text in opened.page.locator("#mixture text.end").all_text_contents() if text.startswith(name[:14])
    )
    assert float(label.split()[-2]) == pytest.approx(sql(top), abs=0.51)


def test_the_top_reads_without_scripts(browser: Browser, story: Path, sql: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(story.as_uri())
    assert page.locator("h1").inner_text() == "ada"
    favourites = sql("SELECT count(*) FROM report_current_favourites WHERE account = 'ada'")
    added = sql("SELECT count(*) FROM report_favourite_changes WHERE account = 'ada' AND change = 'added'")
    assert page.locator("#lede").inner_text().startswith(f"{favourites} favourites, ")
    assert f"{added} additions and " in (page.locator("meta[property='og:description']").get_attribute("content") or "")
    assert page.locator("section:visible").count() == 1
    assert page.locator("nav, .themes").first.is_hidden()
    context.close()


def test_the_regions_are_those_of_the_view(open_page: Open, story: Path, histories: Histories) -> None:
    opened = open_page(story)
    opened.page.locator("#regions summary").click()
    with read_transaction(histories.engine("sqlite")) as connection:
        rows = connection.execute(text("SELECT region, share FROM report_market_reach WHERE account = 'ada'")).all()
    shown = dict(
        opened.page.locator("#regions tbody tr").evaluate_all(
            "rows => rows.map((row) => [row.cells[1].innerText, row.cells[3].innerText])"
        )
    )
    assert set(shown) == {region for region, _ in rows}
    for region, share in rows:
        assert float(shown[region].strip(" %\u00a0\n")) == pytest.approx(share * 100, abs=0.51)


@pytest.mark.parametrize("kind", ["artist", "album", "genre"])
def test_top_rows_equal_the_views_with_their_changes(
    open_page: Open, story: Path, histories: Histories, kind: str
) -> None:
    opened = open_page(story)
    wanted = f"""SELECT v.name, v.current_favourites FROM report_{kind}s v
        WHERE v.account = 'ada' ORDER BY v.current_favourites DESC, v.ever_favourites DESC, v.{kind}_id LIMIT 12"""
    with read_transaction(histories.engine("sqlite")) as connection:
        rows = [(name, count) for name, count in connection.execute(text(wanted))]
    shown = opened.page.locator(f"#{kind}s .ranks li").evaluate_all(
        "rows => rows.map((row) => [row.querySelector('.name').innerText,"
        " row.querySelector('.count').firstChild.textContent, row.querySelector('.delta').innerText])"
    )
    assert [(name, int(count.replace(",", ""))) for name, count, _ in shown] == rows
    assert all(re.fullmatch(r"[+−][\d,]+|new|same", change) for _, _, change in shown)


def test_what_is_said_to_last_is_what_the_view_says(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    month = sql("SELECT min(survival) FROM report_survival WHERE account = 'ada' AND days <= 30")
    assert f"a month: {month * 100:.0f}\u00a0%" in opened.text("#lasting-lead")
    opened.page.locator("#survival").hover(position={"x": 300, "y": 100})
    told = re.search(r"(\d+)\s% still there\n?(\d+)\s% to (\d+)\s% at 95\s%", opened.text("#tip"))
    assert told
    share, low, high = map(int, told.groups())
    assert low < share < high


def test_newest_change_equals_the_sql_answer(open_page: Open, story: Path, histories: Histories) -> None:
    opened = open_page(story, zone="UTC")
    newest = """SELECT change, title FROM report_favourite_changes WHERE account = 'ada'
        AND changed_at = (SELECT max(changed_at) FROM report_favourite_changes WHERE account = 'ada')"""
    with read_transaction(histories.engine("sqlite")) as connection:
        rows = {tuple(row) for row in connection.execute(text(newest))}
    cells = "rows => rows.map((row) => [row.cells[0].innerText, row.cells[1].innerText])"
    shown = opened.page.locator("#recent tbody tr").evaluate_all(cells)
    assert rows == {tuple(row) for row in shown[: len(rows)]}


def test_on_a_narrow_screen_sections_are_a_tap_away(open_page: Open, story: Path) -> None:
    opened = open_page(story, width=390)
    opened.page.get_by_role("link", name="Where").click()
    opened.page.wait_for_function("Math.abs(document.querySelector('#where').getBoundingClientRect().top) < 200")


def test_searching_finds_what_sql_finds_and_says_how_many(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    artist = sql(
        "SELECT name FROM report_artists WHERE account = 'ada' ORDER BY current_favourites DESC, artist_id LIMIT 1"
    )
    count = sql(f"SELECT count(*) FROM report_current_favourites WHERE account = 'ada' AND artists LIKE '%{artist}%'")
    box = opened.page.locator(TABLE)
    box.get_by_role("searchbox").fill(artist.upper())
    opened.page.locator("#spoken", has_text="found").wait_for(state="attached")
    assert numbers(box.locator(".pages span").first.inner_text())[-1] >= count > 0
    assert all(artist in text for text in box.locator("tbody tr td:nth-child(2)").all_inner_texts())
    box.get_by_role("searchbox").fill("no such thing at all")
    opened.page.get_by_text("Nothing matches.").wait_for()


def test_a_column_sorts_both_ways_and_says_so(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    head = opened.page.locator(f"{TABLE} th", has_text="Length")
    for order, word in (("max", "descending"), ("min", "ascending")):
        head.get_by_role("button").click()
        seconds = sql(f"SELECT {order}(duration_seconds) FROM report_current_favourites WHERE account = 'ada'")
        first = opened.page.locator(f"{TABLE} tbody tr td:nth-child(5)").first.inner_text()
        parts = [int(part) for part in first.split(":")]
        assert sum(part * 60**place for place, part in enumerate(reversed(parts))) == seconds
        assert head.get_attribute("aria-sort") == word


def test_the_removed_are_in_the_same_table_and_pages_turn(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    box = opened.page.locator(TABLE)
    assert not box.locator("th", has_text="Removed").is_visible()
    box.get_by_role("button", name="Removed").first.click()
    gone = sql("SELECT count(*) FROM report_favourite_history WHERE account = 'ada' AND NOT is_current")
    said = box.locator(".pages span").first
    assert said.inner_text() == f"1–20 of {gone}"
    box.get_by_role("button", name="Next").click()
    assert said.inner_text().startswith("21–")
    assert box.locator("th", has_text="Removed").is_visible()
    why = box.locator("tbody tr td:nth-child(8)").all_inner_texts()
    assert set(why) <= {"unfavourited", "withdrawn by Boomplay", "not known"}


def test_the_missing_are_marked_in_both_tables(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    missing = sql("SELECT count(*) FROM report_missing WHERE account = 'ada'")
    changes = opened.page.locator("#recent .tablebox")
    changes.get_by_role("button", name="Missing").first.click()
    assert changes.locator("tbody tr").count() == missing > 0
    box = opened.page.locator(TABLE)
    box.locator("th", has_text="Missing").get_by_role("button").click()
    since = box.locator("tbody tr td:nth-child(7)").all_inner_texts()
    assert sum(text.startswith("since") for text in since) == missing


def test_a_change_lies_between_two_looks_in_utc(open_page: Open, story: Path) -> None:
    opened = open_page(story, zone="Asia/Kolkata")
    row = opened.page.locator("#recent tbody tr").first
    times = row.locator("time").evaluate_all(
        "times => times.map((time) => [time.title, time.innerText, time.dateTime])"
    )
    assert row.inner_text().count("between") == 1
    assert len(times) == 2
    for title, shown, instant in times:
        assert title == instant[:19].replace("T", " ") + " UTC"
        assert shown.endswith(instant[11:16])


def test_the_chart_is_read_with_the_arrow_keys(open_page: Open, story: Path) -> None:
    opened = open_page(story)
    chart = opened.page.get_by_role("slider")
    chart.focus()
    opened.page.keyboard.press("Home")
    first = chart.get_attribute("aria-valuetext")
    opened.page.keyboard.press("ArrowRight")
    assert re.fullmatch(r"\d+ \w+ \d+: \d+ favourites?, \d+ added, \d+ removed", first or "")
    assert chart.get_attribute("aria-valuetext") != first
    assert opened.page.locator("#tip").is_visible()


def test_each_chart_can_be_had_as_a_table(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    opened.page.locator("#growth summary").click()
    days = sql("SELECT count(*) FROM report_daily_changes WHERE account = 'ada'")
    assert opened.text("#growth .pages span").endswith(f"of {days}")
    for part in ("mixture", "survival", "runs"):
        opened.page.locator(f"#{part} summary").click()
        opened.page.locator(f"#{part} tbody tr").nth(1).wait_for()
    opened.page.locator("#markets summary").click()
    opened.page.locator("#markets tbody tr").nth(19).wait_for()


def test_another_account_and_other_colours_can_be_chosen(open_page: Open, story: Path) -> None:
    opened = open_page(story)
    assert opened.text("#title") == "ada"
    opened.page.get_by_label("Account").select_option("kofi")
    opened.page.locator("#title", has_text="kofi").wait_for()
    assert opened.page.url.endswith("#account=kofi")
    opened.page.reload()
    assert opened.text("#title") == "kofi"
    opened.page.evaluate("location.hash = 'account=ada'")
    opened.page.locator("#title", has_text="ada").wait_for()
    opened.page.get_by_role("button", name="Dark").click()
    assert opened.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    opened.page.get_by_role("button", name="Auto").click()
    assert opened.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_axe_finds_nothing_serious(open_page: Open, story: Path, width: int, scheme: str) -> None:
    opened = open_page(story, width=width, scheme=scheme)
    for summary in opened.page.locator("summary").all():
        summary.click()
    found = Axe().run(opened.page).response["violations"]
    serious = [
        (each["id"], node["target"], node["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical", "moderate")
        for node in each["nodes"]
    ]
    assert serious == []


def test_the_page_prints_without_controls_on_white(open_page: Open, story: Path) -> None:
    opened = open_page(story, scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not opened.page.locator(".bar").is_visible()
    assert opened.page.pdf(format="A4").startswith(b"%PDF")


def test_paper_has_whole_tables(open_page: Open, story: Path, sql: Any) -> None:
    opened = open_page(story)
    rows, shown = opened.page.locator(f"{TABLE} tbody tr"), opened.page.locator(f"{TABLE} .pages").is_visible
    before = rows.count()
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows.count() == sql("SELECT count(*) FROM report_current_favourites WHERE account = 'ada'") > before
    assert not shown()
    # With a button in them, Chromium does not repeat the heads on each sheet.
    assert opened.page.locator("thead button").count() == 0
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.page.locator(f"{TABLE} thead button:visible").count() > 4
    assert rows.count() == before
    assert shown()


def test_charts_are_redrawn_for_print_and_screen(open_page: Open, story: Path) -> None:
    opened = open_page(story)
    widest = "Math.max(...[...document.querySelectorAll('svg.chart')].map((svg) => svg.viewBox.baseVal.width))"
    before = opened.page.evaluate(widest)
    assert before > 1000
    assert opened.page.evaluate(f"dispatchEvent(new Event('beforeprint')), {widest}") <= 700
    assert opened.page.evaluate(f"dispatchEvent(new Event('afterprint')), {widest}") == before

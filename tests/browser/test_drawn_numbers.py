"""What the scripts compute and draw (bars, classes of colour, bands, tables of charts), compared with counts on base tables."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest

from tests.browser.conftest import Open, Shown
from tests.browser.test_page import numbers
from tests.reporting.test_view_numbers import kaplan_meier
from tests.support import recount
from tests.support.recount import KINDS, Recount

Row = dict[str, Any]
Range = tuple[float, float]
PERCENT = 0.51
RANKS = """rows => rows.map((row) => [row.querySelector('.name').innerText,
    row.querySelector('.count').firstChild.textContent, row.querySelector('.delta')?.innerText ?? null])"""
POINTED = """(svg, part) => {
    const box = svg.getBoundingClientRect(), clientX = box.left + 46 + (box.width - 62) * part;
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY: box.top + 100 }));
    return document.getElementById("tip").innerText;
}"""
CELLS = "rows => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"


def share(words: str) -> float:
    """Return the number of a percentage as a reader sees it."""
    return float(words.replace("\u00a0", "").replace("%", "").replace("<", "").strip())


def ranges(shown: Shown, selector: str) -> dict[str, Range]:
    """Return the classes of a legend: of each style the least and the largest value."""
    items = (
        shown[0]
        .page.locator(f"{selector} li")
        .evaluate_all("all => all.map((each) => [each.firstChild.className, each.innerText])")
    )
    found = {style.split()[-1]: numbers(words) for style, words in items}
    assert len(found) == len(items)
    return {style: (each[0], each[-1]) for style, each in found.items() if each}


def rows_of(shown: Shown, part: str) -> list[list[str]]:
    """Return the cells of the table of a chart, of all its pages."""
    page = shown[0].page
    page.evaluate("part => { document.querySelector(`${part} details`).open = true; }", part)
    page.locator(f"{part} details table").wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    found: list[list[str]] = page.locator(f"{part} details tbody tr").evaluate_all(CELLS)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    return found


def changes_by_day(rows: Recount) -> tuple[Counter[date], Counter[date]]:
    added, removed = Counter[date](), Counter[date]()
    for day, came, left, *_ in recount.daily(rows):
        added[day] += came
        removed[day] += left
    return added, removed


def test_bars_of_growth_are_the_changes_of_a_week_or_a_day(shown: Shown) -> None:
    opened, rows, _ = shown
    page, first, last = opened.page, rows.looks[0].date(), rows.last.date()
    if (rows.last - rows.looks[0]).days < 4:
        assert page.locator("#growth .bar-added").count() == 0
        return
    added, removed = changes_by_day(rows)
    buttons = page.locator("#growth .segments button")
    for place in range(max(1, buttons.count())):
        name = "All"
        if buttons.count():
            name = buttons.nth(place).inner_text()
            buttons.nth(place).click()
        begin = first if name == "All" else last - timedelta(days={"A year": 365, "90 days": 90}[name])
        is_weekly = "in a week" in page.locator("#growth svg").text_content()
        assert is_weekly == ((last - begin).days + 1 > 500)
        for kind, counts in (("added", added), ("removed", removed)):
            wanted = Counter[date]()
            for day in (begin + timedelta(days=each) for each in range((last - begin).days + 1)):
                wanted[day - timedelta(days=day.weekday()) if is_weekly else day] += counts[day]
            bars = page.locator(f"#growth rect.bar-{kind}").evaluate_all(
                f"all => all.map((bar) => [bar.__data__.start.toISOString().slice(0, 10), bar.__data__.{kind}, +bar.getAttribute('height')])"
            )
            assert {date.fromisoformat(day): count for day, count, _ in bars} == wanted
            heights = {round(height / count, 3) for _, count, height in bars if count}
            assert len(heights) <= 1
            assert all(height == 0 for _, count, height in bars if not count)


def test_a_day_of_growth_is_read_with_its_numbers(shown: Shown) -> None:
    opened, rows, _ = shown
    if (rows.last - rows.looks[0]).days < 4:
        return
    added, removed = changes_by_day(rows)
    totals = {day: total for day, _, _, total, _ in recount.daily(rows)}
    chart = opened.page.get_by_role("slider")
    chart.focus()
    for key, steps in (("Home", 0), ("PageUp", 30), ("End", 10**6), ("PageDown", -30)):
        opened.page.keyboard.press(key)
        days = (rows.last.date() - rows.looks[0].date()).days
        day = rows.looks[0].date() + timedelta(days=min(steps, days) if steps >= 0 else max(0, days + steps))
        total = totals[max(each for each in totals if each <= day)]
        assert numbers((chart.get_attribute("aria-valuetext") or "").split(": ")[1]) == [
            total,
            added[day],
            removed[day],
        ]


def test_each_day_of_the_calendar_has_the_class_of_its_count(shown: Shown) -> None:
    opened, rows, _ = shown
    if (rows.last - rows.looks[0]).days < 14:
        return
    added, removed = changes_by_day(rows)
    counts, looked = added + removed, {look.date() for look in rows.looks}
    classes = ranges(shown, "#calendar .legend")
    assert sorted(classes.values()) == [classes[style] for style in sorted(classes)]
    days = opened.page.locator("#calendar rect").evaluate_all(
        "all => all.map((day) => [day.__data__.toISOString().slice(0, 10), day.getAttribute('class')])"
    )
    for text, style in days:
        day = date.fromisoformat(text)
        if counts[day]:
            assert classes[style][0] <= counts[day] <= classes[style][1]
        else:
            assert style == ("q0" if day in looked else "unseen")
    inner = [number for edges in classes.values() for number in edges]
    assert set(inner) <= set(counts.values())
    words = opened.text("#calendar figcaption")
    assert re.findall(r": ([\d,]+) days? with", words) == [f"{len(counts):,}"]
    busiest = {f"{day.day} {day:%b}"[:6] for day, count in counts.items() if count == max(counts.values())}
    assert not counts or any(f"most on {day}" in words for day in busiest)


def test_each_month_of_the_narrow_calendar_has_its_count(
    open_page: Open, page_of: Any, request: pytest.FixtureRequest
) -> None:
    path, rows = page_of("three years")
    opened = open_page(path, width=390)
    added, removed = changes_by_day(rows)
    sums = Counter[str]()
    for day, count in (added + removed).items():
        sums[f"{day:%Y-%m}"] += count
    cells = opened.page.locator("#calendar g:has(> rect)").evaluate_all(
        "all => all.map((cell) => [cell.__data__.toISOString().slice(0, 7), cell.querySelector('rect').getAttribute('class'), cell.textContent])"
    )
    assert {month for month, _, _ in cells} >= set(sums)
    classes = ranges((opened, rows, {}), "#calendar .legend")
    looked = {f"{look:%Y-%m}" for look in rows.looks}
    for month, style, words in cells:
        assert sum(numbers(words)) == sums[month]
        if sums[month]:
            assert classes[style][0] <= sums[month] <= classes[style][1]
        else:
            assert style == ("q0" if month in looked else "unseen")


def test_each_market_of_the_maps_has_the_class_of_its_share(shown: Shown) -> None:
    opened, rows, summary = shown
    coverage = recount.coverage(rows)
    if not summary["known_markets"]:
        assert opened.page.locator("#maps .land").count() == 0
        return
    named = [code for code, market in rows.markets.items() if market.name]
    reached = sum(coverage[code][0] > 0 for code in named)
    assert numbers(opened.text("#where-lead"))[:2] == [reached, len(named)]
    legends = opened.page.locator("#maps .legend")
    assert legends.count() == 2
    for place, number in ((0, 0), (1, 1)):
        opened.page.evaluate(
            "([at]) => { document.querySelectorAll('#maps .legend')[at].id = `legend-${at}`; }", [place]
        )
        classes = ranges(shown, f"#legend-{place}")
        drawn = (
            opened.page.locator("#maps svg")
            .nth(number)
            .locator(".land")
            .evaluate_all("all => all.map((each) => [each.__data__.id, each.getAttribute('class').split(' ')[1]])")
        )
        styled = [(code, style) for code, style in drawn if style != "none"]
        assert styled
        for code, style in styled:
            available, known = coverage[code]
            if available == 0:
                assert style == "q0"
            else:
                assert classes[style][0] - 1e-9 <= 100 * available / known <= classes[style][1] + 1e-9
        colours = [classes[style] for style in sorted(classes) if style != "q0"]
        assert colours == sorted(colours)


def test_tables_of_markets_and_regions(shown: Shown) -> None:
    _, rows, summary = shown
    if not summary["known_markets"]:
        return
    coverage = recount.coverage(rows)
    cells = _details(shown, "#markets")
    assert len(cells) == sum(market.name is not None for market in rows.markets.values())
    for _, code, _, percent, available in cells:
        assert numbers(available) == [coverage[code][0]]
        assert share(percent) == pytest.approx(100 * coverage[code][0] / coverage[code][1], abs=PERCENT)
    for _, region, reached, percent, _ in _details(shown, "#regions"):
        own = [coverage[code] for code, market in rows.markets.items() if market.region == region]
        assert numbers(reached) == [sum(here > 0 for here, _ in own), len(own)]
        mean = sum(here for here, _ in own) / sum(known for _, known in own)
        assert share(percent) == pytest.approx(100 * mean, abs=PERCENT)


def _details(shown: Shown, part: str) -> list[list[str]]:
    page = shown[0].page
    page.locator(f"{part} summary").click()
    page.locator(f"{part} tbody tr").first.wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    found: list[list[str]] = page.locator(f"{part} tbody tr").evaluate_all(CELLS)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    return found


def test_the_band_of_survival_is_greenwoods(shown: Shown) -> None:
    opened, rows, _ = shown
    ages = [
        (((stay.valid_to or stay.last_seen_at or rows.last) - stay.valid_from).days, stay.valid_to is not None)
        for stay in rows.dated
    ]
    steps = kaplan_meier(ages)
    chart = opened.page.locator("#survival svg.chart")
    if not any(is_gone for _, is_gone in ages):
        assert chart.count() == 0
        return
    assert numbers(opened.text("#survival figcaption"))[:2] == [len(ages), sum(is_gone for _, is_gone in ages)]
    for part in (0.1, 0.3, 0.5, 0.7, 0.95):
        words = chart.evaluate(POINTED, part).split("\n")
        days = numbers(words[0])[0]
        variance, survival = 0.0, 1.0
        for age, at_risk, removed, left in steps:
            if age <= days and at_risk > removed:
                variance += removed / (at_risk * (at_risk - removed))
            survival = left if age <= days else survival
        assert share(words[1].split("still")[0]) == pytest.approx(100 * survival, abs=PERCENT)
        if 0 < survival < 1:
            width = 1.96 * math.sqrt(variance) / math.log(survival)
            bounds = sorted(100 * survival ** math.exp(sign * width) for sign in (1, -1))
            assert [share(each) for each in words[2].split(" at ")[0].split(" to ")] == pytest.approx(
                bounds, abs=PERCENT
            )


def test_tables_of_genres_and_of_the_largest_artists(shown: Shown) -> None:
    opened, rows, _ = shown
    ends = recount.month_ends(rows)
    genres = sorted(
        recount.by_name(rows, "genre").items(), key=lambda each: (-each[1]["now"], -each[1]["ever"], each[0])
    )
    top = [row for _, row in genres if row["now"]][:7]
    if len(ends) >= 2 and top:
        cells = rows_of(shown, "#mixture")
        assert len(cells) == len(ends)
        for month, (_, *shares) in enumerate(reversed(cells)):
            wanted = [100 * row["series"][month] / max(1, rows.open_at(ends[month])) for row in top]
            assert [share(each) for each in shares] == pytest.approx(wanted, abs=PERCENT)
        words = opened.text("#mixture figcaption")
        others = sum(bool(row["now"]) for _, row in genres) - len(top)
        assert re.findall(r"([\d,]+) other", words) == ([f"{others:,}"] if others else [])
    artists = recount.by_name(rows, "artist")
    if len(ends) >= 3 and artists:
        cells = rows_of(shown, "#places")
        assert len(cells) == min(18, len(ends))
        for back, (_, *names) in enumerate(cells, start=1):
            count = {number: row["series"][-back] for number, row in artists.items() if row["series"][-back]}
            order = sorted(count, key=lambda number: (-count[number], number))[:10]
            wanted = [_words(artists[number]["name"]) for number in order]
            assert [_words(name) for name in names] == wanted + [""] * (10 - len(order))


def _words(name: str | None) -> str:
    return " ".join((name or "(no name)").split())


def test_ranks_say_how_many_more_than_a_year_ago(shown: Shown) -> None:
    opened, rows, _ = shown
    is_long = (rows.last - rows.looks[0]).total_seconds() / 86400 > 28
    for kind in KINDS:
        counts = recount.by_name(rows, kind)
        order = sorted(counts, key=lambda number: (-counts[number]["now"], -counts[number]["ever"], number))
        top = [counts[number] for number in order if counts[number]["now"]][:12]
        found = opened.page.locator(f"#{kind}s .ranks li").evaluate_all(RANKS)
        assert [(numbers(count), change) for _, count, change in found] == [
            ([row["now"]], _change(row) if is_long else None) for row in top
        ]
    if is_long:
        artists = recount.by_name(rows, "artist").values()
        came = sum(bool(row["now"] and not row["before"]) for row in artists)
        left = sum(bool(row["before"] and not row["now"]) for row in artists)
        for part, count in (("#came", came), ("#left", left)):
            more = re.findall(r"and ([\d,]+) more", opened.text(part))
            assert opened.page.locator(f"{part} .chips li").count() + sum(map(int, more)) == count


def _change(row: Row) -> str:
    change = row["now"] - row["before"]
    if not row["before"]:
        return "new"
    return f"{'+' if change > 0 else '−'}{abs(change):,}" if change else "same"


def test_highlights_and_leads_say_the_numbers_of_sql(shown: Shown) -> None:
    opened, rows, summary = shown
    watched = (rows.last - rows.looks[0]).total_seconds() / 86400
    cards = {
        words[0]: words[1:]
        for words in (text.split("\n") for text in opened.page.locator("#highlights li").all_inner_texts())
    }
    added, removed = changes_by_day(rows)
    counts = added + removed
    assert ("Busiest day" in cards) == (watched >= 28 and bool(counts))
    if "Busiest day" in cards:
        assert numbers(cards["Busiest day"][-1]) == [max(counts.values())]
    if "Artist on the rise" in cards:
        artists = recount.by_name(rows, "artist").values()
        rise = max(row["now"] - row["before"] for row in artists)
        words = cards["Artist on the rise"][-1]
        before, now = numbers(words)[:2] if " to " in words else (0, numbers(words)[0])
        assert now - before == rise
    if "Genre on the rise" in cards:
        before_all = rows.open_at(recount.year_before(rows))
        genres = recount.by_name(rows, "genre").values()
        parts = [(100 * row["before"] / max(1, before_all), 100 * row["now"] / len(rows.current)) for row in genres]
        largest = max(now - before for before, now in parts)
        before, now = (share(each) for each in cards["Genre on the rise"][-1].split(" of the")[0].split(" to "))
        assert any(
            now == pytest.approx(each[1], abs=PERCENT) and before == pytest.approx(each[0], abs=PERCENT)
            for each in parts
            if each[1] - each[0] == pytest.approx(largest)
        )
    if watched >= 365:
        year = summary["year"]
        lead = numbers(opened.text("#grew-lead").split(", ", 1)[1])
        assert lead == [year["added"], year["removed"], abs(year["added"] - year["removed"])]
    outcomes = Counter(run.outcome for run in rows.runs if run.outcome)
    proved = outcomes["succeeded"] + outcomes["unchanged"]
    wanted = [count for count in (proved, outcomes["partial"], outcomes["held"], outcomes["failed"]) if count]
    if len(rows.runs) > 1:
        said = opened.text("#sure-lead").split(" runs, ", 1)[1].split(".")[0]
        assert numbers(said) == wanted


def test_tables_of_runs_reasons_and_facts(shown: Shown) -> None:
    opened, rows, _ = shown
    marks = opened.page.locator("#runs > .outcomes .outcome").evaluate_all(
        "all => all.map((each) => each.classList[1])"
    )
    assert marks == [run.outcome for run in rows.runs[-120:]]
    total = len(rows.current)
    facts = recount.completeness(rows)
    cells = opened.page.locator("#completeness tbody tr").evaluate_all(CELLS)
    assert len(cells) == len(facts)
    for name, known, missing in cells:
        count = facts[{"ISRC": "isrc", "web address": "web_url"}.get(name, name)]
        assert share(known) == pytest.approx(100 * count / total, abs=PERCENT)
        assert numbers(missing) == [total - count]
    reasons = Counter(stay.removal_reason or "unknown" for stay in rows.ended)
    words = {"unfavourited": "unfavourited", "withdrawn by Boomplay": "withdrawn", "not known": "unknown"}
    found = opened.page.locator("#vanished .ranks li").evaluate_all(RANKS)
    assert {words[name]: numbers(count)[0] for name, count, _ in found} == reasons
    back = recount.regrets(rows)
    away = opened.page.locator("#regrets tbody tr").evaluate_all(CELLS)
    assert len(away) == min(8, back.total())
    longest = Counter(
        "less than one" if (at - left).total_seconds() < 86400 else round((at - left).total_seconds() / 86400)
        for _, left, at in back.elements()
    )
    shown_days = Counter(row[3] if row[3].startswith("less") else numbers(row[3])[0] for row in away)
    assert shown_days <= longest

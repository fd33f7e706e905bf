"""The HTML report of odd accounts: with nothing, with one track, with 10,000, with hostile titles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from etl.db.engine import open_engine, read_transaction
from etl.reporting.html import write_report
from tests.browser.conftest import Open
from tests.support.lists import item

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<!--<script>",
    '"><svg onload=window.hacked=1>',
    "\u2028\u2029 lines",
    "\u202egnp.eman",
    "]]> &lt;b&gt; ${alert(1)} {{7*7}}",
    "constructor",
    "__proto__",
)


def hostile_items() -> list[Any]:
    return [
        item(
            number,
            track_title=title,
            album_title=title,
            genres=title.replace(",", " "),
            web_url="javascript:window.hacked = 1" if number % 2 else f"https://web.example.invalid/{number}",
            artists=[{"artist_id": number, "artist_name": title}],
        )
        for number, title in enumerate(HOSTILE, start=1)
    ]


def test_a_database_without_an_account_says_so(
    open_page: Open, new_database: Callable[..., str], tmp_path: Path
) -> None:
    engine = open_engine(new_database("sqlite"))
    with read_transaction(engine) as connection:
        write_report(connection, tmp_path / "report.html")
    engine.dispose()
    assert open_page(tmp_path / "report.html").text("#title") == "No account yet"


def test_never_synced_and_empty_accounts_are_named(open_page: Open, report_of: Callable[..., Path]) -> None:
    never = open_page(report_of())
    assert "has not read this list yet" in never.text("#lede")
    assert never.page.locator("main section:visible").count() == 1
    nothing = open_page(report_of([]), width=390)
    assert "No favourites, and there never were any" in nothing.text("#lede")
    assert "The only run proved the list" in nothing.text("#sure-lead")
    assert nothing.page.locator("main section:visible").count() == 2
    assert nothing.page.locator("nav a:visible").all_inner_texts() == ["How sure"]


def test_emptied_account_still_shows_former_favourites(open_page: Open, report_of: Callable[..., Path]) -> None:
    opened = open_page(report_of([item(1, track_title="Gone"), item(2), item(3)], [item(2), item(3)]))
    assert "2 favourites" in opened.text("#lede")
    opened.page.get_by_role("button", name="Removed 1").click()
    assert opened.page.locator("#every tbody .main").all_inner_texts() == ["Gone"]


def test_one_track_is_enough_for_a_page(open_page: Open, report_of: Callable[..., Path]) -> None:
    opened = open_page(report_of([item(1, track_title="The only one")]))
    assert "1 favourite" in opened.text("#lede")
    assert "The only one" in opened.text("#every")
    assert "before" in opened.text("#recent tbody")
    assert "looked once, and 1 favourite was there" in opened.text("#growth")


def test_a_hostile_title_is_a_title(open_page: Open, report_of: Callable[..., Path]) -> None:
    items = hostile_items()
    path = report_of(items, items[:-2], items, name="<b onmouseover='window.hacked=1'>")
    opened = open_page(path)
    page = opened.page
    assert opened.text("#title").startswith("<b onmouseover")
    titles = page.locator("#every tbody td:first-child").all_inner_texts()
    assert {title.strip() for title in HOSTILE if title.isascii()} <= {title.strip() for title in titles}
    for title in page.locator("#every tbody td:first-child").all():
        title.hover()
    assert page.evaluate("window.hacked") is None
    links = page.locator("#every a").evaluate_all("links => links.map((link) => link.href)")
    assert links
    assert all(link.startswith("https://") for link in links)
    assert page.locator("main img, main b[onmouseover], main svg[onload]").count() == 0


def test_the_policy_lets_no_other_script_run_and_nothing_load(open_page: Open, report_of: Callable[..., Path]) -> None:
    opened = open_page(report_of([item(1)]))
    tries = """() => {
      const script = document.createElement("script");
      script.textContent = "window.hacked = 1";
      document.body.append(script);
      document.body.setAttribute("onclick", "window.hacked = 1");
      document.body.click();
      const image = document.createElement("img");
      image.src = "https://elsewhere.invalid/pixel.png";
      document.body.append(image);
      fetch("https://elsewhere.invalid/told").catch(() => null);
      return window.hacked;
    }"""
    assert opened.page.evaluate(tries) is None
    for what in ("pixel.png", "elsewhere.invalid/told", "inline script", "inline event handler"):
        while not any("Content Security Policy" in trouble and what in trouble for trouble in opened.troubles):
            opened.page.wait_for_timeout(20)  # lets the next messages of the page arrive, however long they take
    opened.troubles.clear()


def test_ten_thousand_favourites_fit_in_three_megabytes_and_open(
    open_page: Open, report_of: Callable[..., Path]
) -> None:
    items = [item(number, track_title=f"A title of the usual length, number {number}") for number in range(1, 10_001)]
    path = report_of(items[:9_900], items[100:])
    assert path.stat().st_size < 3_000_000
    opened = open_page(path)
    assert opened.text("#every .pages span") == "1–20 of 9,900"
    opened.page.locator("#every").get_by_role("searchbox").fill("number 9999")
    opened.page.get_by_text("1–1 of 1").wait_for()

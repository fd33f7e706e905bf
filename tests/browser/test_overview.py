"""The overview of many accounts in a real browser: it sorts, searches, leads to each account, and axe finds nothing serious."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from etl.db.engine import read_transaction
from etl.reporting.html import write_report
from tests.support.seeded import Histories


@pytest.fixture(scope="module")
def overview(histories: Histories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the overview of twenty accounts."""
    path = tmp_path_factory.mktemp("overview") / "all.html"
    with read_transaction(histories.engine("sqlite", "twenty accounts")) as connection:
        write_report(connection, path)
    return path


@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_the_overview_fits_and_is_accessible(browser: Browser, overview: Path, width: int) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(0)  # a slow machine is no failure
        page = context.new_page()
        page.goto(overview.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical", "moderate")] == []
        context.close()


def test_the_overview_sorts_searches_and_links(browser: Browser, overview: Path) -> None:
    context = browser.new_context()
    context.set_default_timeout(0)
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.goto(overview.as_uri())
    counts = page.locator("#accounts tbody td:nth-child(2)")
    for is_down in (True, False):
        page.get_by_role("button", name="Favourites").click()
        shown = [int(text) for text in counts.all_inner_texts()]
        assert shown == sorted(shown, reverse=is_down)
    assert len(set(shown)) > 1
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("thead").inner_text().split()[:2] == ["Account", "Favourites"]
    assert page.locator("thead button").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.get_by_role("searchbox").fill("THANDI")
    assert page.locator("#accounts tbody tr:visible").count() == 1
    assert page.get_by_role("status").inner_text() == "1 of 20 accounts"
    page.get_by_role("link", name="thandi").click()
    page.locator("#foot p").first.wait_for()
    assert page.locator("#title").inner_text() == "thandi"
    assert troubles == []
    context.close()

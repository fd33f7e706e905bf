"""The page of a year in a real browser: it fits, prints, works without scripts, and axe finds nothing serious."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_the_year_fits_and_is_accessible(browser: Browser, year: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(0)  # a slow machine is no failure
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.goto(year.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".card svg:visible").count() == 2
    found = Axe().run(page).response["violations"]
    serious = [
        (each["id"], node["target"], node["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical", "moderate")
        for node in each["nodes"]
    ]
    assert serious == []
    assert troubles == []
    context.close()


def test_the_year_needs_no_script_and_prints(browser: Browser, year: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(year.as_uri())
    page.get_by_role("link", name="kofi").click()
    assert page.url.endswith("#account-1")
    assert page.locator("#account-1 .facts li:visible").count() > 8
    page.emulate_media(media="print")
    assert not page.locator("details").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
    context.close()

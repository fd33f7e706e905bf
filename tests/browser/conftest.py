"""What the tests in a browser share: Chromium, pages, and what went wrong on them. ``make browser`` installs Chromium if it may.

Not part of ``make test``: that must pass on a machine with Python and make alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from etl.db.engine import open_engine, read_transaction
from etl.load.accounts import ensure_account, find_account
from etl.reporting.html import write_report, write_year
from etl.reporting.year import read_history, review
from etl.sync import RunOptions, sync_account
from tests.conftest import Postgres
from tests.support import recount
from tests.support.awkward import CASES, opened
from tests.support.lists import START, FakeSource
from tests.support.recount import Recount
from tests.support.seeded import Histories

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@dataclass
class Opened:
    """A page in the browser, and what it complained of or asked the network for."""

    page: Page
    troubles: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """Return what a reader sees there."""
        return self.page.locator(selector).first.inner_text()


Open = Callable[..., Opened]
Shown = tuple[Opened, Recount, dict[str, Any]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a Chromium that is installed on this machine."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("there is no Chromium; `make browser` installs one where it may")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Return a function that opens a report in a window of its own; troubles on it fail the test at its end."""
    opened: list[Opened] = []

    def open_(
        path: Path, *, width: int = 1440, scheme: Any = "light", zone: str = "Africa/Lagos", **how: Any
    ) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            timezone_id=zone,
            reduced_motion="reduce",
            **how,
        )
        context.set_default_timeout(0)  # a slow machine is no failure
        each = Opened(context.new_page())
        page, troubles = each.page, each.troubles
        page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith("file:") else troubles.append(asked.url[:100]))
        page.goto(path.as_uri())
        page.locator("#foot p").first.wait_for()
        opened.append(each)
        return each

    yield open_
    for each in opened:
        each.page.context.close()
    assert [trouble for each in opened for trouble in each.troubles if not trouble.startswith("data:")] == []


@pytest.fixture(scope="session")
def histories(
    postgres: Postgres, sqlite_template: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Histories]:
    """Return the seeded history that the tests of the views use."""
    made = Histories(postgres, sqlite_template, tmp_path_factory.mktemp("histories"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def story(histories: Histories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the seeded history, which has two accounts."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    with read_transaction(histories.engine("sqlite")) as connection:
        write_report(connection, path)
    return path


@pytest.fixture(scope="session")
def year(histories: Histories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a year of the seeded history, which has two accounts."""
    path = tmp_path_factory.mktemp("year") / "year.html"
    with read_transaction(histories.engine("sqlite")) as connection:
        reviews = [review(read_history(connection, name), 2026, date(2026, 5, 19)) for name in ("ada", "kofi")]
    write_year(reviews, path, "1")
    return path


@pytest.fixture(scope="session")
def page_of(histories: Histories, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Recount]]:
    """Return a function that makes the page of the first account of a case once, and returns its rows too."""
    made: dict[str, tuple[Path, Recount]] = {}

    def page_of_case(name: str) -> tuple[Path, Recount]:
        if name not in made:
            path = tmp_path_factory.mktemp("numbers") / "report.html"
            account = CASES[name].accounts[0]
            with opened(histories, "sqlite", name) as connection:
                write_report(connection, path, (account,))
                made[name] = path, recount.recount(connection, account)
        return made[name]

    return page_of_case


@pytest.fixture(params=CASES)
def shown(request: pytest.FixtureRequest, open_page: Open, page_of: Callable[[str], tuple[Path, Recount]]) -> Shown:
    """Return the page of a case in the browser, its rows and their summary."""
    path, rows = page_of(request.param)
    return open_page(path), rows, recount.summary(rows)


@pytest.fixture
def report_of(new_database: Callable[..., str], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that syncs a new account once for each of some lists, and returns the report."""

    def report(*lists: list[Any], name: str = "ada") -> Path:
        engine = open_engine(new_database("sqlite"))
        with engine.begin() as connection:
            ensure_account(connection, name, START)
        with read_transaction(engine) as connection:
            account = find_account(connection, name)
        for items in lists:
            outcome = sync_account(engine, account, FakeSource(items), RunOptions())
            assert outcome.error is None
        path = tmp_path / "report.html"
        with read_transaction(engine) as connection:
            write_report(connection, path)
        engine.dispose()
        return path

    return report

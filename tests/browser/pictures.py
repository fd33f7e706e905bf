"""The pictures of the HTML report in docs/pictures, taken in a real Chromium.

    python -m benchmarks.history --accounts 1 --favourites 3000 --days 1095 --every 2 sqlite:///years.db
    python -m tests.browser.pictures years.db

`make browser` makes the environment for it. Fonts are those of the machine: install some that know Ethiopic, Arabic and emoji.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import time_machine
from playwright.sync_api import Browser, sync_playwright

from benchmarks.history import END
from etl.db.engine import open_engine, read_transaction
from etl.reporting.html import write_report

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs/pictures"
WIDE, NARROW = 1200, 390


@dataclass(frozen=True, slots=True)
class Picture:
    """What is taken: from the top of ``part``, so wide and high."""

    name: str
    part: str
    width: int
    height: int
    scheme: Literal["light", "dark"]


PICTURES: Final = (
    Picture("summary", "main", WIDE, 940, "light"),
    Picture("time", "#grew-h", WIDE, 780, "dark"),
    Picture("where", "#maps h3", 1000, 700, "light"),
    Picture("narrow", "main", NARROW, 844, "dark"),
    Picture("narrow-changes", "#changes-h", NARROW, 844, "light"),
)


def take(browser: Browser, page_path: Path, picture: Picture) -> None:
    """Take one picture."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme=picture.scheme,
        timezone_id="Africa/Lagos",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(page_path.as_uri())
    page.locator("#foot p").first.wait_for()
    top: Any = page.evaluate("part => document.querySelector(part).getBoundingClientRect().top + scrollY", picture.part)
    page.evaluate(
        "top => scrollTo(0, top)", 0 if picture.part == "main" else top - (90 if picture.width == NARROW else 70)
    )
    page.wait_for_timeout(300)
    page.screenshot(path=FOLDER / f"{picture.name}.png")
    context.close()


def main() -> None:
    """Take every picture of the report of one database."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.browser.pictures", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("database", type=Path)
    database = parser.parse_args().database
    FOLDER.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        engine = open_engine(f"sqlite:///{database.resolve()}")
        with time_machine.travel(END + timedelta(hours=2), tick=False), read_transaction(engine) as connection:
            write_report(connection, path)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for picture in PICTURES:
            take(browser, path, picture)
        browser.close()
    for each in sorted(FOLDER.glob("*.png")):
        print(f"{each.name}: {each.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

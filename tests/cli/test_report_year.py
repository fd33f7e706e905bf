"""``favsync report year``: text, JSON, page, card, and invalid requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.cli import main
from etl.db.engine import open_engine
from etl.load.accounts import ensure_account, find_accounts
from etl.sync import RunOptions, sync_account
from tests.support.lists import START, FakeSource, item

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``favsync`` over an account that was looked at twice, and one never."""
    url = new_database("sqlite")
    engine = open_engine(url)
    with engine.begin() as connection:
        for name in ("ada", "kofi"):
            ensure_account(connection, name, START)
        (ada,) = find_accounts(connection, ["ada"])
    for count in (1, 3):
        sync_account(engine, ada, FakeSource([item(number) for number in range(1, count + 1)]), RunOptions())
    engine.dispose()
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", url)

    def run_(*arguments: str) -> tuple[int, str, str]:
        code = main(["report", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


def test_the_newest_year_is_shown_for_every_account(run: Run) -> None:
    code, out, _ = run("year")
    assert code == 0
    assert "2 additions of 2 tracks and 0 removals: 3 favourites at its end." in out
    assert out.count("Nobody looked at this list") == 1
    found = json.loads(run("year", "--json", "--account", "ada")[1])
    assert [(each["account"], each["added"]) for each in found] == [("ada", 2)]
    assert out == run("year", str(found[0]["year"]))[1]
    assert "Nobody looked at this list in 1999" in run("year", "1999")[1]


def test_the_page_and_the_cards_are_files(run: Run, tmp_path: Path) -> None:
    page, upright, wide = (tmp_path / name for name in ("year.html", "year.svg", "wide.SVG"))
    assert run("year", "-o", str(page))[0] == 0
    assert page.read_text(encoding="utf-8").count("<article") == 2
    assert run("year", "--account", "ada", "-o", str(upright))[0] == 0
    assert 'viewBox="0 0 1080 1920"' in upright.read_text(encoding="utf-8")
    assert run("year", "--account", "ada", "--card", "wide", "-o", str(wide))[0] == 0
    assert 'viewBox="0 0 1200 630"' in wide.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("year", "soon"), "'soon' is not a year"),
        (("year", "99999"), "'99999' is not a year"),
        (("year", "٢٠٢٦"), "is not a year"),
        (("year", "--account", "bob"), "there is no account 'bob'"),
        (("year", "-o", "year.txt"), "ends in .html (the page) or .svg (the card)"),
        (("year", "-o", "year.svg"), "a card is about one account, not 2"),
        (("year", "--card", "wide"), "add -o FILE.svg"),
        (("year", "--limit", "3"), "the review of a year has no --limit"),
        (("artists", "2026"), "only `favsync report year` takes a year"),
        (("html", "2026", "-o", "x.html"), "`favsync report year 2026` looks back on a year"),
        (("html", "-o", "x.html", "--json"), "the HTML report has no --json"),
        (("year", "-o", "nowhere/year.html"), "cannot be written"),
    ],
)
def test_a_mistake_names_the_way_on(run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = run(*arguments)
    assert (code, words in err) == (2, True), err
    assert not list(tmp_path.glob("*.svg"))

"""``favsync report year``: text, JSON, page, card, and invalid requests."""

from __future__ import annotations

import json
import os
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from etl.cli import main
from etl.db.engine import open_engine
from etl.db.tables import tracks
from etl.load.accounts import ensure_account, find_account
from etl.sync import RunOptions, sync_account
from tests.boomplay.service import Service, reply
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
        ada = find_account(connection, "ada")
    for count in (1, 3):
        sync_account(engine, ada, FakeSource([item(number) for number in range(1, count + 1)]), RunOptions())
    engine.dispose()
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", url)

    def run_(*arguments: str) -> tuple[int, str, str]:
        code = main(["report", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Return a service with pictures, on this machine as the API is."""
    monkeypatch.setenv("BOOMPLAY_API_URL", "http://127.0.0.1:1")
    running = Service()
    yield running
    running.close()


def set_artwork(url: str) -> None:
    """Give every track the address of a cover."""
    engine = open_engine(os.environ["FAVSYNC_DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(update(tracks).values(artwork_url=url))
    engine.dispose()


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


def test_patterns_choose_the_accounts_of_a_year(run: Run) -> None:
    found = json.loads(run("year", "--json", "--account", "a*")[1])
    assert [each["account"] for each in found] == ["ada"]


@pytest.mark.parametrize(("shape", "size"), [("upright", (1080, 1920)), ("wide", (1200, 630))])
def test_a_card_is_drawn_as_png(run: Run, tmp_path: Path, shape: str, size: tuple[int, int]) -> None:
    path = tmp_path / "card.png"
    assert run("year", "--account", "ada", "--card", shape, "-o", str(path))[0] == 0
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == size


def test_without_the_extra_png_names_the_remedy(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.reporting.html.card.find_spec", lambda _: None)
    code, _, err = run("year", "--account", "ada", "-o", str(tmp_path / "card.png"))
    assert (code, "pip install resvg-py" in err, list(tmp_path.glob("*.png"))) == (2, True, [])


def test_covers_are_embedded_and_nothing_else_is_fetched(run: Run, service: Service, tmp_path: Path) -> None:
    cover = b"\xff\xd8\xff the cover"
    service.always = reply(cover)
    set_artwork(f"{service.url}/1.jpg?size=464")
    page, card = tmp_path / "year.html", tmp_path / "card.svg"
    assert run("year", "--account", "ada", "-o", str(page))[0] == 0
    assert service.requests == [], "covers are opt-in"
    for path in (page, card):
        assert run("year", "--account", "ada", "--covers", "-o", str(path))[0] == 0
        assert f"data:image/jpeg;base64,{b64encode(cover).decode()}" in path.read_text(encoding="utf-8")
        assert service.url not in path.read_text(encoding="utf-8")
    assert [request.target for request in service.requests] == ["/1.jpg?size=464"] * 2
    assert not {"authorization", "app_id", "cookie"} & service.requests[0].headers.keys()


def test_a_cover_that_fails_is_left_out(run: Run, service: Service, tmp_path: Path) -> None:
    service.always = reply(b"<svg onload=alert(1)>", Content_Type="image/jpeg")
    set_artwork(f"{service.url}/1.jpg")
    code, _, err = run("year", "--account", "ada", "--covers", "-o", str(tmp_path / "year.html"))
    assert (code, "1 cover left out, for example: no JPEG, PNG, WebP or GIF" in err) == (0, True)
    assert "<img" not in (tmp_path / "year.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("year", "soon"), "'soon' is not a year"),
        (("year", "99999"), "'99999' is not a year"),
        (("year", "٢٠٢٦"), "is not a year"),
        (("year", "--account", "bob"), "there is no account 'bob'"),
        (("year", "-o", "year.txt"), "ends in .html (the page), .svg or .png (the card to share)"),
        (("year", "-o", "year.svg"), "a card is about one account, not 2"),
        (("year", "--card", "wide"), "add -o FILE.png or -o FILE.svg"),
        (("year", "--limit", "3"), "the review of a year has no --limit"),
        (("year", "--covers"), "--covers puts covers on a page or a card: add -o FILE"),
        (("year", "--account", "x*"), "no enabled account matches 'x*'"),
        (("html", "-o", "x.html", "--covers"), "the HTML report has no --covers"),
        (("artists", "--covers"), "only `favsync report year` takes a year, a card or covers"),
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

"""Hostile text in titles and names, the whole way: stored, reported as table, CSV, JSON and HTML, logged; on both engines."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from etl.model.records import Item
from etl.sandbox import Sandbox
from tests.conftest import ENGINES, FilledDatabase
from tests.support.commands import run_command
from tests.support.database import open_database, settings
from tests.support.lists import FakeSource, item, raw

LONG = random.Random(1).randbytes(500_000).hex()
REPLACED = "\ufffd"

# A title as JSON has it -> as it is stored.
TITLES: dict[str, tuple[str, str]] = {
    "a bell and a backspace": ("ding\\u0007\\b", "ding\x07\x08"),
    "a terminal escape": ("\\u001b[2J\\u001b]0;owned\\u0007red \\u001b[31m", "\x1b[2J\x1b]0;owned\x07red \x1b[31m"),
    "an eight-bit escape": ("\\u009b31m", "\x9b31m"),
    "bidi marks": ("\\u202egnp.exe\\u2066\\u200f", "\u202egnp.exe\u2066\u200f"),
    "lines and a tab": ("one\\ntwo\\r\\nthree\\tfour\\u2028five", "one\ntwo\r\nthree\tfour\u2028five"),
    "a script": ("<script>alert('owned')</script>", "<script>alert('owned')</script>"),
    "a script that ends another": (
        "</script><script>alert('owned')</script>",
        "</script><script>alert('owned')</script>",
    ),
    "an image": ('\\"><img src=x onerror=alert(1)>', '"><img src=x onerror=alert(1)>'),
    "a formula": ("=cmd|'/C calc'!A0", "=cmd|'/C calc'!A0"),
    "a formula with at": ("@SUM(1+1)", "@SUM(1+1)"),
    "a formula with a tab": ("\\t=1+1", "\t=1+1"),
    "SQL": ("'); DROP TABLE favourites; --", "'); DROP TABLE favourites; --"),
    "a percent": ("100 %(title)s %s {title} ${title}", "100 %(title)s %s {title} ${title}"),
    "a lone surrogate": ("broken \\ud83d heart", f"broken {REPLACED} heart"),
    "a surrogate the wrong way round": ("\\udc94\\ud83d", REPLACED * 2),
    "a NUL": ("nul\\u0000nul", f"nul{REPLACED}nul"),
    "emoji and scripts": ("Ọmọ Ológo 💔 አማርኛ ⵜⴰⵎⴰⵣⵉⵖⵜ", "Ọmọ Ológo 💔 አማርኛ ⵜⴰⵎⴰⵣⵉⵖⵜ"),
    "many combining marks": ("Z" + "\u0351" * 500, "Z" + "\u0351" * 500),
    "a megabyte": (LONG, LONG),
}
STORED = {number: stored for number, (_, stored) in enumerate(TITLES.values(), start=1)}
DRIVES_A_TERMINAL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def hostile(track_id: int, title: str) -> Item:
    """Return an item that has the text wherever text goes."""
    body = (
        f'{{"track_id":{track_id},"track_title":"{title}","album_id":{track_id},"album_title":"{title}","genres":"{title}",'
        f'"isrc":"{title}","web_url":"{title}","available_markets":"{title}","duration":"{title}",'
        f'"artists":[{{"artist_id":{track_id},"artist_name":"{title}","artist_role":"{title}"}}],"artwork":{{"url":"{title}"}}}}'
    )
    return raw(body.encode(), track_id)


def sync_hostile_text(url: str) -> None:
    """Sync a list with all of the titles."""
    source = FakeSource(items=[hostile(number, title) for number, (title, _) in enumerate(TITLES.values(), start=1)])
    with open_database(url) as database:
        report = database.sync(source)
    assert (report.outcome, report.added) == ("succeeded", len(TITLES)), report.reason


@pytest.fixture(params=ENGINES)
def synced_url(request: pytest.FixtureRequest, filled_database: FilledDatabase[None]) -> str:
    """Return the URL of a database with all of the titles; the test runs once per engine."""
    return filled_database(request.param, sync_hostile_text)[0]


def test_text_is_stored_unchanged_except_unstorable_characters(synced_url: str) -> None:
    with open_database(synced_url) as synced:
        assert dict(synced.rows("SELECT track_id, title FROM tracks")) == STORED
        assert dict(synced.rows("SELECT album_id, title FROM albums")) == STORED
        assert dict(synced.rows("SELECT artist_id, name FROM artists")) == STORED
        assert synced.sync(FakeSource(items=[item(99)])).held == len(TITLES)
        assert synced.equals_replay()


def test_reports_defuse_terminal_and_spreadsheet_text(synced_url: str) -> None:
    with Sandbox(tracks=1) as sandbox:
        environ = settings(sandbox, synced_url)

        def told(*words: str) -> str:
            result = run_command(environ, *words)
            assert result.returncode == 0, result.stderr
            assert "Traceback" not in result.stderr
            return result.stdout

        table = told("report", "current-favourites")
        assert not DRIVES_A_TERMINAL.search(table)
        for words in (["runs", "show", "1"], ["report", "favourite-changes"], ["report", "track-changes"]):
            assert not DRIVES_A_TERMINAL.search(told(*words))
        as_json = {
            row["track_id"]: row["title"]
            for row in json.loads(told("report", "current-favourites", "--format", "json"))
        }
        assert as_json == STORED
        check_csv(told("report", "current-favourites", "--format", "csv"))


def check_csv(text: str) -> None:
    csv.field_size_limit(10_000_000)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(STORED)
    for row in rows:
        stored = STORED[int(row["track_id"])]
        shielded = "'" + stored if stored[0] in "=@\t" else stored
        assert row["title"] == shielded
        assert not row["title"].startswith(("=", "+", "@", "\t", "\r"))


def test_the_html_report_runs_nothing_of_it(synced_url: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with Sandbox(tracks=1) as sandbox:
        result = run_command(settings(sandbox, synced_url), "report", "html", "-o", str(page))
    assert result.returncode == 0, result.stderr
    text = page.read_text(encoding="utf-8")
    assert "owned" in text
    assert "<script>alert" not in text
    assert "</script><script>alert" not in text
    assert "<img src=x" not in text


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("format_", ["text", "json"])
def test_hostile_user_names_break_neither_log_nor_error(database_url: str, format_: str) -> None:
    from etl.sandbox import faults

    words = b'{"desc":"\\u001b[2J\\u202eowned\\nline two \\u0000","code":1,"data":null}'
    with Sandbox(tracks=1) as sandbox:
        sandbox.script([faults.answer(words)] * 5)
        result = run_command(settings(sandbox, database_url), "sync", "--log-level", "debug", "--log-format", format_)
        assert result.returncode == 3
        assert not DRIVES_A_TERMINAL.search(result.stderr)
        listed = run_command(settings(sandbox, database_url), "runs", "list")
        assert not DRIVES_A_TERMINAL.search(listed.stdout)
        if format_ == "json":
            lines: list[Any] = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
            assert all("\x1b" not in str(value) for line in lines for value in line.values())

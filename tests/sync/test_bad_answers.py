"""`favsync sync` against answers of every bad kind: one clear line, the right exit code, and a database as it was before."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl.sandbox import Fault, Sandbox, faults
from tests.support.commands import run_command
from tests.support.database import Database, favsync, open_database, settings

TRACKS = 120


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tracks=TRACKS, seed=5) as running:
        yield running


@pytest.fixture(scope="module")
def url(sqlite_template: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("answers") / "favsync.db"
    path.write_bytes(sqlite_template().read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def database(url: str, sandbox: Sandbox) -> Iterator[Database]:
    """A database that holds one good run."""
    assert run_command(settings(sandbox, url), "sync").returncode == 0
    with open_database(url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_left_of_the_script(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.scripted.clear()


# What is answered -> exit code, and words that the line must hold.
BAD: dict[str, tuple[Fault | str, int, str]] = {
    "400": ("http_400", 3, "HTTP 400"),
    "401": ("http_401", 4, "HTTP 401"),
    "403": ("http_403", 3, "HTTP 403"),
    "404": ("http_404", 3, "HTTP 404"),
    "429": ("http_429", 3, "HTTP 429"),
    "429 with no wait": ("http_429_zero", 3, "HTTP 429"),
    "429 with a wait": ("http_429_seconds", 3, "HTTP 429"),
    "429 with a date": ("http_429_date", 3, "HTTP 429"),
    "429 with nonsense": ("http_429_nonsense", 3, "HTTP 429"),
    "500": ("http_500", 3, "HTTP 500"),
    "502": ("http_502", 3, "HTTP 502"),
    "503": ("http_503", 3, "HTTP 503"),
    "503 with a wait": ("http_503_seconds", 3, "HTTP 503"),
    "504": ("http_504", 3, "HTTP 504"),
    "no answer in time": (faults.stall(600), 3, "within 1 s"),
    "no whole answer in time": (faults.stall(600, share=0.5), 3, "within 1 s"),
    "an answer drop by drop": (faults.drip(20, pieces=80), 3, "within 1 s"),  # the first piece holds all headers
    "a reset in mid-body": ("reset", 3, "broke"),
    "a reset at once": ("reset_at_once", 3, "broke"),
    "half an answer": ("truncated", 3, "broke"),
    "no answer": ("disconnect", 3, "broke"),
    "truncated JSON": ("not_json", 3, "breaks off"),
    "bytes that are no text": (faults.answer(b'{"desc":"\xff\xfe","code":0,"data":["\xff'), 3, "byte"),
    "a web page with 200": ("html_200", 3, "web page"),
    "an empty body": ("empty_body", 3, "empty"),
    "a list instead of an envelope": ("top_level_list", 3, "not an object"),
    "null": ("json_null", 3, "not an object"),
    "text as data": ("data_text", 3, "data is text"),
    "an object as data": ("data_object", 3, "data is an object"),
    "no code": ("no_code", 3, "code is missing"),
    "a code as text": ("code_as_text", 3, "code is text"),
    "code 1 with 200": ("code_1", 3, "code 1"),
    "50 MB": ("huge_body", 3, "larger than"),
    "50 MB of nonsense": (faults.answer(b"x" * 50_000_000), 3, "larger than"),
    "deep nesting": (
        faults.answer(b'{"code":0,"data":[{"track_id":1,"deep":' + b"[" * 200_000),
        3,
        "nested too deeply",
    ),
    "a redirect to another host": ("redirect_elsewhere", 3, "redirected to elsewhere.example.invalid"),
    "a redirect to a file": (faults.redirect("file:///etc/passwd"), 3, "redirected"),
    "a redirect to itself": ("redirect_same", 3, "redirects"),
}


# On a later page: one of each kind of error, as `tests/boomplay/test_answers.py` has the kind of each answer.
FATAL = {name: BAD[name] for name in ("401", "429", "500", "a reset in mid-body")}
REFUSALS = {
    name: BAD[name] for name in ("403", "a web page with 200", "code 1 with 200", "50 MB", "a redirect to itself")
}


@pytest.mark.parametrize(("fault", "code", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_second_page_is_partial_and_removes_nothing(
    database: Database, sandbox: Sandbox, url: str, fault: Fault | str, code: int, words: str
) -> None:
    before, removed = database.open_tracks("default"), database.removed_tracks("default")
    sandbox.script([None] + [fault] * 40)
    result = run_command(settings(sandbox, url), "sync")
    assert result.returncode == 6, result.stderr
    assert words in result.stdout + result.stderr
    assert sandbox.users["ada"].access_token not in result.stdout + result.stderr
    assert (database.open_tracks("default"), database.removed_tracks("default")) == (before, removed)
    ((outcome, proven),) = database.rows("SELECT outcome, proven FROM runs ORDER BY run_id DESC LIMIT 1")
    assert (outcome, bool(proven)) == ("partial", False)


@pytest.mark.parametrize(
    ("page", "fault", "code", "words"),
    [(page, *bad) for page, cases in ((1, BAD), (2, FATAL)) for bad in cases.values()],
    ids=[f"page {page}: {name}" for page, cases in ((1, BAD), (2, FATAL)) for name in cases],
)
def test_a_bad_answer_is_one_clear_line_and_changes_nothing(
    database: Database,
    sandbox: Sandbox,
    url: str,
    page: int,
    fault: Fault | str,
    code: int,
    words: str,
) -> None:
    before, sizes = database.history(), database.sizes()
    sandbox.script([None] * (page - 1) + [fault] * 40)
    patience = "1" if words == "within 1 s" else "3600"
    result = run_command(settings(sandbox, url, FAVSYNC_TIMEOUT_SECONDS=patience), "sync")
    assert result.returncode == code, result.stderr
    line, remedy = result.stderr.splitlines()
    assert line.startswith("default: failed: favourite tracks at offset ")
    assert words in line
    assert remedy.startswith("  what to do: ")
    assert result.stdout == ""
    assert sandbox.users["ada"].access_token not in result.stderr
    assert database.history() == before
    after = database.sizes()
    assert after == {**sizes, "runs": sizes["runs"] + 1, "tokens": after["tokens"]}
    ((reason, outcome, proven, snapshot),) = database.rows(
        "SELECT reason, outcome, proven, snapshot_id FROM runs ORDER BY run_id DESC LIMIT 1"
    )
    assert (outcome, bool(proven), snapshot) == ("failed", False, None)
    assert reason in line


def test_after_all_of_them_a_good_answer_is_a_good_run(database: Database, sandbox: Sandbox, url: str) -> None:
    result = run_command(settings(sandbox, url), "sync")
    assert (result.returncode, result.stderr) == (0, "")
    assert database.open_tracks("default") == set(sandbox.favourites("ada"))


@pytest.mark.parametrize("fault", ["http_500", "reset", "truncated", "html_200", "http_429_zero", "empty_body"])
def test_what_passes_is_retried_and_then_forgotten(database: Database, sandbox: Sandbox, url: str, fault: str) -> None:
    sandbox.script([None, fault])
    result = run_command(settings(sandbox, url, FAVSYNC_MAX_RETRIES="2"), "sync", "--log-level", "error")
    assert (result.returncode, result.stderr) == (0, "")
    assert database.rows("SELECT retries FROM runs ORDER BY run_id DESC LIMIT 1") == [(1,)]


@pytest.mark.parametrize(
    ("fault", "hours"), [("http_429_hours", 74214 / 3600), (faults.http(503, retry_after=7200.0), 2)]
)
def test_wait_of_hours_parks_the_run_and_names_the_time(
    database: Database, sandbox: Sandbox, url: str, fault: Fault | str, hours: float
) -> None:
    before = database.history()
    sandbox.script([None, fault])
    asked = len(sandbox.requests)
    begun = datetime.now(UTC)
    result = run_command(
        settings(sandbox, url, FAVSYNC_MAX_RETRIES="5", FAVSYNC_PAGE_CONCURRENCY="1"), "sync", "--json"
    )
    ended = datetime.now(UTC)
    assert result.returncode == 3
    assert len(sandbox.requests) == asked + 2
    (run_id, outcome) = database.rows("SELECT run_id, outcome FROM runs ORDER BY run_id DESC LIMIT 1")[0]
    retry_at = database.run(run_id).retry_at
    assert outcome == "failed"
    rounding = timedelta(seconds=1)  # a date in Retry-After has whole seconds
    assert begun - rounding <= retry_at - timedelta(hours=hours) <= ended + rounding
    assert f"next try at {retry_at:%Y-%m-%d %H:%M:%S} UTC" in database.run(run_id).reason
    assert f'"retry_at": "{retry_at:%Y-%m-%dT%H:%M:%S}' in result.stdout
    sandbox.script([fault])
    said = run_command(settings(sandbox, url), "sync").stderr
    assert said.count("next try at 20") == 1
    assert database.history() == before
    shown = run_command(settings(sandbox, url), "runs", "show", str(run_id))
    assert f"next try at {retry_at:%Y-%m-%d %H:%M:%S} UTC" in shown.stdout


def test_a_redirect_takes_the_token_nowhere(database: Database, sandbox: Sandbox, url: str) -> None:
    seen: list[str] = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(str(self.headers))
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever).start()
        sandbox.script([faults.redirect(f"http://127.0.0.1:{other.server_port}/")] * 5)
        result = run_command(settings(sandbox, url), "sync")
        other.shutdown()
    assert result.returncode == 3
    assert seen == []


def test_installed_command_gives_the_same_error(database: Database, sandbox: Sandbox, url: str) -> None:
    told = []
    environ = settings(sandbox, url)
    for run in (lambda: favsync(environ, "sync"), lambda: run_command(environ, "sync")):
        sandbox.script(["http_401"] * 5)
        result = run()
        told.append((result.returncode, result.stdout, result.stderr))
        sandbox.scripted.clear()
    assert told[0] == told[1]


def test_unreachable_service_is_named(database: Database, sandbox: Sandbox, url: str) -> None:
    result = run_command(settings(sandbox, url, BOOMPLAY_API_URL="http://127.0.0.1:1"), "sync")
    assert result.returncode == 3
    assert "no connection" in result.stderr
    assert len(result.stderr.splitlines()) == 2

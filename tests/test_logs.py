"""The logs: one call is one line, no secret is in it, and libraries are kept short."""

from __future__ import annotations

import gc
import io
import json
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from etl import logs
from tests.support.logging import restored_logs

TOKEN = "oK09P+uDWf7/rMX=MARKER"
HOSTILE = {
    "a forged line": "x\n2026-01-01T00:00:00Z info    all is well",
    "a carriage return": "x\rinfo",
    "a terminal escape": "\x1b[2J\x1b]0;owned\x07",
    "a C1 escape": "\x9b2J",
    "bidi overrides": "abc\u202edef\u2066\u200f",
    "line separators": "a\u2028b\u2029c\x85d\x0be",
    "a lone surrogate": "\ud800",
    "NUL": "a\x00b",
    "tags": "\U000e0041",
    "a soft hyphen and a byte order mark": "\xad\ufeff",
}


@pytest.fixture(autouse=True)
def _restored_logs() -> Iterator[None]:
    """Restore the loggers and the secrets; the collector waits, as its warnings about other tests would be lines here."""
    gc.disable()
    with restored_logs():
        yield
    gc.enable()


def text_line(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err.rstrip("\n")


def json_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(text_line(capsys))
    return line


# Shape.


def test_a_line_for_people_has_time_level_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    logs.get("etl.sync").info("sync finished", added=3, removed=0, reason=None, title='say "hi"', path="a\\b")
    pattern = (
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ info    sync finished added=3 removed=0 title="say \\"hi\\"" path="a\\\\b"'
    )
    assert re.fullmatch(pattern, text_line(capsys))


def test_a_line_for_machines_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    logs.get("etl.sync").warning("held", removed=[1, 2], ratio=0.5, at=at, is_plan=False, title="Ọjọ́", nan=float("nan"))
    line = json_line(capsys)
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "level": "warning", "event": "held", "logger": "etl.sync", "removed": [1, 2], "ratio": 0.5, "nan": "nan",
        "at": "2026-01-02T03:04:05Z", "is_plan": False, "title": "Ọjọ́",
    }  # fmt: skip


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "warning")
    log = logs.get("etl.x")
    log.debug("a")
    log.info("b")
    assert capsys.readouterr().err == ""
    log.warning("c")
    log.error("d")
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["warning", "error"]


def test_nothing_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "debug")
    logs.get("etl.x").error("a")
    assert capsys.readouterr().out == ""


def test_bound_fields_are_on_every_line_inside_and_none_outside(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    with logs.bound(account="ada", run_id=7):
        logs.get("etl.x").info("mine")
        logging.getLogger("some.library").warning("theirs")
        with logs.bound(run_id=8):
            logs.get("etl.x").info("inner")
    logs.get("etl.x").info("outside")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    expected = [("ada", 7), ("ada", 7), ("ada", 8), (None, None)]
    assert [(line.get("account"), line.get("run_id")) for line in lines] == expected


def log_page(page: int) -> None:
    logs.get("etl.walk").info("page", page=page)


def test_a_pool_thread_can_carry_the_bound_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    with ThreadPoolExecutor(2) as pool, logs.bound(run_id=7):
        list(pool.map(logs.with_context(log_page), range(20)))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert sorted((line["run_id"], line["page"]) for line in lines) == [(7, page) for page in range(20)]


def test_a_log_keeps_its_own_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    logs.get("etl.x", app="a1").bind(page=3).info("read")
    line = json_line(capsys)
    assert (line["app"], line["page"], line["logger"]) == ("a1", 3, "etl.x")


@pytest.mark.parametrize(
    ("is_terminal", "colour", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_colours_are_for_terminals_that_want_them(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_terminal: bool,
    colour: bool,
    expected: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    logs.configure("text", "info", colour=colour)
    logs.get("etl.x").error("a", b=1)
    assert ("\x1b[" in text_line(capsys)) is expected


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_stderr_that_cannot_be_written_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure("text", "info")
    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        logs.get("etl.x").error("a")


# Hostile values.


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("format", ["text", "json"])
def test_no_value_forges_a_line_or_drives_a_terminal(
    capsys: pytest.CaptureFixture[str], hostile: str, format: str
) -> None:
    logs.configure(format, "info")
    logs.get("etl.x").info("seen " + hostile, title=hostile, nested={"titles": [hostile]})
    line = text_line(capsys)
    assert "".join(line.splitlines()) == line
    assert not set(hostile) & set(line) - set(map(chr, range(0x20, 0x7F)))
    if format == "json":
        assert json.loads(line)["title"] == hostile


def test_no_value_forges_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    for title in ("a run_id=9", 'a" run_id=9 b="', 'a\\" run_id=9', "a\xa0run_id=9", ""):
        logs.get("etl.x").info("seen", title=title)
        line = text_line(capsys)
        assert re.search(r'seen title="(?:[^"\\]|\\.)*"$', line), line


def test_text_in_any_script_stays_unchanged() -> None:
    for title in ("Ọjọ́ ìbí", "日本語", "العربية", "👩‍👩‍👧", "می‌خواهم", "தமிழ்"):
        assert logs.visible(title) == title


def test_a_value_of_a_megabyte_is_cut_and_its_length_named(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    logs.get("etl.x").info("seen", title="a" * 1_000_000)
    line = text_line(capsys)
    assert len(line) < 10_000
    assert "(1000000 characters)" in line


def test_any_kind_of_value_can_be_logged(capsys: pytest.CaptureFixture[str]) -> None:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    logs.configure("json", "info")
    logs.get("etl.x").info(
        "seen", deep=deep, big=10**4000, raw=b"\xff\x00", a_set={1}, inf=float("inf"), keys={1: {"a"}}
    )
    assert json_line(capsys)["big"].startswith("an integer of")


# Secrets.


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_registered_secret_is_masked_in_every_encoding(capsys: pytest.CaptureFixture[str], format: str) -> None:
    logs.configure(format, "debug")
    logs.mask(TOKEN)
    logs.mask('qu"ote\\d')
    log = logs.get("etl.x")
    log.info(
        f"event {TOKEN}", field=TOKEN, inside=f"x{TOKEN}y", nested={"deep": [f"<{TOKEN}>"]}, thing=ValueError(TOKEN)
    )
    log.info("url", url="https://h/?a=oK09P%2BuDWf7%2FrMX%3DMARKER&b=oK09P%2buDWf7%2frMX%3dMARKER")
    log.info("json", body='{"x": "qu\\"ote\\\\d"}')
    logging.getLogger("lib").error("said %s", TOKEN)
    try:
        raise RuntimeError(f"refused {TOKEN}")
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("lib").exception("failed too")
    err = capsys.readouterr().err
    assert "MARKER" not in err
    assert "ote" not in err
    assert err.count("***") >= 10


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:MARKER@h/d",
        "Authorization: Bearer MARKER",
        "{'authorization': 'bearer MARKER'}",
        "https://h/cb?code=MARKER&state=1",
        "https://h/cb#access_token=MARKER",
        "grant failed: refresh_token=MARKER",
        '{"access_token": "MARKER", "expires_in": 7200}',
        "{'accessToken': 'MARKER'}",
        "postgresql://h/d?sslpassword=MARKER",
    ],
)
def test_text_that_looks_like_a_secret_is_masked(text: str) -> None:
    assert "MARKER" not in logs.masked(text)
    assert "***" in logs.masked(text)


@pytest.mark.parametrize(
    "text", ["https://h:8080/a", "code 0", "the token is dead", "http://127.0.0.1:1/favourite?offset=49"]
)
def test_ordinary_text_is_not_masked(text: str) -> None:
    assert logs.masked(text) == text


def test_a_field_named_like_a_secret_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    logs.get("etl.x").info(
        "seen", access_token="MARKER", nested={"app_secret": "MARKER", "Authorization": "MARKER"}, tokens=2
    )
    line = json_line(capsys)
    assert "MARKER" not in str(line)
    assert line["tokens"] == 2


def test_a_short_word_is_not_taken_for_a_secret() -> None:
    logs.mask("")
    logs.mask("abc")
    assert logs.masked("abcdef") == "abcdef"


# Exceptions and libraries.


@pytest.mark.parametrize(("level", "has_traceback"), [("info", False), ("debug", True)])
def test_a_traceback_is_written_at_debug_only(
    capsys: pytest.CaptureFixture[str], level: str, has_traceback: bool
) -> None:
    logs.configure("text", level)
    try:
        raise ValueError("bad\n2026-01-01T00:00:00Z info    forged")
    except ValueError:
        logs.get("etl.x").exception("failed")
    first, *rest = capsys.readouterr().err.splitlines()
    assert 'error="ValueError: bad\\n2026' in first
    assert any("Traceback" in line for line in rest) is has_traceback
    assert all(line.startswith("    | ") for line in rest)


def test_libraries_are_heard_from_warning_upwards(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("text", "debug")
    for name in ("httpx", "httpcore.http11", "alembic.runtime", "apscheduler.executors", "sqlalchemy.engine", "other"):
        logging.getLogger(name).info("HTTP Request: GET https://h/?secret")
        logging.getLogger(name).debug("x")
    monkeypatch.setattr(logging.getLogger("httpx"), "level", logging.DEBUG)
    logging.getLogger("httpx").manager._clear_cache()  # type: ignore[attr-defined]
    logging.getLogger("httpx").info("HTTP Request: GET https://h/?secret")
    assert capsys.readouterr().err == ""
    logging.getLogger("sqlalchemy.pool").warning("missed by %s", "1 s")
    logging.getLogger("alembic.runtime").critical("x")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("warning missed by 1 s logger=sqlalchemy.pool")
    assert " critical " in second


def test_a_broken_line_of_a_library_ends_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    logging.getLogger().handlers = [
        each for each in logging.getLogger().handlers if isinstance(each, logs.StderrHandler)
    ]
    logging.getLogger("lib").warning("%d items", "three")
    assert "malformed log line" in text_line(capsys)


def test_python_warnings_come_as_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old\nforged", stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "old\\nforged" in text_line(capsys)


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    logs.configure("json", "info")
    logging.getLogger("lib").warning("a")
    assert json_line(capsys)["event"] == "a"


def test_a_library_that_uses_structlog_is_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    import structlog

    logs.configure("json", "info")
    logs.mask(TOKEN)
    with logs.bound(run_id=3):
        structlog.get_logger("lib").warning("retry scheduled", args=(TOKEN,))
    line = json_line(capsys)
    assert (line["event"], line["args"], line["run_id"]) == ("retry scheduled", ["***"], 3)


def test_an_unconfigured_process_writes_masked_warnings_only() -> None:
    code = (
        "from etl import logs; log = logs.get('etl.x'); logs.mask('MARKER'); log.info('quiet'); log.warning('a MARKER')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert re.fullmatch(r"\S+Z warning a \*\*\* logger=etl.x\n", done.stderr)

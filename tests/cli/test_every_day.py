"""What people meet every day: plans and digests that only look, and errors that lead to the next right step."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from etl.boomplay.payloads import Token
from etl.cli import main
from etl.cli.history import _is_same_minute
from etl.db.engine import open_engine, read_transaction
from etl.db.tables import digests
from etl.reporting.digest_text import digest_text
from etl.sandbox import Sandbox
from tests.conftest import NewDatabase
from tests.reporting.test_digest_text import AT, change, digest
from tests.support.sandbox_accounts import KEY

RunVerb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_verb(capsys: pytest.CaptureFixture[str]) -> RunVerb:
    def run(*argv: str, is_terminal: bool = False) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.stdout, "isatty", lambda: is_terminal)
            code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(tracks=60, seed=3) as running:
        monkeypatch.setenv("BOOMPLAY_API_URL", running.url)
        monkeypatch.setenv("BOOMPLAY_APP_ID", running.app_id)
        monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", running.users["ada"].access_token)
        monkeypatch.setenv("FAVSYNC_REQUESTS_PER_SECOND", "0")
        monkeypatch.setenv("FAVSYNC_MAX_RETRIES", "0")
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    found: str = new_database(request.param)
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", found)
    return found


def test_a_plan_shows_titles_also_of_stored_tracks(run_verb: RunVerb, sandbox: Sandbox, url: str) -> None:
    assert run_verb("sync")[0] == 0
    first = sandbox.favourites("ada")[0]
    new = next(track_id for track_id in sandbox.catalogue.track_ids if track_id not in sandbox.favourites("ada"))
    sandbox.unfavourite("ada", first)
    sandbox.favourite("ada", new)
    out = run_verb("sync", "--plan")[1]
    assert re.search(rf"added: 1\n    {new}  \S", out)
    assert re.search(rf"(removed|missing): 1\n    {first}  \S", out)


def test_a_digest_on_a_terminal_keeps_its_cursor(run_verb: RunVerb, sandbox: Sandbox, url: str) -> None:
    def cursors() -> int:
        engine = open_engine(url)
        with read_transaction(engine) as connection:
            found = len(connection.execute(digests.select()).all())
        engine.dispose()
        return found

    assert run_verb("sync")[0] == 0
    _, out, err = run_verb("digest", is_terminal=True)
    assert "First snapshot" in out
    assert "--no-peek moves it" in err
    assert cursors() == 0
    assert run_verb("digest", "--no-peek", is_terminal=True)[1] == out
    assert cursors() == 1
    assert run_verb("digest")[1] == ""


def test_a_pipe_moves_the_cursor(run_verb: RunVerb, sandbox: Sandbox, url: str) -> None:
    assert run_verb("sync")[0] == 0
    assert "First snapshot" in run_verb("digest")[1]
    assert run_verb("digest")[1] == ""


def test_bounds_in_one_minute_are_one_time() -> None:
    same = digest_text(digest(added=[change(1, not_before=AT, changed_at=AT.replace(second=59))]), "text")
    assert "at 2026-03-02 06:00 UTC" in same
    assert "between" not in same
    assert "between 2026-03-01 06:00 UTC and" in digest_text(digest(added=[change(1)]), "text")


@pytest.mark.parametrize(("seconds", "is_same"), [(59, True), (61, False)])
def test_history_shows_bounds_in_one_minute_as_one(seconds: int, is_same: bool) -> None:
    before = datetime(2026, 3, 2, 6, tzinfo=UTC)
    at = datetime.fromtimestamp(before.timestamp() + seconds, UTC)
    assert _is_same_minute(SimpleNamespace(not_before=before, at=at)) is is_same  # type: ignore[arg-type]


# Remedies.


def test_a_refused_app_id_leads_to_the_app_id(
    run_verb: RunVerb, sandbox: Sandbox, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOMPLAY_APP_ID", "wrong")
    monkeypatch.setenv("T", sandbox.users["ada"].access_token)
    for argv in (("sync",), ("accounts", "add", "ada", "--token-env", "T")):
        code, _, err = run_verb(*argv)
        assert code == 4
        assert "what to do: check BOOMPLAY_APP_ID" in err
        assert "login" not in err


def test_a_refused_new_account_is_added_again(
    run_verb: RunVerb, sandbox: Sandbox, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAVSYNC_ENCRYPTION_KEY", KEY)
    monkeypatch.setenv("T", str(Token("refused").access_token))
    code, _, err = run_verb("accounts", "add", "ada lovelace", "--token-env", "T")
    assert code == 4
    assert "repeat `favsync accounts add 'ada lovelace'`" in err
    assert "accounts set" not in err, "there is no such account yet"


def test_an_api_without_an_answer_is_named_with_its_setting(
    run_verb: RunVerb, sandbox: Sandbox, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOMPLAY_API_URL", "https://boomplay.invalid")
    code, _, err = run_verb("sync")
    assert code == 3
    assert "no connection: Name or service not known, at https://boomplay.invalid (BOOMPLAY_API_URL)" in err
    assert "what to do: check BOOMPLAY_API_URL and the network" in err

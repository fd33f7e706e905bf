"""`favsync sync` of several accounts: side by side, a service that does not answer, and a stop by the user."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from etl.cli import main, sync_round
from etl.cli.signals import stop_event
from etl.db.engine import open_engine
from etl.errors import ApiUnreachable, Stopped
from etl.monitor.status import statuses
from etl.sandbox import Sandbox
from tests.conftest import NewDatabase
from tests.support.database import open_database
from tests.support.lists import FakeSource, item
from tests.support.sandbox_accounts import KEY, add, settings

NAMES = ("ada", "ben", "cy", "dee", "eve", "fay")
LONGER_THAN_ANY_MACHINE_NEEDS = 600.0


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tracks=3, users=NAMES) as running:
        yield running


@pytest.fixture
def url(new_database: NewDatabase, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a database with an account for each name, and set the environment to sync them."""
    found = new_database("sqlite")
    engine = open_engine(found)
    add(settings(found, sandbox), engine, sandbox)
    engine.dispose()
    for name, value in {
        "FAVSYNC_DATABASE_URL": found,
        "FAVSYNC_ENCRYPTION_KEY": KEY,
        "FAVSYNC_MAX_RETRIES": "0",
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
    }.items():
        monkeypatch.setenv(name, value)
    return found


def test_accounts_are_synced_side_by_side(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, plain = threading.Event(), sync_round.sync_account
    overlaps = []

    def watched(engine, account, api, options):  # type: ignore[no-untyped-def]
        if account.name == NAMES[0]:
            overlaps.append(begun.wait(LONGER_THAN_ANY_MACHINE_NEEDS))
        begun.set()
        return plain(engine, account, api, options)

    monkeypatch.setattr(sync_round, "sync_account", watched)
    assert main(["sync", "--workers", "2"]) == 0
    assert overlaps == [True]
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in shown] == list(NAMES)


def test_a_service_that_does_not_answer_ends_the_round(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        silent = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("BOOMPLAY_API_URL", silent)
    assert main(["sync", "--workers", "1"]) == 3
    errors = capsys.readouterr().err
    assert f"3 more accounts not tried: {silent} answered none of the last 3 accounts" in errors
    assert "check the network and BOOMPLAY_API_URL" in errors
    assert main(["sync", "--json", "--workers", "1"]) == 3
    reports = json.loads(capsys.readouterr().out)
    assert [(each["account"], each["outcome"], each["run_id"] is None) for each in reports] == [
        (name, "failed", number >= 3) for number, name in enumerate(NAMES)
    ]


def test_a_service_that_refuses_does_not_end_the_round(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOOMPLAY_APP_ID", "another")
    assert main(["sync", "--workers", "1", "--json"]) != 0
    reports = json.loads(capsys.readouterr().out)
    assert [(each["account"], each["outcome"], each["requests"] > 0) for each in reports] == [
        (name, "failed", True) for name in NAMES
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stopped("stopped before there was an answer")], ids=repr)
def test_a_stop_by_the_user_is_no_failure_in_status(database_url: str, error: BaseException) -> None:
    def fail(_number: int) -> None:
        raise error

    with open_database(database_url) as database:
        database.sync(FakeSource([item(1)]))
        source = FakeSource([item(1)], before=fail)
        if isinstance(error, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                database.sync(source)
        else:
            database.sync(source)
        (found,) = statuses(database.engine, "every 1h")
        assert (found.last_outcome, found.failures_in_a_row) == ("succeeded", 0)
        assert "stopped by a signal" in database.run(2).reason

        source.before = lambda _number: (_ for _ in ()).throw(ApiUnreachable("down"))
        database.sync(source)
        (found,) = statuses(database.engine, "every 1h")
        assert (found.last_outcome, found.failures_in_a_row) == ("failed", 1)


def test_a_stop_while_the_owner_is_asked_writes_nothing(database_url: str) -> None:
    class Interrupted(FakeSource):
        def user(self):  # type: ignore[no-untyped-def]
            raise Stopped("user: stopped before there was an answer")

    with open_database(database_url) as database:
        assert database.sync(Interrupted([item(1)])).outcome == "failed"
        assert database.sizes()["favourites"] == 0


def test_a_closed_terminal_stops_with_grace() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_event() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.wait()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with stop_event() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, former)

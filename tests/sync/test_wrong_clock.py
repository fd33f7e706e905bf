"""Runs on a machine whose clock is wrong, beside a service whose ``Date`` is right. On both engines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer

from etl import clock
from etl.boomplay.transport import Request, Transport
from etl.boomplay.waiting import Clock
from etl.cli import main
from etl.errors import ApiUnreachable
from etl.model.records import Outcome
from etl.sandbox import Sandbox
from tests.conftest import NewDatabase
from tests.support.database import ROOT, Database, open_database, settings
from tests.support.lists import START, FakeSource, item

YEAR = timedelta(days=365)
WRONG = [timedelta(minutes=6), timedelta(hours=-3), timedelta(days=9), -YEAR, YEAR, 30 * YEAR]


class Machine:
    """The clock of this machine: the true time and its error."""

    def __init__(self) -> None:
        self.true = START
        self.error = timedelta(0)

    def now(self) -> datetime:
        """Return what the machine believes."""
        return self.true + self.error


@dataclass
class DatedSource(FakeSource):
    """A service whose answers have a ``Date``."""

    machine: Machine | None = None

    @property
    def clock_offset(self) -> float:
        """Seconds that the service is ahead of the machine."""
        assert self.machine
        return -self.machine.error.total_seconds()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(clock, "now", made.now)
    return made


@pytest.fixture
def database(database_url: str, machine: Machine) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


def source(machine: Machine, *track_ids: int) -> DatedSource:
    return DatedSource([item(track_id) for track_id in track_ids], machine=machine)


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("error", WRONG, ids=str)
def test_a_wrong_clock_does_not_date_the_history(database: Database, machine: Machine, error: timedelta) -> None:
    machine.error = error
    first = database.sync(source(machine, 1, 2))
    assert "this machine's clock is" in (first.reason or "")
    machine.true += timedelta(hours=1)
    database.sync(source(machine, 1))
    machine.true += timedelta(hours=1)
    unchanged = database.sync(source(machine, 1))
    assert unchanged.outcome is Outcome.UNCHANGED
    times = ("started_at", "observed_at", "finished_at")
    assert [[getattr(database.run(number), name) - START for name in times] for number in (1, 2, 3)] == [
        [timedelta(hours=number)] * 3 for number in range(3)
    ]
    closed = database.rows("SELECT valid_from, valid_to FROM favourites WHERE track_id = 2")
    assert [str(each)[:13].replace("T", " ") for each in closed[0]] == ["2026-01-01 00", "2026-01-01 01"]
    assert database.account().user_checked_at == START + timedelta(hours=1)


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("error", [timedelta(minutes=4), timedelta(minutes=-4)], ids=str)
def test_a_clock_that_is_about_right_is_used(database: Database, machine: Machine, error: timedelta) -> None:
    machine.error = error
    result = database.sync(source(machine, 1))
    assert (result.observed_at, result.reason) == (START + error, None)


def test_a_failed_run_is_not_dated_in_the_future(database: Database, machine: Machine) -> None:
    machine.error = YEAR

    def fail(_number: int) -> None:
        raise ApiUnreachable("down")

    failing = source(machine, 1)
    failing.before = fail
    assert database.sync(failing).outcome is Outcome.FAILED
    row = database.run(1)
    assert (row.started_at, row.finished_at) == (START, START)


def test_two_machines_that_disagree_write_one_history(database: Database, machine: Machine) -> None:
    for hour, error in enumerate((YEAR, timedelta(0), -YEAR, timedelta(days=3), timedelta(0))):
        machine.true, machine.error = START + timedelta(hours=hour), error
        database.sync(source(machine, *range(1, hour + 2)))
        assert database.run(hour + 1).observed_at == machine.true
    assert database.equals_replay()


def test_runs_dated_in_the_future_are_taken_back(
    database_url: str, machine: Machine, database: Database, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", database_url)
    database.sync(FakeSource([item(1), item(2)]))
    machine.error = YEAR  # and the service sends no Date
    database.sync(FakeSource([item(1), item(3)]))
    database.sync(FakeSource([item(4)], user_id="ben"), name="ben")
    machine.true, machine.error = START + timedelta(days=1), timedelta(0)
    late = database.sync(FakeSource([item(1), item(2), item(5)]))
    assert "`favsync runs retract --future`" in (late.reason or "")
    assert main(["runs", "retract", "--future", "--json"]) == 0
    assert [each["run_id"] for each in json.loads(capsys.readouterr().out)] == [4, 3, 2]
    database.sync(FakeSource([item(1), item(2), item(5)]))
    newest = database.run(5)
    assert newest.observed_at == machine.true
    assert database.open_tracks() == {1, 2, 5}
    assert database.equals_replay()
    assert main(["runs", "retract", "--future"]) == 0
    assert capsys.readouterr().out == "no run is dated in the future\n"
    assert main(["runs", "retract"]) == main(["runs", "retract", "3", "--future"]) == 2


AHEAD = """
import sys
from datetime import UTC, datetime, timedelta
from etl import clock
clock.now = lambda: datetime.now(UTC) + timedelta(days=365)
from etl.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_command_with_a_clock_ahead_asks_the_service(new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    with Sandbox(tracks=3) as sandbox:
        done = subprocess.run(
            [sys.executable, "-c", AHEAD, "schedule", "--once"],
            cwd=ROOT, env=settings(sandbox, url), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "s ahead of the service's, which dates this run" in done.stderr
    with open_database(url) as opened:
        assert [each[0] for each in opened.rows("SELECT proven FROM runs")] == [1]
        assert opened.run(1).observed_at < datetime.now(UTC) + timedelta(minutes=5)


def test_the_age_of_a_cached_answer_is_added_to_its_date(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("{}", headers={"Age": "360000"})
    transport = Transport(httpserver.url_for("").rstrip("/"), 30.0, Clock())
    transport.send(Request("test", "/x"), {})
    (offset,) = transport.counts.clock_offsets
    assert round(offset / 36_000) == 10

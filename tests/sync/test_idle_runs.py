"""FAVSYNC_IDLE_RUNS=daily: the unchanged runs of a day share a row. On both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from etl import clock
from etl.extract import snapshot
from etl.extract.fetch import read_list
from etl.model.records import RemovalGrace, Trigger
from etl.sync import RunResult
from tests.deploy.history import faults
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))
Sync = Callable[..., RunResult]


class Clock:
    """The time of favsync, which `at` moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 6, tzinfo=UTC)

    def at(self, day: int, hour: int) -> None:
        self.now = datetime(2026, 5, day, hour, tzinfo=UTC)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    time = Clock()
    monkeypatch.setattr(clock, "now", lambda: time.now)
    monkeypatch.setattr(snapshot, "read_list", partial(read_list, now=lambda: time.now))
    return time


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as database:
        yield database


def run_rows(database: Database) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in database.rows("SELECT run_id, outcome FROM runs ORDER BY run_id")]


def test_unchanged_runs_of_a_day_share_a_row(database: Database, database_url: str, time: Clock):
    source = FakeSource([item(1), item(2)])
    daily = {"idle_runs": "daily", "concurrency": 1}
    numbers = []
    for day, hour in ((1, 6), (1, 7), (1, 8), (1, 9), (2, 1), (2, 2)):
        time.at(day, hour)
        numbers.append(database.sync(source, **daily).run_id)
    assert [outcome for _, outcome in run_rows(database)] == ["succeeded", "unchanged", "unchanged"]
    assert numbers[1] == numbers[2] == numbers[3]
    assert numbers[4] == numbers[5] != numbers[3]
    (row,) = database.rows("SELECT observed_at, started_at, finished_at FROM runs WHERE run_id = :n", n=numbers[1])
    assert {str(each)[:13].replace("T", " ") for each in row} == {"2026-05-01 09"}
    time.at(2, 3)
    source.items.append(item(3))
    assert database.sync(source, **daily).added == 1
    (added,) = database.rows("SELECT added_after FROM favourites WHERE track_id = 3")
    assert str(added[0])[:13].replace("T", " ") == "2026-05-02 02"
    assert faults(database_url) == []


def test_a_run_after_a_failed_or_another_kind_keeps_its_row(database: Database, time: Clock):
    source = FakeSource([item(1), item(2)])
    daily = {"idle_runs": "daily", "concurrency": 1}
    for _ in range(3):
        database.sync(source, **daily)
    assert len(run_rows(database)) == 2
    database.sync(source, **daily, trigger=Trigger.SCHEDULE)
    assert len(run_rows(database)) == 3
    time.now += timedelta(minutes=1)
    database.sync(source, concurrency=1)
    database.sync(source, concurrency=1)
    assert len(run_rows(database)) == 5


def test_runs_with_a_missing_favourite_keep_their_rows(database: Database, database_url: str, time: Clock):
    source = FakeSource([item(track_id) for track_id in range(1, 30)])
    daily = {"idle_runs": "daily", "concurrency": 1, "grace": GRACE}
    time.at(1, 1)
    database.sync(source, **daily)
    del source.items[10]
    for hour in range(2, 7):
        time.at(1, hour)
        assert database.sync(source, **daily).missing == 1
    assert len(run_rows(database)) == 6
    assert faults(database_url) == []

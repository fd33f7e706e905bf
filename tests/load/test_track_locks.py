"""Accounts that have tracks in common, on PostgreSQL: a run that only sees them again does not wait, one that changes a track does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import event, text

from etl.db.engine import read_transaction
from etl.model.records import Item
from etl.replay.tracks import replay_tracks
from etl.sync import RunResult
from tests.conftest import NewDatabase
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item
from tests.support.waiting import wait_until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(seconds=3)
TRACKS = range(1, 51)
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
AGAIN = {1: "Again"}  # the title of a track that is stored with another one

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("postgresql")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database that knows all tracks."""
    with open_database(url) as made:
        sync_at(made, "first", NOON - timedelta(days=1), *items())
        yield made


@pytest.fixture
def other(url: str) -> Iterator[Database]:
    """The same database, whose statements fail where they wait for a lock."""
    with open_database(url) as made:
        event.listen(
            made.engine, "begin", lambda connection: connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
        )
        yield made


def items(titles: dict[int, str] | None = None) -> list[Item]:
    return [item(track, **({"track_title": titles[track]} if titles and track in titles else {})) for track in TRACKS]


def sync_at(database: Database, name: str, at: datetime, *listed: Item, **options: Any) -> RunResult:
    with time_machine.travel(at, tick=False):
        return database.sync(FakeSource(list(listed), user_id=name), name, **options)


def during(database: Database, name: str, at: datetime, listed: list[Item], meanwhile: Callable[[], RunResult]) -> Any:
    """Sync, and do ``meanwhile`` before the run is committed; return its result."""
    done: list[RunResult] = []
    result = sync_at(database, name, at, *listed, settle=lambda *_: done.append(meanwhile()))
    assert result.proven, result
    return done[0]


def versions(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT title, valid_from FROM track_versions WHERE track_id = 1 ORDER BY valid_from")


def is_sound(database: Database) -> bool:
    with read_transaction(database.engine) as connection:
        return not replay_tracks(connection, write=False)


def test_first_loads_of_the_same_tracks_do_not_wait(database, other):
    result = during(database, "ada", NOON, items(), lambda: sync_at(other, "bob", NOON + MOMENT, *items()))
    assert result.added == len(TRACKS), result
    assert is_sound(database)


@pytest.mark.parametrize("names", [("ada", "bob"), ("bob", "ada")])
def test_new_tracks_of_known_artists_do_not_wait(database, other, names):
    result = during(database, names[0], NOON, [item(51)], lambda: sync_at(other, names[1], NOON, item(52)))
    assert result.added == 1, result
    assert is_sound(database)


def test_a_change_waits_for_those_who_saw_the_track_unchanged(database, other):
    result = during(database, "ada", NOON + MOMENT, items(), lambda: sync_at(other, "bob", NOON, *items(AGAIN)))
    assert "lock timeout" in (result.reason or ""), result
    assert sync_at(database, "bob", NOON, *items(AGAIN)).proven
    titles = [title for title, _ in versions(database)]
    assert titles == ["Track 1", "Again", "Track 1"]
    assert is_sound(database)


def test_who_sees_a_track_unchanged_waits_for_its_change(database, other):
    result = during(database, "bob", NOON, items(AGAIN), lambda: sync_at(other, "ada", NOON + MOMENT, *items()))
    assert "lock timeout" in (result.reason or ""), result
    assert sync_at(database, "ada", NOON + MOMENT, *items()).changed == 1
    assert [title for title, _ in versions(database)] == ["Track 1", "Again", "Track 1"]
    assert is_sound(database)


def test_sightings_are_written_once_in_a_few_seconds(database):
    written: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: written.append(given[2]))
    for number in range(3):
        sync_at(database, f"account {number}", NOON + timedelta(seconds=1 + number), *items())
    assert sum("SET sighted_at" in statement for statement in written) == 1
    assert database.rows("SELECT DISTINCT sighted_at FROM tracks") == [(NOON + timedelta(seconds=10),)]


def test_a_change_within_those_seconds_is_found(database):
    sync_at(database, "ada", NOON + timedelta(seconds=1), *items())
    sync_at(database, "bob", NOON + timedelta(seconds=5), *items(AGAIN))
    assert versions(database)[-1] == ("Again", NOON + timedelta(seconds=5))
    sync_at(database, "cyd", NOON + timedelta(seconds=7), *items(AGAIN))
    assert len(versions(database)) == 2
    assert is_sound(database)


def test_a_change_is_seen_that_was_committed_during_a_wait(database):
    results: list[RunResult] = []
    ada = threading.Thread(target=lambda: results.append(sync_at(database, "ada", NOON, *items())))
    with database.engine.begin() as holder:
        holder.execute(text("SELECT 1 FROM tracks WHERE track_id = 1 FOR UPDATE"))
        ada.start()
        wait_until(lambda: database.rows(WAITING) == [(1,)])
        with database.engine.begin() as other:
            other.execute(text("UPDATE tracks SET facts_digest = '\\x00' WHERE track_id = 2"))
    ada.join()
    assert [result.changed for result in results] == [1]

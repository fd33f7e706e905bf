"""Accounts that are synced at once: what one of them saw first is written last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import event

from etl import sync
from etl.db.engine import read_transaction
from etl.model.records import Item
from etl.replay.tracks import replay_tracks
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(seconds=5)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as made:
        yield made


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The tracks whose sightings were folded again, by run."""
    done: list[list[int]] = []
    real = sync.replay_tracks

    def recording(connection: Any, only: Any, **more: Any) -> Any:
        done.append(sorted(only))
        return real(connection, only, **more)

    monkeypatch.setattr(sync, "replay_tracks", recording)
    return done


def sync_at(database: Database, name: str, at: datetime, *items: Item) -> None:
    with time_machine.travel(at, tick=False):
        report = database.sync(FakeSource(list(items), user_id=name), name)
    assert report.proven, report


def begun(database: Database, track_id: int) -> set[str]:
    """When the track's facts begin, as each of the three places that tell it has it."""
    rows = database.rows("SELECT first_seen_at, changed_at FROM tracks WHERE track_id = :track", track=track_id)
    versions = database.rows("SELECT valid_from FROM track_versions WHERE track_id = :track", track=track_id)
    return {str(value)[:19].replace("T", " ") for row in (*rows, *versions) for value in row}


def is_sound(database: Database) -> bool:
    with read_transaction(database.engine) as connection:
        return not replay_tracks(connection, write=False)


def test_version_seen_later_by_another_account_is_backdated(database, replays):
    sync_at(database, "ada", NOON + MOMENT, item(1), item(2))
    sync_at(database, "bob", NOON, item(2), item(3))
    assert replays == []
    assert begun(database, 2) == {"2026-03-01 12:00:00"}
    assert begun(database, 1) == {"2026-03-01 12:00:05"}
    assert is_sound(database)


def test_backdated_version_remembers_when_it_was_seen_later(database, replays):
    sync_at(database, "ada", NOON + 3 * MOMENT, item(2))
    sync_at(database, "bob", NOON + MOMENT, item(2))
    sync_at(database, "cyd", NOON + 2 * MOMENT, item(2, track_title="Other"))
    assert replays == [[2]]
    titles = database.rows("SELECT title FROM track_versions ORDER BY valid_from")
    assert titles == [("Track 2",), ("Other",), ("Track 2",)]
    assert is_sound(database)


BARE = Item(b'{"track_id": 2}', b"\x02" * 16, 2)
REJECTED = Item(b'{"track_id": 2, "track_title": 7}', b"\x03" * 16, 2)


@pytest.mark.parametrize("first", [BARE, REJECTED, item(2)])
@pytest.mark.parametrize("second", [BARE, REJECTED, item(2)])
def test_first_seen_time_is_the_earliest_whatever_was_known(database, first, second):
    sync_at(database, "ada", NOON + MOMENT, item(1), first)
    sync_at(database, "bob", NOON, item(1), second)
    assert str(database.rows("SELECT first_seen_at FROM tracks WHERE track_id = 2")[0][0])[11:19] == "12:00:00"
    assert is_sound(database)


def test_other_facts_a_moment_earlier_are_a_version_of_their_own(database, replays):
    sync_at(database, "ada", NOON + MOMENT, item(2, track_title="Now"))
    sync_at(database, "bob", NOON, item(2, track_title="Before"))
    assert replays == [[2]]
    assert database.rows("SELECT title FROM track_versions ORDER BY valid_from") == [("Before",), ("Now",)]
    assert is_sound(database)


def test_track_with_history_is_replayed(database, replays):
    sync_at(database, "ada", NOON - timedelta(days=1), item(2, track_title="Before"))
    sync_at(database, "ada", NOON + MOMENT, item(2, track_title="Now"))
    sync_at(database, "bob", NOON, item(2, track_title="Now"))
    assert replays == [[2]]
    assert database.rows("SELECT count(*) FROM track_versions") == [(2,)]
    assert is_sound(database)


def test_renamed_track_is_replayed(database, replays):
    sync_at(database, "ada", NOON + MOMENT, item(2, album_id=7, album_title="Old"))
    sync_at(database, "cyd", NOON + 2 * MOMENT, item(3, album_id=7, album_title="New"))
    sync_at(database, "bob", NOON, item(2, album_id=7, album_title="Old"))
    assert replays == [[2]]
    assert database.rows("SELECT title FROM albums WHERE album_id = 7") == [("New",)]
    assert is_sound(database)


def test_track_with_reordered_genres_is_replayed(database, replays):
    sync_at(database, "ada", NOON + MOMENT, item(2, genres="Pop,Gospel"))
    sync_at(database, "bob", NOON, item(2, genres="Gospel,Pop"))
    assert replays == [[2]]
    assert is_sound(database)


def test_track_seen_long_before_is_replayed(database, replays):
    sync_at(database, "ada", NOON + timedelta(hours=1), item(2))
    sync_at(database, "bob", NOON, item(2))
    assert replays == [[2]]
    assert begun(database, 2) == {"2026-03-01 12:00:00"}
    assert is_sound(database)


def test_track_without_attributes_keeps_its_first_seen_time(database, replays):
    sync_at(database, "ada", NOON - timedelta(days=1), Item(b'{"track_id": 2}', b"\x02" * 16, 2))
    sync_at(database, "ada", NOON + MOMENT, item(2))
    sync_at(database, "bob", NOON, item(2))
    assert replays == []
    assert begun(database, 2) == {"2026-02-28 12:00:00", "2026-03-01 12:00:00"}
    assert is_sound(database)


def test_track_replay_reads_only_accounts_that_had_it(database, replays):
    for number in range(8):
        sync_at(database, f"other-{number}", NOON - timedelta(days=1, minutes=number), item(100 + number))
    sync_at(database, "ada", NOON + MOMENT, item(2, track_title="Now"))
    said: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    sync_at(database, "bob", NOON, item(2, track_title="Before"))
    assert replays == [[2]]
    assert sum(each.startswith("SELECT snapshots.items") for each in said) == 2
    assert is_sound(database)

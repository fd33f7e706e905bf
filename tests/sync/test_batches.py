"""Lists that are written in several parts, beside the same written in one."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from etl.db import bulk
from etl.load import favourites, snapshot
from etl.load.raw import bodies_of
from etl.model.encoding import unpack_ids
from etl.transform import delta
from tests.conftest import ENGINES, NewDatabase
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item, raw

SHUFFLED = [item(1 + n * 37 % 101) for n in range(101)]  # no order that any table has
FIRST = [*SHUFFLED[:50], raw(b'{"track_id": 500, "artists": 1}', 500), raw(b'{"title": 1}'), *SHUFFLED[50:]]
SECOND = [
    item(600),
    *FIRST[:10],
    *(item(track.track_id or 0, track_title="Else") for track in FIRST[10:40]),
    *FIRST[40:],
]
TOLD = {
    "items": "SELECT raw_item_id, digest, track_id, is_readable FROM raw_items ORDER BY 1",
    "favourites": "SELECT favourite_id, track_id, added_run_id, removed_run_id FROM favourites ORDER BY 1",
    "tracks": "SELECT track_id, title, album_id, facts_digest FROM tracks ORDER BY 1",
    "versions": "SELECT track_id, title, facts_digest, valid_to IS NULL FROM track_versions ORDER BY 1, 4, 3",
    "links": "SELECT track_id, position, artist_id FROM track_artists ORDER BY 1, 2",
    "rejects": "SELECT run_id, position, track_id, reason, body FROM rejects ORDER BY 1, 2",
    "runs": "SELECT run_id, outcome, favourites, added, changed, rejected FROM runs ORDER BY 1",
}


def rows_of_every_table(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    found = {name: database.rows(sql) for name, sql in TOLD.items()}
    lists = database.rows("SELECT snapshot_id, digest, items FROM snapshots ORDER BY 1")
    found["lists"] = [(number, bytes(digest), unpack_ids(bytes(ids))) for number, digest, ids in lists]
    return {name: [tuple(_plain(value) for value in row) for row in rows] for name, rows in found.items()}


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


def both_synced(url: str) -> dict[str, list[tuple[Any, ...]]]:
    with open_database(url) as database:
        assert database.sync(FakeSource(list(FIRST))).added == 102
        assert database.sync(FakeSource(list(SECOND))).changed == 30
        with database.engine.connect() as connection:
            numbers = {bytes(digest): number for number, digest, *_ in database.rows(TOLD["items"])}
            bodies = bodies_of(connection, numbers.values())
        for each in (*FIRST, *SECOND):
            assert bodies[numbers[each.digest]] == each.body
        return rows_of_every_table(database)


@pytest.mark.parametrize("engine_name", ENGINES)
def test_batches_give_the_same_tables_as_one_load(
    engine_name: str, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = both_synced(new_database(engine_name))
    monkeypatch.setattr(delta, "BATCH", 7)
    monkeypatch.setattr(snapshot, "BATCH", 7)
    monkeypatch.setattr(favourites, "PART", 7)
    assert both_synced(new_database(engine_name)) == whole
    first = next(ids for _, _, ids in whole["lists"])
    assert first == list(range(first[0], first[0] + len(FIRST)))  # in list order: a snapshot is small because of that


@pytest.mark.postgresql
@pytest.mark.parametrize(("part", "locks"), [(7, 1), (5_000, 0)])
def test_who_writes_in_parts_keeps_others_waiting_first(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, part: int, locks: int
) -> None:
    monkeypatch.setattr(delta, "BATCH", part)
    monkeypatch.setattr(snapshot, "BATCH", part)
    with open_database(new_database("postgresql")) as database:
        said: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *given: said.append(given[2]))
        database.sync(FakeSource(list(FIRST)))
    writes = [statement for statement in said if "raw_items" in statement and not statement.startswith("SELECT")]
    assert sum(statement.startswith("LOCK TABLE raw_items, tracks") for statement in writes) == locks
    assert writes[0].startswith("LOCK") == bool(locks)


@pytest.mark.postgresql
@pytest.mark.parametrize("lock", [bulk.lock_track_tables, bulk.lock_everything])
def test_replay_locks_tracks_before_a_first_load_does(new_database: NewDatabase, lock: Any) -> None:
    """Or each has what the other needs: the load `raw_items`, and who folds, and may store or mend items too, `tracks`."""
    with open_database(new_database("postgresql")) as database, database.engine.begin() as folding:
        lock(folding)
        with database.engine.begin() as loading, pytest.raises(OperationalError, match="lock"):
            loading.execute(text("LOCK TABLE raw_items IN EXCLUSIVE MODE NOWAIT"))

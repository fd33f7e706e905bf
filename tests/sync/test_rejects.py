"""Items that cannot be read are present: they keep their favourites open, are shown, and join their history once readable."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from etl.model.records import Item
from etl.sandbox import Sandbox
from tests.support.commands import run_command
from tests.support.database import Database, open_database, settings
from tests.support.lists import FakeSource, item, raw

BROKEN = raw(b'{"track_id": 7, "track_title": {"en": "Seven"}}', 7)
BROKEN_OTHERWISE = raw(b'{"track_id": 7, "track_title": ["Seven"]}', 7)
NAMELESS = raw(b'{"track_title": "Nobody"}')


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


def with_others(*items: object) -> FakeSource:
    return FakeSource(items=[item(1), item(2), *items])  # type: ignore[list-item]


def test_an_unreadable_item_is_a_favourite_and_a_reject(database: Database) -> None:
    report = database.sync(with_others(BROKEN))
    assert (report.outcome, report.added, report.rejected, report.proven) == ("succeeded", 3, 1, True)
    assert database.open_tracks() == {1, 2, 7}
    ((run_id, position, track_id, reason, body),) = database.rows(
        "SELECT run_id, position, track_id, reason, body FROM rejects"
    )
    assert (run_id, position, track_id, body) == (1, 2, 7, BROKEN.body.decode())
    assert reason == "track_title is an object"
    assert database.rows("SELECT title FROM tracks WHERE track_id = 7") == [(None,)]


def test_item_that_becomes_readable_continues_its_history(database: Database) -> None:
    database.sync(with_others(BROKEN))
    database.sync(with_others(BROKEN_OTHERWISE))
    report = database.sync(with_others(item(7)))
    assert (report.added, report.removed, report.rejected) == (0, 0, 0)
    ((valid_from, valid_to, added_run),) = [(row[2], row[3], row[6]) for row in database.history() if row[1] == 7]
    assert (valid_from, valid_to, added_run) == (database.run(1).observed_at, None, 1)
    assert database.rows("SELECT title FROM tracks WHERE track_id = 7") == [("Track 7",)]
    assert database.equals_replay()


def test_item_that_becomes_unreadable_keeps_its_attributes(database: Database) -> None:
    database.sync(with_others(item(7)))
    report = database.sync(with_others(BROKEN))
    assert (report.added, report.removed, report.changed, report.rejected) == (0, 0, 0, 1)
    assert database.open_tracks() == {1, 2, 7}
    assert database.rows("SELECT title FROM tracks WHERE track_id = 7") == [("Track 7",)]


def test_an_unreadable_favourite_that_leaves_is_removed(database: Database) -> None:
    database.sync(with_others(BROKEN))
    report = database.sync(with_others())
    assert (report.removed, report.rejected) == (1, 0)
    assert database.open_tracks() == {1, 2}


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize(
    "odd",
    [NAMELESS, raw(b"null"), raw(b'{"track_id": 7.5}')],  # tests/boomplay/test_payloads.py has the others
    ids=lambda odd: odd.body.decode(),
)
def test_item_without_id_adds_nothing_and_blocks_removals(database: Database, odd: object) -> None:
    database.sync(FakeSource(items=[item(3), item(4), item(1), item(2)]))
    report = database.sync(FakeSource(items=[item(5), odd, item(1)]))  # type: ignore[list-item]
    assert (report.outcome, report.proven, report.exit_code) == ("partial", True, 6)
    assert (report.added, report.removed, report.held, report.rejected) == (1, 0, 0, 1)
    assert report.reason == "1 entry has no readable id and could be any track, so nothing is removed"
    assert database.open_tracks() == {1, 2, 3, 4, 5}
    again = database.sync(FakeSource(items=[item(5), odd, item(1)]))  # type: ignore[list-item]
    assert (again.outcome, again.removed, again.rejected) == ("partial", 0, 1)
    assert database.equals_replay()
    report = database.sync(FakeSource(items=[item(5), item(1), item(2)]))
    assert report.removed == 2
    removed_after = {row[5] for row in database.history() if row[1] in (3, 4)}
    assert removed_after == {database.run(1).started_at}
    assert database.equals_replay()


@pytest.mark.parametrize("odd", [NAMELESS, BROKEN], ids=["no id", "rejected"])
def test_a_mostly_unreadable_list_fails_and_stores_nothing(database: Database, odd: Item) -> None:
    database.sync(FakeSource(items=[item(track_id) for track_id in range(1, 5)]))
    before, history = database.sizes(), database.history()
    bodies = [raw(odd.body.replace(b"7", b"%d" % n) + b" " * n, odd.track_id and n) for n in range(6, 10)]
    report = database.sync(FakeSource(items=[item(1), item(2), item(3), *bodies]))
    assert (report.outcome, report.exit_code) == ("failed", 3)
    assert report.reason == "favourite tracks: 4 of 7 entries cannot be read, so nothing was stored"
    assert (database.sizes(), database.history()) == ({**before, "runs": before["runs"] + 1}, history)
    half = database.sync(FakeSource(items=[item(1), item(2), item(3), item(4), *bodies]))
    assert half.outcome == ("partial" if odd is NAMELESS else "succeeded")


def test_item_without_id_proves_no_earlier_absence(database: Database) -> None:
    database.sync(with_others())
    database.sync(with_others(NAMELESS))
    database.sync(with_others(item(7)))
    ((added_after,),) = [(row[4],) for row in database.history() if row[1] == 7]
    assert added_after == database.run(1).started_at


def test_runs_show_lists_rejects_of_unchanged_runs_too(database: Database, database_url: str) -> None:
    for _ in range(2):
        database.sync(with_others(BROKEN, NAMELESS))
    with Sandbox(tracks=1) as sandbox:
        environ = settings(sandbox, database_url)
        for run_id in ("1", "2"):
            shown = run_command(environ, "runs", "show", run_id)
            assert shown.returncode == 0
            assert "unreadable items: 2" in shown.stdout
            assert "at 2: track_title is an object: " + BROKEN.body.decode() in shown.stdout
            assert "at 3: no integer track_id: " + NAMELESS.body.decode() in shown.stdout
            told = json.loads(run_command(environ, "runs", "show", run_id, "--json").stdout)
            assert [(each["position"], each["track_id"]) for each in told["rejects"]] == [(2, 7), (3, None)]


def test_the_same_unreadable_item_takes_no_second_row(database: Database) -> None:
    database.sync(with_others(BROKEN))
    before = database.sizes()
    report = database.sync(with_others(BROKEN))
    assert (report.outcome, report.rejected) == ("unchanged", 1)
    assert database.sizes() == {**before, "runs": before["runs"] + 1}


def test_every_dirty_item_is_handled(database: Database, database_url: str) -> None:
    with Sandbox(tracks=120, seed=9) as sandbox:
        environ = settings(sandbox, database_url)
        assert run_command(environ, "sync").returncode == 0
        before = database.open_tracks("default")
        sandbox.play("dirty_data")
        dirty = run_command(environ, "sync")
        assert dirty.returncode == 0
        assert database.open_tracks("default") == before
        sandbox.play(None)
        assert run_command(environ, "sync").returncode == 0
        assert database.removed_tracks("default") == []

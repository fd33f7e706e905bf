"""Past exports become observations: twice, half broken, from another database, and what is told of it."""

from __future__ import annotations

import pytest
import time_machine
from sqlalchemy import select

from etl.backfill.import_files import ImportOptions, import_paths
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import favourites, rejects, runs, track_versions, tracks
from etl.errors import UsageError
from etl.model.records import Outcome
from etl.model.threshold import RemovalThreshold
from etl.monitor.freshness import account_freshness
from etl.sync import RunOptions, sync_account
from tests.support.lists import FakeSource, item, raw
from tests.support.past import LATER, account_in, assert_rebuilt, at, land, seen, stays


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def rows(engine, table):
    with read_transaction(engine) as connection:
        return connection.execute(select(table).order_by(*table.primary_key.columns)).all()


def test_the_same_observation_twice_is_one_run(engine):
    ada = account_in(engine)
    first = land(engine, ada, seen(1, [1, 2]))
    again = land(engine, ada, seen(1, [1, 2]), seen(2, [1]))
    assert [landed.was_there for landed in again.landed] == [True, False]
    assert again.landed[0].run_id == first.landed[0].run_id
    assert len(rows(engine, runs)) == 2


def test_the_same_list_as_a_part_and_as_the_whole_are_two_observations(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, [1, 2], whole=False))
    land(engine, ada, seen(1, [1, 2]))
    assert [run.outcome for run in rows(engine, runs)] == [Outcome.PARTIAL, Outcome.SUCCEEDED]
    assert_rebuilt(engine, ada)


def test_a_part_adds_and_removes_nothing(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, [1, 2]), seen(2, [2, 3], whole=False))
    assert all(row.valid_to is None for row in rows(engine, favourites))
    assert len(rows(engine, favourites)) == 3
    with read_transaction(engine) as connection:
        (facts,) = account_freshness(connection)
    assert facts.failures_in_a_row == 0


def test_the_brake_does_not_hold_what_the_user_says_is_whole(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, range(1, 60)), seen(2, [1]))
    assert sum(row.valid_to is None for row in rows(engine, favourites)) == 1


def test_an_item_without_an_id_removes_nothing_and_is_on_record(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, [1, 2]), seen(2, [1, raw(b"abc,x")]))
    assert all(row.valid_to is None for row in rows(engine, favourites))
    (reject,) = rows(engine, rejects)
    assert reject.body == "abc,x"
    told = [(run.proven, bool(run.proves_absence), run.rejected) for run in rows(engine, runs)]
    assert told == [(True, True, 0), (True, False, 1)]


def test_a_track_known_by_its_id_alone_gets_its_facts_when_they_are_seen(engine):
    ada = account_in(engine)
    bare = raw(b'{"track_id":1}', 1)
    land(engine, ada, seen(1, [bare]))
    (track,) = rows(engine, tracks)
    assert (track.title, track.facts_digest, track.first_seen_at) == (None, None, at(1))
    land(engine, ada, seen(2, [1]))
    (track,) = rows(engine, tracks)
    assert (track.title, track.first_seen_at, track.changed_at) == ("Track 1", at(1), at(2))
    land(engine, ada, seen(3, [bare]))
    assert rows(engine, tracks)[0].title == "Track 1"
    assert len(rows(engine, track_versions)) == 1
    assert_rebuilt(engine, ada)


def test_an_older_export_tightens_the_bounds_that_were_there(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, [1, 2]), seen(9, [2, 3]))
    land(engine, ada, seen(5, [1, 2, 3]))
    assert stays(engine, ada) == {
        (1, at(1), None, at(9), at(5)),
        (2, at(1), None, None, None),
        (3, at(5), at(1), None, None),
    }
    told = rows(engine, runs)[-1].reason
    assert "day 5" in told
    assert "with other bounds" in told


def test_an_export_dated_within_a_walk_removes_nothing_that_the_walk_saw_or_lacked(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, range(1, 30)), seen(9, range(2, 30), hours=48))
    land(engine, ada, seen(8, range(1, 31)))
    held_open = [row.track_id for row in rows(engine, favourites) if row.valid_to is None]
    assert sorted(held_open) == list(range(1, 31)), "which came first nobody can tell"
    assert_rebuilt(engine, ada)


def test_a_sync_after_an_import_goes_on_from_it(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, range(1, 30)))
    report = sync_account(engine, ada, FakeSource([item(n) for n in range(2, 31)]), RunOptions())
    assert (report.outcome, report.added, report.removed) == (Outcome.SUCCEEDED, 1, 1)
    assert_rebuilt(engine, ada)


def test_two_lists_of_one_instant_are_one_observation_and_a_sync_that_sees_one_of_them_removes_the_other(engine):
    ada = account_in(engine)
    land(engine, ada, seen(1, range(1, 30)), seen(1, range(2, 31)))
    assert sum(row.valid_to is None for row in rows(engine, favourites)) == 30
    report = sync_account(engine, ada, FakeSource([item(n) for n in range(2, 31)]), RunOptions())
    assert (report.outcome, report.removed) == (Outcome.SUCCEEDED, 1)
    assert_rebuilt(engine, ada)


def test_an_import_that_makes_later_removals_many_holds_them_and_says_so(engine):
    ada = account_in(engine)
    sync_account(engine, ada, FakeSource([item(n) for n in range(1, 21)]), RunOptions())
    done = land(engine, ada, seen(1, range(1, 100)))
    assert len(done.held) == 1
    run = rows(engine, runs)[0]
    assert (run.outcome, run.held) == (Outcome.HELD, 79)
    assert f"runs approve {run.run_id}" in run.reason
    assert_rebuilt(engine, ada)


def test_without_kept_bodies_facts_are_the_same_as_long_as_the_files_come(engine, new_database):
    ada = account_in(engine)
    other = open_engine(new_database("sqlite"))
    bob = account_in(other)
    lists = [
        seen(day, [item(n, track_title=f"T{n} {day // (n + 1)}") for n in range(1, 9)]) for day in (5, 2, 8, 1, 9, 3)
    ]
    for past in lists:
        land(engine, ada, past, keep_bodies=False)
        land(other, bob, past)
    told = [
        [(row.track_id, row.valid_from, row.valid_to, row.title) for row in rows(each, track_versions)]
        for each in (engine, other)
    ]
    assert told[0] == told[1]
    assert_rebuilt(engine, ada)
    other.dispose()


def test_another_database_brings_its_observations_with_their_own_times(engine, new_database, tmp_path):
    url = new_database("sqlite")
    theirs = open_engine(url)
    there = account_in(theirs, "somebody")
    land(
        theirs,
        there,
        seen(1, range(1, 60)),
        seen(3, [5, raw(b'{"track_id":7, "artwork": 5}', 7)]),
        seen(4, [6], whole=False),
    )
    sync_account(theirs, there, FakeSource([item(1)]), RunOptions(brake=RemovalThreshold(3, 0.1)))
    ada = account_in(engine)
    result = import_paths(engine, ada, [tmp_path / url.rpartition("/")[2]], ImportOptions(), LATER)
    assert not result.faults
    assert stays(engine, ada) == stays(theirs, there)
    assert_rebuilt(engine, ada)
    again = import_paths(engine, ada, [tmp_path / url.rpartition("/")[2]], ImportOptions(), LATER)
    assert all(landed.was_there for landed in again.imported.landed)
    theirs.dispose()


def test_a_database_of_another_user_or_of_another_kind_is_refused_and_named(engine, new_database, tmp_path):
    import sqlite3

    url = new_database("sqlite")
    theirs = open_engine(url)
    there = account_in(theirs)
    sync_account(theirs, there, FakeSource([item(1)], user_id="somebody else"), RunOptions())
    ada = account_in(engine)
    sync_account(engine, ada, FakeSource([item(1)], user_id="ada herself"), RunOptions())
    with read_transaction(engine) as connection:
        from etl.load.baseline import find_accounts

        ada = find_accounts(connection)[0]
    with pytest.raises(UsageError, match="another Boomplay user"):
        import_paths(engine, ada, [tmp_path / url.rpartition("/")[2]], ImportOptions(), LATER)
    foreign = sqlite3.connect(tmp_path / "other.db")
    foreign.execute("CREATE TABLE x (y)")
    foreign.commit()
    foreign.close()
    with pytest.raises(UsageError, match="not one of favsync"):
        import_paths(engine, ada, [tmp_path / "other.db"], ImportOptions(), LATER)
    theirs.dispose()


def test_a_call_happens_whole_or_not_at_all(engine, tmp_path, monkeypatch):
    ada = account_in(engine)
    for day in (1, 2, 3):
        (tmp_path / f"2025-11-0{day}.json").write_text("[1,2]")
    monkeypatch.setattr("etl.replay.import_snapshots.replay_tracks", lambda *_args, **_kw: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        import_paths(engine, ada, [tmp_path], ImportOptions(), LATER)
    assert not rows(engine, runs)
    monkeypatch.undo()
    assert len(import_paths(engine, ada, [tmp_path], ImportOptions(), LATER).imported.landed) == 3


def test_two_accounts_that_see_different_facts_keep_one_history_of_them(engine):
    ada, bob = account_in(engine), account_in(engine, "bob")
    other = item(1, track_title="Autre")
    land(engine, ada, seen(1, [1]), seen(5, [1]), seen(9, [1]))
    land(engine, bob, seen(7, [other]), seen(3, [other]))
    titles = [(row.title, row.valid_from) for row in rows(engine, track_versions)]
    assert titles == [("Track 1", at(1)), ("Autre", at(3))]
    assert_rebuilt(engine, [ada, bob])


def test_names_are_those_that_the_newest_version_has_whatever_came_last(engine):
    from etl.db.tables import albums, artists

    ada = account_in(engine)
    land(engine, ada, seen(5, [item(10, album_title="New", artists=[{"artist_id": 3, "artist_name": "New"}])]))
    old = {"album_title": "Old", "artists": [{"artist_id": 3, "artist_name": "Old"}]}
    land(engine, ada, seen(1, [item(10, **old), item(11, **old)]))
    assert [row.title for row in rows(engine, albums)] == ["New"]
    assert [row.name for row in rows(engine, artists)] == ["New"]
    assert_rebuilt(engine, ada)


def test_the_database_refuses_an_interval_that_cites_no_proof_from_an_import_too(engine):
    from sqlalchemy import update

    from etl.errors import DatabaseError

    ada = account_in(engine)
    land(engine, ada, seen(1, [1, 2]), seen(2, [1]))
    with pytest.raises(DatabaseError, match="stays proven"), write_transaction(engine) as connection:
        connection.execute(update(runs).where(runs.c.run_id == 2).values(proven=False, proves_absence=False))


def test_a_sync_that_ended_before_what_another_account_imported_does_not_overrule_it(engine):
    ada, bob = account_in(engine), account_in(engine, "bob")
    land(engine, ada, seen(1, [1]), seen(10, [item(1, played="daily")]))  # other bytes, the same facts
    with time_machine.travel(at(9), tick=True):
        sync_account(engine, bob, FakeSource([item(1, track_title="As bob saw it")]), RunOptions())
    assert_rebuilt(engine, [ada, bob])
    assert rows(engine, tracks)[0].title == "Track 1"

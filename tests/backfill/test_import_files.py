"""Past exports become snapshots: twice, as parts, from another database or an export of one."""

from __future__ import annotations

import shutil
import sqlite3
import zlib
from contextlib import closing
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, update

from etl.backfill import other_database
from etl.backfill.import_files import ImportOptions, import_paths
from etl.cli import main
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import albums, artists, favourites, raw_items, rejects, runs, snapshots, track_versions, tracks
from etl.errors import DatabaseError, UsageError
from etl.load.accounts import enabled_accounts
from etl.model.records import Outcome, RemovalGrace, RemovalThreshold
from etl.monitor.status import statuses
from etl.sync import RunOptions, sync_account
from tests.support.lists import FakeSource, item, raw
from tests.support.past import LATER, account_in, assert_rebuilt, at, import_past, past_snapshot, stored_intervals


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def rows(engine, table):
    with read_transaction(engine) as connection:
        return connection.execute(select(table).order_by(*list(table.columns)[:2])).all()


def open_tracks(engine):
    return [row.track_id for row in rows(engine, favourites) if row.valid_to is None]


def test_the_same_observation_twice_is_one_run(engine):
    ada = account_in(engine)
    first = import_past(engine, ada, past_snapshot(1, [1, 2]))
    again = import_past(engine, ada, past_snapshot(1, [1, 2]), past_snapshot(2, [1]))
    assert [landed.was_there for landed in again.landed] == [True, False]
    assert again.landed[0].run_id == first.landed[0].run_id
    assert len(rows(engine, runs)) == 2


def test_a_part_and_the_same_whole_list_are_two_snapshots(engine):
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, [1, 2], whole=False))
    import_past(engine, ada, past_snapshot(1, [1, 2]))
    assert [run.outcome for run in rows(engine, runs)] == [Outcome.PARTIAL, Outcome.SUCCEEDED]
    assert_rebuilt(engine, ada)


def test_a_part_adds_tracks_and_removes_none(engine):
    import_past(engine, account_in(engine), past_snapshot(1, [1, 2]), past_snapshot(2, [2, 3], whole=False))
    assert sorted(open_tracks(engine)) == [1, 2, 3]
    assert statuses(engine, "every 1h")[0].failures_in_a_row == 0


def test_the_threshold_does_not_hold_complete_exports(engine):
    import_past(engine, account_in(engine), past_snapshot(1, range(1, 60)), past_snapshot(2, [1]))
    assert open_tracks(engine) == [1]


def test_an_item_without_an_id_removes_nothing(engine):
    import_past(engine, account_in(engine), past_snapshot(1, [1, 2]), past_snapshot(2, [1, raw(b"abc,x")]))
    assert len(open_tracks(engine)) == 2
    assert [reject.body for reject in rows(engine, rejects)] == ["abc,x"]
    found = [(run.proven, bool(run.proves_absence), run.rejected) for run in rows(engine, runs)]
    assert found == [(True, True, 0), (True, False, 1)]


def test_a_track_without_attributes_gets_them_when_seen(engine):
    ada, bare = account_in(engine), raw(b'{"track_id":1}', 1)
    import_past(engine, ada, past_snapshot(1, [bare]))
    (track,) = rows(engine, tracks)
    assert (track.title, track.facts_digest, track.first_seen_at) == (None, None, at(1))
    import_past(engine, ada, past_snapshot(2, [1]))
    import_past(engine, ada, past_snapshot(3, [bare]))
    (track,) = rows(engine, tracks)
    assert (track.title, track.first_seen_at, track.changed_at) == ("Track 1", at(1), at(2))
    assert len(rows(engine, track_versions)) == 1
    assert_rebuilt(engine, ada)


def test_an_older_export_tightens_the_stored_bounds(engine):
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, [1, 2]), past_snapshot(9, [2, 3]))
    import_past(engine, ada, past_snapshot(5, [1, 2, 3]))
    assert stored_intervals(engine, ada) == {
        (1, at(1), None, at(9), at(5)),
        (2, at(1), None, None, None),
        (3, at(5), at(1), None, None),
    }
    reason = rows(engine, runs)[-1].reason
    assert "day 5" in reason
    assert "with other bounds" in reason


def test_an_export_dated_within_a_read_removes_nothing_of_it(engine):
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, range(1, 30)), past_snapshot(9, range(2, 30), hours=48))
    import_past(engine, ada, past_snapshot(8, range(1, 31)))
    assert sorted(open_tracks(engine)) == list(range(1, 31)), "their order is unknown"
    assert_rebuilt(engine, ada)


@pytest.mark.parametrize("lists", [[range(1, 30)], [range(1, 30), range(2, 31)]], ids=["one", "two of one instant"])
def test_a_sync_after_an_import_goes_on_from_it(engine, lists):
    ada = account_in(engine)
    import_past(engine, ada, *(past_snapshot(1, ids) for ids in lists))
    assert len(open_tracks(engine)) == 28 + len(lists)
    report = sync_account(engine, ada, FakeSource([item(n) for n in range(2, 31)]), RunOptions())
    assert (report.outcome, report.removed) == (Outcome.SUCCEEDED, 1)
    assert_rebuilt(engine, ada)


def test_an_import_that_makes_later_removals_many_holds_them(engine):
    ada = account_in(engine)
    sync_account(engine, ada, FakeSource([item(n) for n in range(1, 21)]), RunOptions())
    assert len(import_past(engine, ada, past_snapshot(1, range(1, 100))).held) == 1
    run = rows(engine, runs)[0]
    assert (run.outcome, run.held) == (Outcome.HELD, 79)
    assert f"runs approve {run.run_id}" in run.reason
    assert_rebuilt(engine, ada)


def test_without_stored_bodies_attributes_are_the_same(engine, new_database):
    other = open_engine(new_database("sqlite"))
    ada, bob = account_in(engine), account_in(other)
    for day in (5, 2, 8, 1, 9, 3):
        past = past_snapshot(day, [item(n, track_title=f"T{n} {day // (n + 1)}") for n in range(1, 9)])
        import_past(engine, ada, past, keep_bodies=False)
        import_past(other, bob, past)
    versions = [
        [(row.track_id, row.valid_from, row.valid_to, row.title) for row in rows(each, track_versions)]
        for each in (engine, other)
    ]
    assert versions[0] == versions[1]
    assert_rebuilt(engine, ada)
    other.dispose()


SOMEBODY = "somebody"


def history_elsewhere(url):
    """Make a history that an import must repeat: parts, unreadable items, a held run, a track that was missing for a day."""
    theirs = open_engine(url)
    there = account_in(theirs, SOMEBODY)
    odd = raw(b'{"track_id":7, "artwork": 5}', 7)
    import_past(
        theirs,
        there,
        past_snapshot(1, range(1, 60)),
        past_snapshot(3, [5, odd, raw(b"x")]),
        past_snapshot(4, [6], whole=False),
    )
    options = RunOptions(threshold=RemovalThreshold(3, 0.1), grace=RemovalGrace(timedelta(days=2), timedelta(days=7)))
    for day, ids in ((5, range(1, 60)), (6, range(2, 60)), (7, range(1, 60)), (8, [1])):
        with time_machine.travel(at(day), tick=True):
            sync_account(theirs, there, FakeSource([item(n) for n in ids]), options)
    theirs.dispose()


def exported(url, folder, form):
    """Return the folder of an export of the database at ``url``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAVSYNC_DATABASE_URL", url)
        assert main(["export", "--to", str(folder), "--format", form]) == 0
    return folder


KNOWN = (
    "started_at", "observed_at", "proven", "proves_absence", "decision", "brake_minimum", "brake_ratio", "total",
    "page_size", "removal_grace_seconds", "withdrawal_grace_seconds", "user_confirmed", "evidence",
)  # fmt: skip


def contents(engine):
    """Return everything that an import takes over: the runs with what they knew, their lists, and the items."""
    with read_transaction(engine) as connection:
        query = select(*runs.c[KNOWN], *snapshots.c["digest", "size"]).join(snapshots).order_by(runs.c.observed_at)
        items = connection.execute(select(raw_items.c["digest", "track_id", "is_readable"])).all()
        return connection.execute(query).all(), sorted(map(tuple, items))


FORMS = [("sqlite", "database"), ("sqlite", "csv"), ("sqlite", "jsonl"), ("sqlite", "parquet")]
ON_POSTGRESQL = [pytest.param("postgresql", form, marks=pytest.mark.postgresql) for form in ("csv", "parquet")]


@pytest.mark.parametrize(("source", "form"), [*FORMS, *ON_POSTGRESQL])
def test_another_database_is_imported_exactly(filled_database, new_database, tmp_path, source, form):
    url, _ = filled_database(source, history_elsewhere)
    theirs, engine = open_engine(url), open_engine(new_database("sqlite"))
    path = tmp_path / url.rpartition("/")[2]
    if form != "database":
        path = exported(url, tmp_path / "export", form)
    there, ada = account_in(theirs, SOMEBODY), account_in(engine)
    result = import_paths(engine, ada, [path], ImportOptions(), LATER)
    assert not result.faults
    assert stored_intervals(engine, ada) == stored_intervals(theirs, there)
    assert contents(engine) == contents(theirs)
    assert_rebuilt(engine, ada)
    again = import_paths(engine, ada, [path], ImportOptions(), LATER)
    assert all(landed.was_there for landed in again.imported.landed)
    theirs.dispose()
    engine.dispose()


@pytest.fixture(scope="module")
def whole_export(tmp_path_factory, sqlite_template):
    """Return the folder of an export, to be copied."""
    folder = tmp_path_factory.mktemp("exported")
    url = f"sqlite:///{shutil.copy(sqlite_template(), folder / 'favsync.db')}"
    history_elsewhere(url)
    return exported(url, folder / "export", "csv")


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("runs.csv", b"true", b"false", "runs.csv was changed after the export"),
        ("manifest.json", b'"schema": "0', b'"schema": "1', "upgrade the database and export it again"),
        ("manifest.json", b"raw_blocks", b"raw_stocks", "is damaged"),
        ("manifest.json", b"}", b"]", "is damaged"),
        ("snapshots.csv", None, None, "is damaged"),
    ],
)
def test_a_damaged_export_is_named(new_database, whole_export, tmp_path, name, old, new, fault):
    engine = open_engine(new_database("sqlite"))
    shutil.copytree(whole_export, tmp_path / "export")
    damaged = tmp_path / "export" / name
    content = damaged.read_bytes().replace(old, new) if old else None
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    with pytest.raises(UsageError, match=fault):
        import_paths(engine, account_in(engine), [tmp_path / "export"], ImportOptions(), LATER)
    engine.dispose()


def test_a_database_of_another_user_or_kind_is_refused(engine, new_database, tmp_path):
    url = new_database("sqlite")
    theirs = open_engine(url)
    there, ada = account_in(theirs), account_in(engine)
    sync_account(theirs, there, FakeSource([item(1)], user_id="somebody else"), RunOptions())
    theirs.dispose()
    sync_account(engine, ada, FakeSource([item(1)], user_id="ada herself"), RunOptions())
    with read_transaction(engine) as connection:
        ada = enabled_accounts(connection)[0]
    with pytest.raises(UsageError, match="another Boomplay user"):
        import_paths(engine, ada, [tmp_path / url.rpartition("/")[2]], ImportOptions(), LATER)
    with closing(sqlite3.connect(tmp_path / "other.db")) as foreign, foreign:
        foreign.execute("CREATE TABLE x (y)")
    with pytest.raises(UsageError, match="not one of favsync"):
        import_paths(engine, ada, [tmp_path / "other.db"], ImportOptions(), LATER)


def test_an_import_takes_effect_whole_or_not_at_all(engine, tmp_path, monkeypatch):
    ada = account_in(engine)
    for day in (1, 2, 3):
        (tmp_path / f"2025-11-0{day}.json").write_text("[1,2]")
    monkeypatch.setattr("etl.replay.account.replay_tracks", lambda *_args, **_kw: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        import_paths(engine, ada, [tmp_path], ImportOptions(), LATER)
    assert not rows(engine, runs)
    monkeypatch.undo()
    assert len(import_paths(engine, ada, [tmp_path], ImportOptions(), LATER).imported.landed) == 3


def test_two_accounts_share_one_history_of_attributes(engine):
    ada, bob = account_in(engine), account_in(engine, "bob")
    other = item(1, track_title="Autre")
    import_past(engine, ada, past_snapshot(1, [1]), past_snapshot(5, [1]), past_snapshot(9, [1]))
    import_past(engine, bob, past_snapshot(7, [other]), past_snapshot(3, [other]))
    titles = [(row.title, row.valid_from) for row in rows(engine, track_versions)]
    assert titles == [("Track 1", at(1)), ("Autre", at(3))]
    assert_rebuilt(engine, [ada, bob])


def test_names_are_those_of_the_newest_version(engine):
    ada = account_in(engine)
    import_past(
        engine, ada, past_snapshot(5, [item(10, album_title="New", artists=[{"artist_id": 3, "artist_name": "New"}])])
    )
    old = {"album_title": "Old", "artists": [{"artist_id": 3, "artist_name": "Old"}]}
    import_past(engine, ada, past_snapshot(1, [item(10, **old), item(11, **old)]))
    assert [row.title for row in rows(engine, albums)] == ["New"]
    assert [row.name for row in rows(engine, artists)] == ["New"]
    assert_rebuilt(engine, ada)


def test_the_database_keeps_the_proof_of_an_imported_interval(engine):
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, [1, 2]), past_snapshot(2, [1]))
    with pytest.raises(DatabaseError, match="stays proven"), write_transaction(engine) as connection:
        connection.execute(update(runs).where(runs.c.run_id == 2).values(proven=False, proves_absence=False))


def test_an_older_sync_does_not_overrule_a_newer_import(engine):
    ada, bob = account_in(engine), account_in(engine, "bob")
    import_past(
        engine, ada, past_snapshot(1, [1]), past_snapshot(10, [item(1, played="daily")])
    )  # other bytes, the same facts
    with time_machine.travel(at(9), tick=True):
        sync_account(engine, bob, FakeSource([item(1, track_title="As bob saw it")]), RunOptions())
    assert_rebuilt(engine, [ada, bob])
    assert rows(engine, tracks)[0].title == "Track 1"


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE raw_blocks SET body = x'00'", "is damaged"),
        ("UPDATE raw_blocks SET body = :bomb", "unpacks to more than"),
        ("UPDATE snapshots SET items = x'00'", "is damaged"),
        ("UPDATE runs SET snapshot_id = 999", "cannot be read"),
        ("UPDATE runs SET observed_at = 'soon'", "is damaged"),
        ("DROP TABLE raw_items", "cannot be read"),
        ("", "view"),
    ],
)
def test_a_damaged_or_hostile_database_is_named(new_database, tmp_path, damage, fault):
    theirs, engine = new_database("sqlite"), open_engine(new_database("sqlite"))
    other = open_engine(theirs)
    import_past(other, account_in(other), past_snapshot(1, [1, 2]))
    other.dispose()
    path = tmp_path / theirs.rpartition("/")[2]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        if fault == "view":
            endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS version_num FROM n"
            connection.execute("DROP TABLE favsync_version")
            connection.execute(f"CREATE VIEW favsync_version AS {endless}")
        else:
            values = {}
            if ":bomb" in damage:
                values["bomb"] = zlib.compress(bytes(other_database.MAX_UNPACKED_BYTES + 1))
            connection.execute(damage, values)
    (tmp_path / "2025-11-03.json").write_text("[1]")
    ada = account_in(engine)
    result = import_paths(engine, ada, [path, tmp_path / "2025-11-03.json"], ImportOptions(), LATER)
    assert len(result.imported.landed) == 1, "the file beside it is imported"
    assert fault in str(result.faults[0])
    engine.dispose()

"""Keeping less: the history stays bit for bit, and what goes is really gone."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import raw_blocks, raw_items, runs, snapshots
from etl.errors import RunInProgress, UsageError
from etl.load.raw import bodies_of
from etl.load.run_lock import run_lock
from etl.model.records import RemovalThreshold
from etl.replay.prune import PrunePolicy, compact, plan, prune
from etl.replay.rebuild import compare
from etl.replay.retract import restore, retract
from etl.sync import RunOptions, sync_account
from tests.conftest import ENGINES
from tests.support.lists import FakeSource, item, raw
from tests.support.past import LATER, account_in, assert_rebuilt, at, columns_of, import_past, past_snapshot

THRESHOLD = RemovalThreshold()
PROJECTIONS = (
    "favourites",
    "track_versions",
    "tracks",
    "track_artists",
    "track_genres",
    "albums",
    "artists",
    "rejects",
)


def twelve_days(url):
    """Import four observations a day for twelve days, of a list that changes every third day; and another account beside it."""
    engine = open_engine(url)
    ada, bob = account_in(engine), account_in(engine, "bob")
    pasts = []
    for quarter in range(48):
        day = quarter // 12 * 3
        items = [item(n, track_title=f"T{n} {day}") for n in range(1 + day // 3, 12 + day // 3)]
        pasts.append(past_snapshot(quarter / 4, [*items, raw(b'{"track_id":90,"artwork":5}', 90)], hours=1))
    import_past(engine, ada, *pasts)
    import_past(engine, bob, past_snapshot(2, [item(3, track_title="T3 0"), 50]), past_snapshot(11, [50]))
    engine.dispose()
    return ada, bob


@pytest.fixture(params=ENGINES)
def filled(request, filled_database):
    return filled_database(request.param, twelve_days)


@pytest.fixture
def engine(filled):
    engine = open_engine(filled[0])
    yield engine
    engine.dispose()


@pytest.fixture
def lived(filled):
    """Return the accounts of `twelve_days`."""
    return filled[1]


def content(engine):
    """Return what is stored, but for when a track was news last: that is of the observations, and some of them may go."""
    tables = {name: columns_of(name) for name in PROJECTIONS}
    with read_transaction(engine) as connection:
        return {name: sorted(map(str, connection.execute(select(*each)).all())) for name, each in tables.items()}


def count(engine, table):
    with read_transaction(engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_thinning_changes_no_interval_and_no_fact(engine, lived):
    before, all_runs = content(engine), count(engine, runs)
    found = plan(engine, PrunePolicy(daily_before=LATER), THRESHOLD)
    assert content(engine) == before
    assert count(engine, runs) == all_runs, "a plan deletes nothing"
    done = prune(engine, PrunePolicy(daily_before=LATER), THRESHOLD)
    assert done.runs == found.runs
    assert len(done.runs) > 20
    assert count(engine, runs) == all_runs - len(done.runs)
    assert content(engine) == before
    assert_rebuilt(engine, lived)
    assert not prune(engine, PrunePolicy(daily_before=LATER), THRESHOLD), "there is nothing more to thin"


def test_newer_snapshots_are_kept(engine, lived):
    done = prune(engine, PrunePolicy(daily_before=at(3)), THRESHOLD)
    with read_transaction(engine) as connection:
        since = select(func.count()).select_from(runs).where(runs.c.observed_at >= at(3))
        assert connection.execute(since).scalar_one() == 36 + 1
    assert done.runs


def test_dropped_bodies_are_gone_and_attributes_unchanged(engine, lived):
    before = content(engine)
    done = prune(engine, PrunePolicy(raw_before=at(6)), THRESHOLD)
    assert done.bodies
    assert done.bytes_freed > 0
    with read_transaction(engine) as connection:
        assert not bodies_of(connection, done.bodies)
        kept = set(connection.execute(select(raw_items.c.raw_item_id)).scalars()) - done.bodies
        bodies = bodies_of(connection, kept)
        assert all(f"T{n}".encode() in b"".join(bodies.values()) for n in (10, 11))
        assert len(bodies) == len(kept)
    assert content(engine) == before
    assert_rebuilt(engine, lived)
    with read_transaction(engine) as connection:
        assert compare(engine, (), THRESHOLD).facts.bodiless == len(done.bodies)


def test_a_body_that_is_left_in_a_block_is_still_the_right_one(engine, lived):
    with read_transaction(engine) as connection:
        ids = connection.execute(select(raw_items.c.raw_item_id)).scalars().all()
        before = bodies_of(connection, ids)
    done = prune(engine, PrunePolicy(raw_before=at(6)), THRESHOLD)
    with read_transaction(engine) as connection:
        after = bodies_of(connection, ids)
    assert after == {number: body for number, body in before.items() if number not in done.bodies}


def test_life_goes_on_after_pruning(engine, lived):
    ada, _ = lived
    prune(engine, PrunePolicy(raw_before=at(9), daily_before=LATER), THRESHOLD)
    sync_account(engine, ada, FakeSource([item(n, track_title=f"T{n} 9") for n in range(5, 15)]), RunOptions())
    assert_rebuilt(engine, lived)
    import_past(engine, ada, past_snapshot(4.1, [item(3, track_title="T3 0"), item(77)]))
    assert_rebuilt(engine, lived)
    with read_transaction(engine) as connection:
        middle = connection.execute(select(runs.c.run_id).where(runs.c.observed_at == at(4.1))).scalar_one()
    before = content(engine)
    with write_transaction(engine) as connection:
        retract(connection, middle, LATER, THRESHOLD)
    assert_rebuilt(engine, lived)
    with write_transaction(engine) as connection:
        restore(connection, middle, THRESHOLD)
    assert content(engine) == before


def test_a_retracted_run_keeps_its_list(engine, lived):
    ada, _ = lived
    import_past(engine, ada, past_snapshot(3.1, range(200, 220)))
    with read_transaction(engine) as connection:
        run_id = connection.execute(select(runs.c.run_id).where(runs.c.observed_at == at(3.1))).scalar_one()
    whole = content(engine)
    with write_transaction(engine) as connection:
        retract(connection, run_id, LATER, THRESHOLD)
    prune(engine, PrunePolicy(daily_before=LATER), THRESHOLD)
    with write_transaction(engine) as connection:
        restore(connection, run_id, THRESHOLD)
    assert [row for row in content(engine)["favourites"] if "(1, " in row]
    assert content(engine)["tracks"] == whole["tracks"]
    assert_rebuilt(engine, lived)


def test_nothing_is_pruned_if_history_differs_from_a_replay(engine, lived):
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE tracks SET title = 'x' WHERE track_id = 5"))
    with pytest.raises(UsageError, match="does not match its snapshots") as error:
        prune(engine, PrunePolicy(daily_before=LATER), THRESHOLD)
    assert "favsync rebuild" in error.value.remedy


def test_nothing_goes_while_a_run_is_in_progress(engine, lived):
    with run_lock(engine, lived[1].account_id, "bob"), pytest.raises(RunInProgress):
        prune(engine, PrunePolicy(daily_before=LATER), THRESHOLD)


def test_unreferenced_lists_and_items_are_pruned(engine, lived):
    ada, _ = lived
    import_past(engine, ada, past_snapshot(20, [300]))
    with write_transaction(engine) as connection:
        run_id = connection.execute(select(func.max(runs.c.run_id))).scalar_one()
        retract(connection, run_id, LATER, THRESHOLD)
        connection.execute(runs.delete().where(runs.c.run_id == run_id))
    lists, items, blocks = count(engine, snapshots), count(engine, raw_items), count(engine, raw_blocks)
    prune(engine, PrunePolicy(daily_before=at(0)), THRESHOLD)
    assert (count(engine, snapshots), count(engine, raw_items), count(engine, raw_blocks)) == (
        lists - 1,
        items - 1,
        blocks - 1,
    )
    assert_rebuilt(engine, lived)


def test_a_sqlite_file_gets_smaller(new_database):
    engine = open_engine(new_database("sqlite"))
    ada = account_in(engine)
    for day in range(6):
        import_past(engine, ada, past_snapshot(day, [item(n, track_title=f"{n * day:x}" * 40) for n in range(1, 400)]))
    prune(engine, PrunePolicy(raw_before=at(5)), THRESHOLD)
    before, after = compact(engine)
    assert after < before
    engine.dispose()


@pytest.mark.postgresql
def test_postgresql_is_left_to_its_own_vacuum(new_database):
    engine = open_engine(new_database("postgresql"))
    assert compact(engine) is None
    engine.dispose()

"""Taking a run out of the history: as if it had never been, on record, and to be undone."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import favourites, runs, track_versions, tracks
from etl.errors import UsageError
from etl.model.records import RemovalThreshold
from etl.replay.retract import restore, retract
from etl.sync import RunOptions, sync_account
from tests.support.lists import FakeSource, item
from tests.support.past import LATER, account_in, assert_rebuilt, at, import_past, past_snapshot, stored_intervals


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def out(engine, run_id):
    with write_transaction(engine) as connection:
        return retract(connection, run_id, LATER, RemovalThreshold())


def back(engine, run_id):
    with write_transaction(engine) as connection:
        return restore(connection, run_id, RemovalThreshold())


def content(engine):
    with read_transaction(engine) as connection:
        wanted = (
            favourites.c[
                "track_id", "valid_from", "added_after", "valid_to", "removed_after", "added_run_id", "removed_run_id"
            ],
            track_versions.c["track_id", "valid_from", "valid_to", "title", "facts_digest"],
            tracks.c["track_id", "title", "first_seen_at", "changed_at", "facts_digest"],
        )
        return [sorted(map(str, connection.execute(select(*columns)).all())) for columns in wanted]


LISTS = [
    past_snapshot(1, [1, 2, 3]),
    past_snapshot(2, [item(1, track_title="Other"), 2, 4, 5]),
    past_snapshot(3, [1, 4, 6]),
    past_snapshot(4, [1, 6, item(7, track_title="Seven")]),
]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_it_is_as_if_the_run_had_never_been(engine, new_database, number):
    ada = account_in(engine)
    import_past(engine, ada, *LISTS)
    before = content(engine)
    other = open_engine(new_database("sqlite"))
    bob = account_in(other)
    import_past(other, bob, *(past for n, past in enumerate(LISTS) if n != number))
    done = out(engine, number + 1)
    assert stored_intervals(engine, ada) == stored_intervals(other, bob)
    assert content(engine)[1:] == content(other)[1:]
    assert_rebuilt(engine, ada)
    assert done.retracted_at == LATER
    with read_transaction(engine) as connection:
        row = connection.execute(select(runs).where(runs.c.run_id == number + 1)).one()
    assert row.retracted_at == LATER
    assert "retracted: " in row.reason
    back(engine, number + 1)
    assert content(engine) == before
    assert_rebuilt(engine, ada)
    other.dispose()


def test_a_track_that_only_the_retracted_run_saw_is_gone(engine):
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, [1]), past_snapshot(2, [1, 2]))
    out(engine, 2)
    with read_transaction(engine) as connection:
        assert connection.execute(select(tracks.c.track_id)).scalars().all() == [1]


def test_a_sync_after_a_retraction_goes_on_from_the_run_before(engine):
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, range(1, 20)), past_snapshot(2, range(3, 20)))
    out(engine, 2)
    report = sync_account(engine, ada, FakeSource([item(n) for n in range(2, 20)]), RunOptions())
    assert (report.added, report.removed) == (0, 1)
    ends = [each for each in stored_intervals(engine, ada) if each[3] is not None]
    assert [(track, removed_after) for track, _, _, _, removed_after in ends] == [(1, at(1))]
    assert_rebuilt(engine, ada)


def test_mistakes_are_named(engine):
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, [1]))
    sync_account(engine, ada, FakeSource([item(1)], user_id="x"), RunOptions())
    with pytest.raises(UsageError, match="no run 99"):
        out(engine, 99)
    with pytest.raises(UsageError, match="not retracted"):
        back(engine, 1)
    out(engine, 1)
    with pytest.raises(UsageError, match="retracted already") as again:
        out(engine, 1)
    assert "--undo" in again.value.remedy


def test_a_run_that_failed_has_nothing_to_retract(engine):
    ada = account_in(engine)

    class Dead(FakeSource):
        def favourite_tracks(self, offset, limit):
            from etl.errors import ApiUnreachable

            raise ApiUnreachable("down")

    report = sync_account(engine, ada, Dead(), RunOptions())
    with pytest.raises(UsageError, match="stored no snapshot"):
        out(engine, report.run_id)

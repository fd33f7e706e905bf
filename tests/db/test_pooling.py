"""Behind a pooler in transaction mode: each transaction may get another session, without locks and settings of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Engine, event, text

from etl import clock
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.locks import LockKind, try_lock, try_lock_all
from etl.errors import DatabaseError, RunInProgress
from etl.load.accounts import ensure_account, find_account
from etl.load.run_lock import run_lock
from etl.sync import RunOptions, RunResult, sync_account
from tests.conftest import NewDatabase
from tests.support.lists import FakeSource, item

pytestmark = pytest.mark.postgresql
SESSION_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"


@pytest.fixture
def engine(new_database: NewDatabase) -> Iterator[Engine]:
    """Return an engine whose sessions forget everything whenever a connection goes back into the pool."""
    engine = open_engine(new_database("postgresql"), pooling="transaction")

    def forget(connection: object, *_: object) -> None:
        connection.rollback()
        connection.autocommit = True
        connection.execute("DISCARD ALL")
        connection.autocommit = False

    event.listen(engine, "reset", forget)
    with write_transaction(engine) as connection:
        ensure_account(connection, "ada", clock.now())
    yield engine
    engine.dispose()


def sync(engine: Engine, source: FakeSource) -> RunResult:
    with read_transaction(engine) as connection:
        ada = find_account(connection, "ada")
    return sync_account(engine, ada, source, RunOptions(concurrency=1))


class Interrupting(FakeSource):
    """Calls ``meanwhile`` during the first request for a page."""

    meanwhile = None

    def favourite_tracks(self, offset: int, limit: int):
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().favourite_tracks(offset, limit)


def test_syncs_leave_no_lock_and_use_utc(engine: Engine):
    source = FakeSource([item(track_id) for track_id in range(1, 301)])
    assert sync(engine, source).added == 300
    assert sync(engine, source).outcome == "unchanged"
    with read_transaction(engine) as connection:
        assert connection.execute(text(SESSION_LOCKS)).scalar() == 0
        assert connection.execute(text("SHOW timezone")).scalar() == "UTC"


def test_a_sync_that_begins_later_ends_the_one_before(engine: Engine):
    slow, fast = Interrupting([item(1), item(2)]), FakeSource([item(1), item(2), item(3)])
    slow.meanwhile = lambda: sync(engine, fast)
    late = sync(engine, slow)
    assert isinstance(late.error, DatabaseError)
    with read_transaction(engine) as connection:
        runs = connection.execute(text("SELECT outcome, reason FROM runs ORDER BY run_id")).all()
        assert [tuple(row) for row in runs] == [("failed", "interrupted"), ("succeeded", None)]
        assert connection.execute(text("SELECT count(*) FROM favourites")).scalar() == 3


def test_work_on_the_history_ends_a_sync_in_progress(engine: Engine):
    slow = Interrupting([item(1)])

    def review() -> None:
        with run_lock(engine, 1, "ada"):
            pass

    slow.meanwhile = review
    assert isinstance(sync(engine, slow).error, DatabaseError)
    with run_lock(engine, 1, "ada"), pytest.raises(RunInProgress), run_lock(engine, 1, "ada"):
        pass


def test_locks_hold_until_their_block_ends(engine: Engine):
    for kind in LockKind:
        with try_lock(engine, kind, 7) as mine, try_lock(engine, kind, 7) as other, try_lock(engine, kind, 8) as third:
            assert (mine is None, other is None, third is None) == (False, True, False)
            with try_lock_all(engine, kind, [6, 7, 8]) as missed:
                assert missed == 7
        with try_lock(engine, kind, 7) as mine:
            assert mine is not None


def test_a_direct_process_holds_its_locks_on_one_connection(new_database: NewDatabase):
    engine = open_engine(new_database("postgresql"))
    with try_lock(engine, LockKind.RUN, 1) as first, try_lock(engine, LockKind.RUN, 2) as second:
        assert first is not None
        assert second is not None
        with try_lock(engine, LockKind.RUN, 1) as third:
            assert third is None
        with read_transaction(engine) as connection:
            pids = (
                connection.execute(text("SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory'"))
                .scalars()
                .all()
            )
            assert len(pids) == 1
            connection.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pids[0]})
        assert first.is_lost()
        assert second.is_lost()
        with try_lock(engine, LockKind.RUN, 1) as again:
            assert again is not None
            assert not again.is_lost()
    with suppress(DatabaseError), read_transaction(engine) as connection:
        assert connection.execute(text(SESSION_LOCKS)).scalar() == 0
    engine.dispose()


def test_a_pause_between_runs_keeps_no_connection(new_database: NewDatabase):
    engine = open_engine(new_database("postgresql"))
    with try_lock(engine, LockKind.RUN, 1):
        assert engine.pool.checkedout() == 1
    assert engine.pool.checkedout() == 0
    engine.dispose()

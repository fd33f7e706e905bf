"""An interrupted full read resumes: stored pages are not fetched again, and removals are confirmed by fetched ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import func, select, text

from etl import clock
from etl.backfill.full_refresh import checkpointing, full_refresh
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import favourites, raw_items, runs, walk_pages
from etl.errors import ApiUnreachable
from etl.model.records import Outcome
from etl.sync import RunOptions, sync_account
from tests.support.lists import FakeSource, item
from tests.support.past import account_in, assert_rebuilt

OPTIONS = RunOptions(concurrency=1)


class Breaking(FakeSource):
    """A source that raises ``error`` after a number of requests, and records the offsets."""

    def __init__(self, items, after=10**9, error=ApiUnreachable):
        super().__init__(items)
        self.after, self.error, self.asked = after, error, []

    def favourite_tracks(self, offset, limit):
        if len(self.asked) >= self.after:
            raise self.error("the line is dead")
        self.asked.append(offset)
        return super().favourite_tracks(offset, limit)


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def items_of(start, end):
    return [item(n) for n in range(start, end)]


def read(engine, account, source, options=OPTIONS):
    kept, since = checkpointing(engine, account, source)
    return full_refresh(engine, account, kept, since, options)


def kept_pages(engine):
    with read_transaction(engine) as connection:
        return connection.execute(select(func.count()).select_from(walk_pages)).scalar_one()


def open_tracks(engine):
    with read_transaction(engine) as connection:
        return set(connection.execute(select(favourites.c.track_id).where(favourites.c.valid_to.is_(None))).scalars())


def test_stored_pages_are_not_fetched_again(engine):
    ada, items = account_in(engine), items_of(1, 300)
    assert read(engine, ada, Breaking(items, after=4)).report.outcome == Outcome.FAILED
    assert kept_pages(engine) == 4
    second = Breaking(items)
    done = read(engine, ada, second)
    assert (done.report.outcome, done.report.proven, done.reused_pages) == (Outcome.SUCCEEDED, True, 3)
    assert done.report.trigger == "backfill"
    assert second.asked[0] == 3 * 49, "the last kept page is fetched again, so its boundary is checked"
    assert open_tracks(engine) == set(range(1, 300))
    assert kept_pages(engine) == 0
    assert_rebuilt(engine, ada)


def test_the_run_starts_with_its_first_stored_page(engine):
    ada, items, began = account_in(engine), items_of(1, 300), clock.now()
    with time_machine.travel(began, tick=True):
        read(engine, ada, Breaking(items, after=4))
    with time_machine.travel(began + timedelta(hours=5), tick=True):
        done = read(engine, ada, Breaking(items))
    with read_transaction(engine) as connection:
        row = connection.execute(select(runs).where(runs.c.run_id == done.report.run_id)).one()
    assert row.started_at - began < timedelta(minutes=5)
    assert row.observed_at - began >= timedelta(hours=5)


def test_pages_of_yesterday_are_not_used(engine):
    ada, items, began = account_in(engine), items_of(1, 300), clock.now()
    with time_machine.travel(began, tick=True):
        read(engine, ada, Breaking(items, after=4))
    with time_machine.travel(began + timedelta(hours=25), tick=True):
        done = read(engine, ada, Breaking(items))
    assert (done.reused_pages, done.report.outcome) == (0, Outcome.SUCCEEDED)


def test_pages_older_than_a_snapshot_are_not_used(engine):
    ada, items = account_in(engine), items_of(1, 300)
    read(engine, ada, Breaking(items, after=4))
    sync_account(engine, ada, FakeSource(items), OPTIONS)
    assert read(engine, ada, Breaking(items)).reused_pages == 0


@pytest.mark.parametrize("change", ["a new one in front", "one of the read ones is gone", "all of it"])
def test_a_list_that_moved_meanwhile_is_read_again(engine, change):
    ada, items = account_in(engine), items_of(1, 300)
    read(engine, ada, Breaking(items, after=4))
    moved = {
        "a new one in front": [item(1000), *items],
        "one of the read ones is gone": items[:100] + items[101:],
        "all of it": items_of(2000, 2300),
    }[change]
    assert read(engine, ada, Breaking(moved)).report.proven
    assert {int(each.track_id) for each in moved} <= open_tracks(engine), "no favourite is missed"
    assert sync_account(engine, ada, FakeSource(moved), OPTIONS).proven
    assert_rebuilt(engine, ada)


def test_removals_are_confirmed_by_pages_that_were_fetched(engine):
    ada, everything = account_in(engine), items_of(1, 300)
    sync_account(engine, ada, FakeSource(everything), OPTIONS)
    read(engine, ada, Breaking(everything[5:], after=4))
    source = Breaking(everything[5:])
    done = read(engine, ada, source)
    assert (done.report.outcome, done.report.removed, done.reused_pages) == (Outcome.SUCCEEDED, 5, 3)
    assert source.asked.count(0) >= 1, "the second read fetches from the start"
    assert_rebuilt(engine, ada)


def test_stored_pages_alone_remove_nothing(engine):
    ada, everything = account_in(engine), items_of(1, 300)
    sync_account(engine, ada, FakeSource(everything), OPTIONS)
    read(engine, ada, Breaking(everything[5:], after=4))
    assert read(engine, ada, Breaking(everything)).report.removed == 0
    assert len(open_tracks(engine)) == 299


def test_an_interrupted_read_keeps_its_pages(engine):
    ada, items = account_in(engine), items_of(1, 300)
    with pytest.raises(KeyboardInterrupt):
        read(engine, ada, Breaking(items, after=4, error=KeyboardInterrupt))
    assert kept_pages(engine) == 4
    assert read(engine, ada, Breaking(items)).reused_pages == 3


def test_a_second_read_checks_every_item_and_restores_bodies(engine):
    ada, items = account_in(engine), items_of(1, 120)
    bare = select(func.count()).select_from(raw_items).where(raw_items.c.raw_block_id.is_(None))
    read(engine, ada, FakeSource(items), RunOptions(keep_bodies=False))
    with write_transaction(engine) as connection:
        assert connection.execute(bare).scalar_one() == 119
        connection.execute(text("UPDATE tracks SET title = 'x' WHERE track_id = 7"))
    done = read(engine, ada, FakeSource(items))
    assert (done.report.outcome, done.rekept, done.refolded) == (Outcome.UNCHANGED, 119, 1)
    with read_transaction(engine) as connection:
        assert connection.execute(bare).scalar_one() == 0
    assert_rebuilt(engine, ada)

"""What a run costs, in counts that are the same on every machine: a regression fails here, whatever the clock says.

A limit is what the run needs today. Who lowers a count lowers its limit; who must raise one says why, in the commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import Engine, event, func, select, text

from etl import clock
from etl.db.engine import read_transaction, write_transaction
from etl.db.migrate import ready_engine
from etl.db.tables import metadata
from etl.load.accounts import ensure_account, find_account
from etl.model.records import Item, RemovalGrace
from etl.sync import RunOptions, RunResult, sync_account
from etl.transform import delta
from tests.conftest import ENGINES, FilledDatabase
from tests.support.lists import FakeSource, item

SIZE = 500
PAGES = 11  # of 50, overlapping by one
TAIL = 2  # the last item, asked for twice
FIRST_ROWS = {
    "accounts": 1, "albums": 51, "artists": 7, "favourites": 500, "genres": 2, "market_set_members": 4, "market_sets": 1,
    "markets": 1, "raw_blocks": 1, "removal_memory": 1, "raw_items": 500, "runs": 1, "schedules": 1, "snapshots": 1, "track_artists": 500, "track_genres": 1000,
    "tracks": 500,
}  # fmt: skip
LIMITS = {
    "sqlite": {"first": 48, "unchanged": 11, "added": 40, "retitled": 42, "removed": 46},
    "postgresql": {"first": 42, "unchanged": 9, "added": 39, "retitled": 40, "removed": 38},
}
"""Statements of a run; BEGIN counts on SQLite, where favsync says it itself; COPY does not count."""
BYTES = {"sqlite": 440, "postgresql": 870}
"""Bytes of the database for each further favourite whose track is new, indexes included."""
REMOVAL_REQUESTS = {"young": 61, "old": 31}
"""Requests of a run that records a removal at once, with a removal grace of 0."""
TABLE_BYTES = """
SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relkind IN ('r', 'i', 't') AND relnamespace IN
('public'::regnamespace, 'pg_toast'::regnamespace)
"""
ORDINARY = RunOptions(concurrency=1)
PATIENT = RunOptions(concurrency=1, grace=RemovalGrace(timedelta(hours=48), timedelta(days=7)))


@dataclass
class Cost:
    """What one run took. ``rows``: how many more each table holds."""

    statements: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    normalised: int = 0
    requests: int = 0


class MeasuredDatabase:
    """A database and a service, and what it costs to sync the one with the other."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = ready_engine(url)
        self.source = FakeSource([item(track_id) for track_id in range(1, SIZE + 1)])
        self._monkeypatch = monkeypatch

    def sync(self, options: RunOptions = ORDINARY) -> tuple[RunResult, Cost]:
        """Sync, and return what it cost."""
        cost = Cost()
        before, asked = self._rows(), self.source.requests
        with counted(self.engine, cost), self._monkeypatch.context() as patch:
            real = delta.normalise

            def normalised(each: Item) -> object:
                cost.normalised += 1
                return real(each)

            patch.setattr(delta, "normalise", normalised)
            with write_transaction(self.engine) as connection:
                ensure_account(connection, "ada", clock.now())
            with read_transaction(self.engine) as connection:
                account = find_account(connection, "ada")
            report = sync_account(self.engine, account, self.source, options)
        after = self._rows()
        cost.rows = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        cost.requests = self.source.requests - asked
        return report, cost

    def bytes(self) -> int:
        """Return the size of all tables with their indexes."""
        is_sqlite = self.engine.dialect.name == "sqlite"
        query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size" if is_sqlite else TABLE_BYTES
        with read_transaction(self.engine) as connection:
            return int(connection.execute(text(query)).scalar_one())

    def _rows(self) -> dict[str, int]:
        with read_transaction(self.engine) as connection:
            return {
                name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for name, table in metadata.tables.items()
            }


@contextmanager
def counted(engine: Engine, cost: Cost) -> Iterator[None]:
    """Count the statements by their first word; what is done for many rows at once is one."""

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        cost.statements[statement.split(None, 1)[0].upper()] += 1
        cost.texts.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", count)


@pytest.fixture
def bench(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MeasuredDatabase]:
    """Return a bench with 500 favourites, on each engine."""
    made = MeasuredDatabase(database_url, monkeypatch)
    yield made
    made.engine.dispose()


@pytest.fixture(params=ENGINES)
def loaded(
    request: pytest.FixtureRequest, filled_database: FilledDatabase[None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[MeasuredDatabase]:
    """Return a bench whose favourites were synced, on each engine."""
    made = MeasuredDatabase(filled_database(request.param, load_all)[0], monkeypatch)
    yield made
    made.engine.dispose()


def load_all(url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        made = MeasuredDatabase(url, patch)
        made.sync()
        made.engine.dispose()


def test_first_load_writes_each_row_once_in_few_statements(bench):
    report, cost = bench.sync()
    assert report.added == SIZE
    assert cost.rows == FIRST_ROWS
    assert cost.normalised == SIZE
    assert cost.requests == PAGES + TAIL + 1  # and once whose token it is
    assert cost.statements.total() <= LIMITS[bench.engine.dialect.name]["first"], cost.statements


def test_the_number_of_statements_does_not_grow_with_the_list(bench):
    _, small = bench.sync()
    bench.source.items += [item(track_id) for track_id in range(SIZE + 1, 4 * SIZE + 1)]
    _, large = bench.sync()
    assert large.rows["favourites"] == 3 * SIZE
    assert large.statements.total() <= small.statements.total() + 6  # it looks up what is there, and what is young


def test_an_unchanged_list_costs_one_row_and_no_decoding(loaded):
    report, cost = loaded.sync()
    assert report.outcome == "unchanged"
    assert cost.rows == {"runs": 1}
    assert cost.normalised == 0
    assert cost.requests == PAGES + TAIL
    assert cost.statements.total() <= LIMITS[loaded.engine.dialect.name]["unchanged"], cost.statements


def test_one_in_a_hundred_added_costs_what_was_added(loaded):
    loaded.source.items[:0] = [item(track_id) for track_id in range(SIZE + 1, SIZE + 6)]
    report, cost = loaded.sync()
    assert report.added == 5
    tables = ("favourites", "raw_items", "tracks", "track_artists", "runs", "snapshots")
    assert {name: cost.rows[name] for name in tables} == dict.fromkeys(tables, 5) | {"runs": 1, "snapshots": 1}
    assert cost.normalised == 5
    assert cost.requests == PAGES + TAIL + 1
    assert not [
        each for each in cost.texts if "raw_items WHERE raw_item_id" in each
    ]  # nothing of the list before is read
    assert sum("agg(track_id)" in each or "group_array(track_id)" in each for each in cost.texts) == 1
    assert cost.statements.total() <= LIMITS[loaded.engine.dialect.name]["added"], cost.statements


def test_one_in_a_hundred_retitled_costs_a_version_each(loaded):
    for place in range(0, SIZE, 100):
        loaded.source.items[place] = item(place + 1, track_title="Another title")
    report, cost = loaded.sync()
    assert report.changed == 5
    assert cost.rows == {"raw_blocks": 1, "raw_items": 5, "runs": 1, "snapshots": 1, "superseded_versions": 5}
    assert cost.normalised == 5
    assert cost.statements.total() <= LIMITS[loaded.engine.dialect.name]["retitled"], cost.statements


def test_a_favourite_takes_few_bytes_of_the_database(loaded):
    before = loaded.bytes()
    loaded.source.items += [item(track_id) for track_id in range(SIZE + 1, 5 * SIZE + 1)]
    loaded.sync()
    taken = (loaded.bytes() - before) / (4 * SIZE)
    assert 0 < taken <= BYTES[loaded.engine.dialect.name]


@pytest.mark.parametrize(("age", "days"), [("young", 0), ("old", 30)])
def test_a_removal_is_recorded_with_few_requests(bench, age, days):
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False) as time:
        bench.sync()
        time.shift(timedelta(days=days, hours=1))
        del bench.source.items[SIZE // 2]
        report, cost = bench.sync()
    assert report.removed == 1
    assert cost.requests <= REMOVAL_REQUESTS[age]
    assert cost.statements.total() <= LIMITS[bench.engine.dialect.name]["removed"], cost.statements


def test_a_missing_favourite_costs_as_few_requests(loaded):
    del loaded.source.items[SIZE // 2]
    report, cost = loaded.sync(PATIENT)
    assert (report.removed, report.missing) == (0, 1)
    assert cost.requests <= REMOVAL_REQUESTS["young"]

"""The same laws over whole runs: threads, judgement, history and database together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.db import tables
from etl.db.engine import write_transaction
from etl.db.types import instant_text
from etl.sync import RunResult
from tests.support.database import Database, open_database
from tests.support.lists import START, item
from tests.support.moving import Change, Changes, MovingList

CHANGES = st.lists(
    st.builds(Change, st.sampled_from(["add", "again", "remove", "move"]), st.integers(0, 60)), max_size=3
)
QUIET_ROUNDS = st.lists(CHANGES, min_size=1, max_size=4)
BUSY = st.lists(CHANGES, max_size=16)
EXAMPLES = settings.default.max_examples // 5  # a run costs more than what is pure
IN_ONE_DATABASE = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
NewDatabase = Callable[..., str]


@contextmanager
def emptied(database: Database) -> Iterator[Database]:
    """Empty the database of what an earlier example left."""
    with write_transaction(database.engine) as connection:
        for table in reversed(tables.metadata.sorted_tables):
            if table.name != "markets":
                connection.execute(table.delete())
    yield database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL does the same: see below
@IN_ONE_DATABASE
@given(
    rounds=st.lists(st.tuples(CHANGES, BUSY), min_size=1, max_size=3),
    length=st.integers(0, 40),
    cap=st.sampled_from([2, 5, 50]),
)
def test_moving_list_loses_nothing_and_a_quiet_run_is_exact(
    database: Database, rounds: list[tuple[Changes, list[Changes]]], length: int, cap: int
) -> None:
    with emptied(database):
        moving = MovingList(list(range(1, length + 1)), cap=cap, item=item)
        database.sync(moving, concurrency=1)
        for between, during in rounds:
            moving.change(between)
            moving.before_requests = [*[[]] * moving.requests, *during]
            before = database.open_tracks()
            database.sync(moving, concurrency=1)
            gone = before - database.open_tracks()
            assert [track_id for track_id in gone if moving.stayed(track_id)] == []
            assert database.equals_replay()
        moving.before_requests = []
        report = database.sync(moving, concurrency=1)
        missing = database.open_tracks() - set(moving.ids)
        assert len(missing) == report.held
        assert set(moving.ids) <= database.open_tracks()


@IN_ONE_DATABASE
@given(rounds=QUIET_ROUNDS, length=st.integers(0, 40))
def test_a_second_identical_run_writes_one_row(database: Database, rounds: list[Changes], length: int) -> None:
    with emptied(database):
        moving = MovingList(list(range(1, length + 1)), item=item)
        for changes in rounds:
            moving.change(changes)
            database.sync(moving)
        before, history = database.sizes(), database.history()
        report = database.sync(moving)
        if report.outcome == "unchanged":
            assert database.sizes() == {**before, "runs": before["runs"] + 1}
        assert database.history() == history


@IN_ONE_DATABASE
@given(rounds=QUIET_ROUNDS, length=st.integers(1, 40), broken=st.integers(1, 3))
def test_a_partial_run_adds_and_never_removes(
    database: Database, rounds: list[Changes], length: int, broken: int
) -> None:
    class EndsTooEarly(MovingList):
        def favourite_tracks(self, offset: int, limit: int):
            page = super().favourite_tracks(offset, limit)
            return page if offset < broken * 4 else type(page)(offset, limit, ())

    with emptied(database):
        moving = MovingList(list(range(1, length + 1)), item=item)
        database.sync(moving)
        for changes in rounds:
            moving.change(changes)
            short = EndsTooEarly(moving.ids, cap=5, item=item)
            before = database.open_tracks()
            report = database.sync(short)
            if report.outcome == "partial":
                assert before <= database.open_tracks()
                assert report.removed == 0
                assert report.exit_code == 6
            else:
                assert set(moving.ids) <= database.open_tracks()


def test_the_engines_end_equal(new_database: NewDatabase) -> None:
    with ExitStack() as stack:
        databases = [stack.enter_context(open_database(new_database(engine))) for engine in ("sqlite", "postgresql")]

        @settings(max_examples=EXAMPLES)
        @given(rounds=st.lists(st.tuples(CHANGES, BUSY), min_size=1, max_size=3), length=st.integers(0, 30))
        def law(rounds: list[tuple[Changes, list[Changes]]], length: int) -> None:
            results = [_results(database, rounds, length) for database in databases]
            assert results[0] == results[1]

        law()


def _results(database: Database, rounds: list[tuple[Changes, list[Changes]]], length: int) -> object:
    """Carry out the rounds at the same instants, and return history and reports without the numbers of runs."""
    with emptied(database):
        moving = MovingList(list(range(1, length + 1)), cap=5, item=item)
        reports: list[RunResult] = []
        for number, (between, during) in enumerate([([], []), *rounds]):
            moving.change(between)
            moving.before_requests = [*[[]] * moving.requests, *during]
            with time_machine.travel(START + timedelta(hours=number), tick=False):
                reports.append(database.sync(moving, concurrency=1))
        instants = database.rows(
            "SELECT track_id, valid_from, added_after, valid_to, removed_after, last_seen_at FROM favourites"
        )
        facts = database.rows("SELECT track_id, title, duration_seconds FROM tracks ORDER BY track_id")
        as_text = sorted(tuple(_text(value) for value in row) for row in instants)
        return as_text, facts, [(r.outcome, r.added, r.removed, r.held, r.favourites, r.requests) for r in reports]


def _text(value: object) -> str:
    if value is None or isinstance(value, int | str):
        return str(value)
    return instant_text(value)  # type: ignore[arg-type]

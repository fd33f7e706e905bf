"""What a run reads before it writes, and what it notices if the account changed meanwhile."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from etl.db.engine import read_transaction, write_transaction
from etl.db.tables import runs
from etl.errors import DatabaseError
from etl.load.baseline import FavouriteQueries, instants_of, read_baseline, read_open_favourites
from etl.model.records import Baseline, RemovalThreshold, Review
from etl.replay.review import review_run
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def baseline_of(database: Database) -> Baseline | None:
    """Return the newest snapshot of the account."""
    with read_transaction(database.engine) as connection:
        return read_baseline(connection, database.account().account_id)


@pytest.mark.parametrize("later", [[1, 2], [2, 1], [1, 2, 3]])
def test_a_run_after_the_favourites_were_read_is_an_error(later: list[int], database_url: str) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(1), item(2)]))
        account_id = database.account().account_id
        lookup = FavouriteQueries(database.engine, account_id, baseline_of(database))
        assert lookup.open_tracks() == {1, 2}
        with read_transaction(database.engine) as connection:
            assert read_open_favourites(connection, account_id, [1, 2], lookup).open == {1, 2}
        database.sync(FakeSource([item(n) for n in later]))  # as another process may, once the lock is lost
        with read_transaction(database.engine) as connection, pytest.raises(DatabaseError, match="another run changed"):
            read_open_favourites(connection, account_id, [1, 2], lookup)


def test_a_removal_approved_after_they_were_read_is_an_error(database_url: str) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(n) for n in range(1, 20)]))
        held = database.sync(FakeSource())
        account_id = database.account().account_id
        lookup = FavouriteQueries(database.engine, account_id, baseline_of(database))
        assert review_run(database.engine, held.run_id or 0, Review.APPROVED, RemovalThreshold()) == 19
        with read_transaction(database.engine) as connection, pytest.raises(DatabaseError, match="another run changed"):
            read_open_favourites(connection, account_id, [], lookup)


def test_all_favourites_are_missing_from_an_empty_list(database_url: str) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(2), item(1)]))
        lookup = FavouriteQueries(database.engine, database.account().account_id, baseline_of(database))
        some = (1, 3)
        assert [lookup.missing(present) for present in ((), some, some, (1, 2), ())] == [
            {1, 2},
            {2},
            {2},
            set(),
            {1, 2},
        ]


def test_items_of_the_baseline_are_read_once(database_url: str) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(2), item(1)]))
        lookup = FavouriteQueries(database.engine, database.account().account_id, baseline_of(database))
        assert [each.track_id for each in lookup.items()] == [2, 1]
        assert lookup.items() is lookup.items()


@pytest.mark.parametrize("seed", range(8))
def test_starts_of_the_newest_snapshots_are_those_of_all(seed: int, database_url: str) -> None:
    chance = random.Random(seed)
    with open_database(database_url) as database:
        database.sync(FakeSource([item(1)]))
        account_id = database.account().account_id
        with write_transaction(database.engine) as connection:
            connection.execute(runs.update().values(retracted_at=DAY))
            connection.execute(runs.insert(), [past_run(chance, account_id) for _ in range(30)])
            instants = connection.execute(instants_of(account_id)).all()
            found = read_open_favourites(connection, account_id, [1])
        newest = max(instants, key=lambda each: each.observed_at)
        assert (found.observed_at, found.seen_at) == (newest.observed_at, newest.started_at)
        assert found.absence_at == max((each.started_at for each in instants if each.proofs), default=None)


def past_run(chance: random.Random, account_id: int) -> dict[str, Any]:
    """Return a run of one of a few hours, that proves absence or not, and may be rejected or retracted."""
    started_at, is_proof = DAY + timedelta(hours=chance.randrange(12)), chance.random() < 0.4
    return {
        "account_id": account_id,
        "trigger": "schedule",
        "outcome": chance.choice(["succeeded", "held", "failed", "partial"]),
        "proven": is_proof,
        "proves_absence": is_proof,
        "decision": chance.choice([None, None, "approved", "rejected"]),
        "snapshot_id": chance.choice([1, 1, 1, None]),
        "started_at": started_at,
        "observed_at": started_at + timedelta(hours=chance.randrange(4)),
        "retracted_at": chance.choice([None, None, None, DAY]),
    }


def test_runs_before_the_newest_proof_are_not_read(database_url: str) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(1)]))
        account_id = database.account().account_id
        texts: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *given: texts.append(given[2]))
        with read_transaction(database.engine) as connection:
            read_open_favourites(connection, account_id, [1])
    (starts,) = (each for each in texts if "max(" in each)
    assert "runs.observed_at >= coalesce(" in " ".join(starts.split())

"""What a run reads before it writes, and what it notices if the account changed meanwhile."""

from __future__ import annotations

import pytest

from etl.db.engine import read_transaction, write_transaction
from etl.db.tables import favourites
from etl.errors import DatabaseError
from etl.load.baseline import FavouriteQueries, read_baseline, read_open_favourites
from etl.model.records import Baseline
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item


def baseline_of(database: Database) -> Baseline | None:
    """Return the newest snapshot of the account."""
    with read_transaction(database.engine) as connection:
        return read_baseline(connection, database.account().account_id)


def test_favourites_changed_after_they_were_read_are_an_error(database_url: str) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(1), item(2)]))
        account_id = database.account().account_id
        lookup = FavouriteQueries(database.engine, account_id, baseline_of(database))
        assert lookup.open_tracks() == {1, 2}
        with read_transaction(database.engine) as connection:
            assert read_open_favourites(connection, account_id, [1, 2], lookup).open == {1, 2}
        with write_transaction(database.engine) as connection:  # as another process may, once the lock is lost
            connection.execute(favourites.delete().where(favourites.c.track_id == 2))
        with read_transaction(database.engine) as connection, pytest.raises(DatabaseError, match="another run changed"):
            read_open_favourites(connection, account_id, [1, 2], lookup)


def test_as_many_favourites_of_another_list_are_an_error(database_url: str) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(1), item(2)]))
        account_id = database.account().account_id
        lookup = FavouriteQueries(database.engine, account_id, baseline_of(database))
        assert lookup.open_tracks() == {1, 2}
        database.sync(FakeSource([item(2), item(1)]))
        with read_transaction(database.engine) as connection, pytest.raises(DatabaseError, match="another run changed"):
            read_open_favourites(connection, account_id, [1, 2], lookup)


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

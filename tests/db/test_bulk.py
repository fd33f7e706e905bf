"""What each engine is asked to hold to while it is written: isolation, indexes that queries name, values that must fit."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from etl.db import bulk
from etl.db.engine import open_engine, write_transaction
from etl.db.migrate import ready_engine
from etl.db.schema_check import schema_differences
from etl.db.tables import raw_items, runs
from etl.errors import DatabaseError
from etl.load import baseline
from etl.load.baseline import read_open_favourites
from etl.model.records import FavouriteInterval
from tests.conftest import NewDatabase
from tests.support.database import open_database
from tests.support.lists import FakeSource, item


@pytest.fixture
def engine(database_url: str) -> Engine:
    return ready_engine(database_url)


def test_an_index_that_is_gone_is_named_with_what_makes_it_again(engine: Engine) -> None:
    assert schema_differences(engine) == []
    with write_transaction(engine) as connection:
        connection.execute(text("DROP INDEX ix_favourites_missed"))
    (fault,) = schema_differences(engine)
    words, statement = fault.split(" with ")
    assert words == "index ix_favourites_missed is missing: make it again"
    with write_transaction(engine) as connection:
        connection.execute(text(statement))
    assert schema_differences(engine) == []


@pytest.mark.postgresql
def test_transaction_sees_rows_that_it_waited_for(
    new_database: NewDatabase,
) -> None:
    url = new_database("postgresql")
    engine = ready_engine(url)
    with write_transaction(engine) as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_isolation TO 'repeatable read'"))
    engine.dispose()
    with write_transaction(open_engine(url)) as connection:
        assert connection.execute(text("SHOW default_transaction_isolation")).scalar_one() == "repeatable read"
        assert connection.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"


@pytest.mark.postgresql
def test_number_too_large_for_its_column_is_refused(new_database: NewDatabase) -> None:
    columns = ("raw_item_id", "digest", "is_readable", "position")
    rows = [(n, b"%d" % n, True, 2**31) for n in range(bulk.COPY_FROM_ROWS)]
    with write_transaction(ready_engine(new_database("postgresql"))) as connection:
        with pytest.raises(ValueError, match=r"raw_items\.position holds 32 bits"):
            bulk.insert(connection, raw_items, columns, rows)
        assert connection.execute(text("SELECT count(*) FROM raw_items")).scalar_one() == 0


@pytest.mark.postgresql
def test_numbers_with_a_fraction_are_written_as_they_are(new_database: NewDatabase) -> None:
    with open_database(new_database("postgresql")) as database, database.engine.begin() as connection:
        account_id = database.account().account_id
        now = connection.execute(text("SELECT now()")).scalar_one()
        rows = [(account_id, "manual", now, 0.25) for _ in range(bulk.COPY_FROM_ROWS)]
        bulk.insert(connection, runs, ("account_id", "trigger", "started_at", "brake_ratio"), rows)
        assert connection.execute(text("SELECT DISTINCT brake_ratio FROM runs")).scalar_one() == 0.25


def test_concurrent_write_after_a_lost_lock_is_an_error(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: list[FavouriteInterval] = []
    with open_database(database_url) as database:
        database.sync(FakeSource([item(1), item(2)]))
        monkeypatch.setattr(baseline, "_open_among", lambda *_: nothing)  # as if another run had just closed it
        with (
            database.engine.connect() as connection,
            pytest.raises(DatabaseError, match="another run changed the favourites"),
        ):
            read_open_favourites(connection, database.account().account_id, [1])

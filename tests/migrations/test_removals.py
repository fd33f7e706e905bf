"""Revision 0006: a history of revision 0005 keeps its intervals and equals a replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from etl.cli import main
from etl.db import migrate
from etl.db.engine import read_transaction, write_transaction
from etl.db.tables import metadata
from etl.extract.snapshot import RunOptions
from etl.load.baseline import read_memory
from etl.model.records import RemovalGrace, RemovalThreshold, Review
from etl.replay.favourites import diff_favourites
from etl.replay.review import review_run
from etl.sync import sync_account
from tests.conftest import ENGINES, FilledDatabase
from tests.deploy.history import faults
from tests.migrations.older import create_older, insert_history_0005
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item
from tests.support.past import assert_rebuilt, at

OLD_COLUMNS = (
    "account_id", "favourite_id", "track_id", "valid_from", "valid_to", "added_after", "removed_after", "added_run_id",
    "removed_run_id", "last_seen_at",
)  # fmt: skip


def intervals(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT {', '.join(OLD_COLUMNS)} FROM favourites ORDER BY account_id, favourite_id")


def history_0005(url: str) -> None:
    """Make a database of revision 0005: held, partial, imported and retracted runs, favourites that are absent."""
    create_older(url, "0005")
    with open_database(url) as database, write_transaction(database.engine) as connection:
        insert_history_0005(connection)


@pytest.fixture(params=ENGINES)
def older_url(request: pytest.FixtureRequest, filled_database: FilledDatabase[None]) -> str:
    return filled_database(request.param, history_0005, migrated=False)[0]


@pytest.fixture
def older(older_url: str) -> Iterator[Database]:
    with open_database(older_url) as database:
        yield database


def test_intervals_stay_and_closed_ones_have_an_unknown_reason(older: Database, older_url: str) -> None:
    before = intervals(older)
    columns = "outcome, decision, held, retracted_at, run_id, proven, proves_absence"
    runs = older.rows(f"SELECT {columns} FROM runs ORDER BY run_id")
    expected = [
        ("partial", *row[1:]) if row[0] in ("succeeded", "unchanged") and row[-2] and not row[-1] else row
        for row in runs
    ]
    assert expected != runs, "an entry without an id blocked the removals of a run"
    assert {row[0] for row in runs} >= {"held", "partial", "unchanged", "succeeded"}
    assert {row[1] for row in runs} >= {"approved", "rejected", None}
    assert any(row[3] for row in runs)
    assert any(row[-1] and row[4] is None for row in before), "an open favourite that the newest list does not have"
    migrate.upgrade(older_url)
    assert intervals(older) == before
    assert older.rows(f"SELECT {columns} FROM runs ORDER BY run_id") == expected
    assert older.rows("SELECT DISTINCT valid_to IS NULL, missing_since, removal_reason FROM favourites ORDER BY 1") == [
        (False, None, "unknown"),
        (True, None, None),
    ]
    accounts = [older.account("ada"), older.account("ben")]
    assert_rebuilt(older.engine, accounts)
    with read_transaction(older.engine) as connection:
        for account in accounts:
            _, replayed = diff_favourites(connection, account.account_id, RemovalThreshold())
            assert read_memory(connection, account.account_id) == replayed.state.memory
    assert faults(older_url) == []
    assert main(["rebuild", "--check", "--database-url", older_url]) == 0
    assert main(["db", "check", "--database-url", older_url]) == 0


def test_an_upgraded_history_is_reviewed_and_continued(older: Database, older_url: str) -> None:
    migrate.upgrade(older_url)
    accounts = [older.account("ada"), older.account("ben")]
    assert review_run(older.engine, 16, Review.APPROVED, RemovalThreshold()) == 18
    assert older.open_tracks("ada") == {3, 4}
    assert_rebuilt(older.engine, accounts)
    grace = RunOptions(grace=RemovalGrace(*[at(2) - at(0)] * 2))
    with time_machine.travel(at(20), tick=False):
        listed = FakeSource([item(3), item(5)], user_id=accounts[0].boomplay_user_id or "")
        result = sync_account(older.engine, accounts[0], listed, grace)
    assert (result.added, result.missing, result.removed) == (1, 1, 0)
    assert_rebuilt(older.engine, accounts)


def test_an_interrupted_upgrade_leaves_the_older_database(
    older: Database, older_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = intervals(older)
    with monkeypatch.context() as patch:
        patch.setattr("etl.reporting.views.create_views", lambda *_args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            migrate.upgrade(older_url)
    assert migrate.current(older.engine) == "0005"
    with pytest.raises(DBAPIError), older.engine.connect() as connection:
        connection.execute(select(metadata.tables["removal_memory"]))
    assert intervals(older) == before
    migrate.upgrade(older_url)
    assert intervals(older) == before

"""The database itself refuses a wrong history, whoever writes it: each with raw SQL, on both engines."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.conftest import ENGINES, Postgres
from tests.support.database import Database, open_database

T = [f"2026-01-0{day}T12:00:00.000000Z" for day in range(1, 9)]

# Account 1 has track 10 from T[1] to T[2] (run 1, proven) and again since T[4]; account 2 has run 3, proven.
WORLD = [
    "INSERT INTO accounts (account_id, name, created_at) VALUES (1, 'ada', :t0), (2, 'ben', :t0)",
    "INSERT INTO tracks (track_id, first_seen_at) VALUES (10, :t0), (11, :t0)",
    (
        "INSERT INTO runs (run_id, account_id, trigger, outcome, proven, started_at) VALUES "
        "(1, 1, 'manual', 'succeeded', true, :t0), (2, 1, 'manual', 'partial', false, :t1), (3, 2, 'manual', 'succeeded', true, :t1)"
    ),
    (
        "INSERT INTO favourites (account_id, favourite_id, track_id, valid_from, valid_to, removed_after, added_run_id, "
        "removed_run_id) VALUES (1, 1, 10, :t1, :t2, :t1, 1, 1), (1, 2, 10, :t4, NULL, NULL, 1, NULL)"
    ),
]


@pytest.fixture(scope="module", params=ENGINES)
def database(
    request: pytest.FixtureRequest,
    postgres: Postgres,
    sqlite_template: Callable[[], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Database]:
    """One database an engine for the whole module: what a test writes is undone at its end."""
    if request.param == "postgresql":
        url = postgres.create(migrated=True)
    else:
        url = f"sqlite:///{shutil.copy(sqlite_template(), tmp_path_factory.mktemp('refusals') / 'favsync.db')}"
    with open_database(url) as opened:
        with opened.engine.begin() as connection:
            for statement in WORLD:
                execute(connection, statement)
        yield opened
    if request.param == "postgresql":
        postgres.drop(url)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.engine.connect() as connection:
        yield connection
        connection.rollback()


def execute(connection: Connection, statement: str) -> None:
    for n, instant in enumerate(T):
        statement = statement.replace(f":t{n}", f"'{instant}'")
    connection.exec_driver_sql(statement)


def closed(track: int, start: str, end: str, run: str, number: int = 3, after: str = "NULL", account: int = 1) -> str:
    """Return an INSERT of an interval that ends."""
    return (
        "INSERT INTO favourites (account_id, favourite_id, track_id, valid_from, valid_to, removed_after, added_run_id, "
        f"removed_run_id) VALUES ({account}, {number}, {track}, {start}, {end}, {after}, {1 if account == 1 else 3}, {run})"
    )


def opened(track: int, start: str, number: int = 3, added_run: str = "1", added_after: str = "NULL") -> str:
    """Return an INSERT of an interval that does not end."""
    return (
        "INSERT INTO favourites (account_id, favourite_id, track_id, valid_from, added_after, added_run_id) "
        f"VALUES (1, {number}, {track}, {start}, {added_after}, {added_run})"
    )


RIGHT = {
    "between two others": closed(10, ":t2", ":t3", "1"),
    "up to the next": closed(10, ":t2", ":t4", "1"),
    "of another track": opened(11, ":t1"),
    "closing the open one": "UPDATE favourites SET valid_to = :t6, removed_run_id = 1, removed_after = :t5 "
    "WHERE favourite_id = 2",
    "of another account": closed(10, ":t1", ":t3", "3", account=2),
    "a run that nothing cites, un-proven": "UPDATE runs SET proven = false WHERE run_id = 3",
}

WRONG = {
    "a second open interval": opened(10, ":t6"),
    "a second open interval, before": opened(10, ":t3"),
    "the same start twice": closed(10, ":t1", ":t2", "1"),
    "an overlap at the start": closed(10, ":t0", ":t2", "1"),
    "two that overlap each other, by one statement": "INSERT INTO favourites (account_id, favourite_id, track_id, valid_from, "
    "valid_to, added_run_id, removed_run_id) VALUES (1, 3, 11, :t1, :t4, 1, 1), (1, 4, 11, :t3, :t5, 1, 1)",
    "an overlap within": "INSERT INTO favourites (account_id, favourite_id, track_id, valid_from, valid_to, added_run_id, "
    "removed_run_id) VALUES (1, 3, 10, '2026-01-02T18:00:00.000000Z', '2026-01-02T20:00:00.000000Z', 1, 1)",
    "an overlap around": closed(10, ":t0", ":t3", "1"),
    "an overlap with the open one": closed(10, ":t5", ":t6", "1"),
    "an overlap by a longer end": "UPDATE favourites SET valid_to = :t5 WHERE favourite_id = 1",
    "an overlap by an earlier start": "UPDATE favourites SET valid_from = '2026-01-02T18:00:00.000000Z' WHERE favourite_id = 2",
    "a reopened past": "UPDATE favourites SET valid_to = NULL, removed_run_id = NULL, removed_after = NULL "
    "WHERE favourite_id = 1",
    "an end that cites no run": closed(11, ":t1", ":t2", "NULL"),
    "an end that cites an unproven run": closed(11, ":t1", ":t2", "2"),
    "an end that comes to cite an unproven run": "UPDATE favourites SET removed_run_id = 2 WHERE favourite_id = 1",
    "an end that cites another account's run": closed(11, ":t1", ":t2", "3"),
    "an end that cites a run that is not there": closed(11, ":t1", ":t2", "99"),
    "a run cited without an end": "INSERT INTO favourites (account_id, favourite_id, track_id, valid_from, added_run_id, "
    "removed_run_id) VALUES (1, 3, 11, :t1, 1, 1)",
    "an end before the start": closed(11, ":t2", ":t1", "1"),
    "an end at the start": closed(11, ":t2", ":t2", "1"),
    "a removal bound at the end": closed(11, ":t1", ":t2", "1", after=":t2"),
    "a removal bound without an end": "UPDATE favourites SET removed_after = :t5 WHERE favourite_id = 2",
    "an addition bound at the start": opened(11, ":t1", added_after=":t1"),
    "an addition by another account's run": opened(11, ":t1", added_run="3"),
    "an addition by no run": opened(11, ":t1", added_run="NULL"),
    "a track that is not there": opened(99, ":t1"),
    "the same number twice": opened(11, ":t1", number=2),
    "a track removed under its favourites": "DELETE FROM tracks WHERE track_id = 10",
    "a run removed under its favourites": "DELETE FROM runs WHERE run_id = 1",
    "an account removed under its favourites": "DELETE FROM accounts WHERE account_id = 1",
    "a cited run un-proven": "UPDATE runs SET proven = false WHERE run_id = 1",
    "a cited run given to another account": "UPDATE runs SET account_id = 2 WHERE run_id = 1",
    "absence without proof": "UPDATE runs SET proves_absence = true WHERE run_id = 2",
    "an unknown outcome": "UPDATE runs SET outcome = 'fine' WHERE run_id = 1",
    "an unknown trigger": "UPDATE runs SET trigger = 'cron' WHERE run_id = 1",
    "an unknown decision": "UPDATE runs SET decision = 'maybe' WHERE run_id = 1",
    "two accounts of one name": "INSERT INTO accounts (name, created_at) VALUES ('ada', :t0)",
    "a superseded version without an end": "INSERT INTO superseded_versions (track_id, valid_from, facts, facts_digest) "
    "VALUES (10, :t1, '{}', '')",
    "a version that ends before it starts": "INSERT INTO superseded_versions (track_id, valid_from, valid_to, facts, facts_digest) "
    "VALUES (10, :t2, :t1, '{}', '')",
}


def everything(connection: Connection) -> list[object]:
    tables = ("accounts", "runs", "tracks", "track_versions", "favourites")
    return [sorted(map(str, connection.exec_driver_sql(f"SELECT * FROM {name}"))) for name in tables]


@pytest.mark.parametrize("statement", RIGHT.values(), ids=RIGHT)
def test_a_right_history_is_accepted(connection: Connection, statement: str) -> None:
    before = everything(connection)
    execute(connection, statement)
    assert everything(connection) != before


@pytest.mark.parametrize("statement", WRONG.values(), ids=WRONG)
def test_a_wrong_history_is_refused(connection: Connection, statement: str) -> None:
    before = everything(connection)
    connection.commit()
    with pytest.raises(IntegrityError):
        execute(connection, statement)
    connection.rollback()
    assert everything(connection) == before

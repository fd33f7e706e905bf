"""Every state of the version table, on both engines: what each command says, and that nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from etl.cli import main
from etl.db import migrate
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.schema_check import schema_differences
from etl.errors import DatabaseError, SchemaOutdated
from etl.extract.snapshot import RunOptions
from etl.sync import plan_account
from tests.conftest import ENGINES, NewDatabase
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item

FOREIGN = ["CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('8a3f09c2')"]
TWO_ROWS = f"the table favsync_version holds 0005, {migrate.newest()} instead of one revision"
RESTORE = (
    "restore the backup from before the upgrade, or leave one row with the true revision and run `favsync db check`"
)
FAULTS: dict[str, tuple[list[str], str, str]] = {
    "two rows": (["INSERT INTO favsync_version VALUES ('0005')"], TWO_ROWS, RESTORE),
    "empty": (["DELETE FROM favsync_version"], "the table favsync_version holds no revision instead of one", RESTORE),
    "missing": (
        ["DROP TABLE favsync_version"],
        "the table favsync_version is missing from ",
        "restore a backup that has the table",
    ),
    "newer": (
        ["UPDATE favsync_version SET version_num = '9999'"],
        f" is at schema 9999, newer than this favsync knows ({migrate.newest()})",
        "install the newer favsync",
    ),
    "unknown": (
        ["UPDATE favsync_version SET version_num = 'a1b2'"],
        " is at schema 'a1b2', which is no revision of favsync",
        "restore a backup, or correct the table favsync_version",
    ),
    "two rows beside another program's": (
        [*FOREIGN, "INSERT INTO favsync_version VALUES ('0005')"],
        TWO_ROWS,
        RESTORE,
    ),
    "another program's alone, with favsync's tables": (
        ["DROP TABLE favsync_version", *FOREIGN],
        " is at schema '8a3f09c2', which is no revision of favsync",
        "restore a backup, or correct the table favsync_version",
    ),
}


def change(url: str, *statements: str) -> None:
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def rows(url: str, table: str) -> list[Any]:
    engine = open_engine(url)
    with read_transaction(engine) as connection:
        found = connection.execute(text(f"SELECT * FROM {table}")).all()
    engine.dispose()
    return [tuple(row) for row in found]


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("state", FAULTS)
def test_a_wrong_version_table_is_named_and_kept(
    database_url: str, state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statements, sentence, remedy = FAULTS[state]
    change(database_url, *statements)
    engine = open_engine(database_url)
    checks: list[Callable[[], object]] = [
        lambda: migrate.require_newest(engine),
        lambda: migrate.ready_engine(database_url),
        lambda: migrate.upgrade(database_url),
    ]
    for check in checks:
        with pytest.raises(SchemaOutdated) as caught:
            check()
        assert sentence in str(caught.value)
        assert caught.value.remedy == remedy
    (difference,) = schema_differences(engine)
    assert sentence in difference
    assert difference.endswith(remedy)
    monkeypatch.setenv("BOOMPLAY_API_URL", "http://127.0.0.1:9")  # nothing answers there
    monkeypatch.setenv("BOOMPLAY_APP_ID", "app")
    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", "token")
    for words in (["db", "check"], ["doctor"], ["sync"]):
        assert main([*words, "--database-url", database_url]) == 5
        printed = capsys.readouterr()
        assert sentence in printed.out + printed.err
        assert remedy in printed.out + printed.err
    assert rows(database_url, "runs") == []
    engine.dispose()


def test_an_older_schema_is_named_with_its_remedy(database_url: str) -> None:
    change(database_url, "UPDATE favsync_version SET version_num = '0005'")
    engine = open_engine(database_url)
    with pytest.raises(SchemaOutdated, match=f"is at schema 0005, this favsync writes {migrate.newest()}") as caught:
        migrate.require_newest(engine)
    assert caught.value.remedy == "back it up, then run `favsync db upgrade`"
    assert schema_differences(engine) == [f"schema: {caught.value}: {caught.value.remedy}"]
    engine.dispose()


def test_a_database_without_a_schema_is_named(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url, create=True)
    assert migrate.current(engine) is None
    with pytest.raises(SchemaOutdated, match="holds no favsync schema") as caught:
        migrate.require_newest(engine)
    assert caught.value.remedy == "run `favsync db upgrade`"
    assert "holds no favsync schema" in schema_differences(engine)[0]
    engine.dispose()


@pytest.mark.parametrize("engine_name", ENGINES)
@pytest.mark.parametrize("migrated", [True, False])
def test_another_programs_version_table_stays(engine_name: str, migrated: bool, new_database: NewDatabase) -> None:
    url = new_database(engine_name, migrated=migrated)
    open_engine(url, create=True).dispose()
    change(url, *FOREIGN)
    migrate.upgrade(url)
    assert rows(url, "alembic_version") == [("8a3f09c2",)]
    assert rows(url, "favsync_version") == [(migrate.newest(),)]
    migrate.ready_engine(url).dispose()


def test_an_old_version_table_gets_its_new_name(database_url: str) -> None:
    change(database_url, "ALTER TABLE favsync_version RENAME TO alembic_version")
    migrate.upgrade(database_url)
    assert rows(database_url, "favsync_version") == [(migrate.newest(),)]
    with pytest.raises(DatabaseError):
        rows(database_url, "alembic_version")


@pytest.mark.parametrize("listed", [[1, 2], [1, 3]], ids=["unchanged", "changed"])
def test_a_run_stops_when_the_schema_becomes_newer(database_url: str, listed: list[int]) -> None:
    with open_database(database_url) as database:
        database.sync(FakeSource([item(1), item(2)]))
        before = content(database)

        def upgrade_meanwhile(number: int) -> None:
            if number == 1:
                change(database_url, "UPDATE favsync_version SET version_num = '9999'")

        result = database.sync(FakeSource([item(each) for each in listed], before=upgrade_meanwhile))
        assert (result.exit_code, result.remedy) == (5, "install the newer favsync")
        assert "newer than this favsync knows" in (result.reason or "")
        assert content(database) == before
        assert database.rows("SELECT outcome FROM runs ORDER BY run_id") == [("succeeded",), (None,)]


def test_no_run_starts_in_a_newer_schema(database_url: str) -> None:
    with open_database(database_url) as database:
        account = database.account()
        change(database_url, "UPDATE favsync_version SET version_num = '9999'")
        with pytest.raises(SchemaOutdated, match="newer than this favsync knows"):
            database.sync(FakeSource([item(1)]))
        with pytest.raises(SchemaOutdated, match="newer than this favsync knows"):
            plan_account(database.engine, account, FakeSource([item(1)]), RunOptions())
        assert database.sizes()["runs"] == 0


def content(database: Database) -> list[Any]:
    return [database.history(), {name: size for name, size in database.sizes().items() if name != "runs"}]


@pytest.mark.postgresql
def test_upgrades_and_writing_runs_wait_for_each_other(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "1ms")
    url = new_database("postgresql")
    engine = migrate.ready_engine(url)
    with write_transaction(engine) as run:
        migrate.require_version(run)
        with pytest.raises(DatabaseError, match="lock timeout"):
            migrate.upgrade(url)
    with write_transaction(engine) as upgrade, engine.begin() as run:
        migrate.prepare_upgrade(upgrade)
        run.execute(text("SET LOCAL lock_timeout = '1ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate.require_version(run)
    migrate.upgrade(url)
    engine.dispose()

"""What other people and restores leave in the database: views, tables, sequences."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from etl.cli import main
from etl.db import migrate
from etl.db.engine import open_engine, write_transaction
from etl.db.schema_check import schema_differences
from etl.errors import DatabaseError
from tests.conftest import NewDatabase
from tests.support.database import open_database
from tests.support.lists import FakeSource, item


def execute(url: str, statement: str) -> None:
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.mark.postgresql
def test_a_view_in_the_way_of_an_upgrade_is_named(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = new_database("postgresql")
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", url)
    monkeypatch.setenv("BOOMPLAY_API_URL", "http://127.0.0.1:9")
    assert main(["db", "check"]) == 0
    execute(url, "CREATE VIEW mine AS SELECT * FROM report_artists")
    for verb in (["db", "check"], ["doctor"]):
        assert main(verb) != 0
        assert "view mine depends on view report_artists" in capsys.readouterr().out
    with pytest.raises(DatabaseError, match="view mine depends on view report_artists") as raised:
        migrate.upgrade(url)
    assert raised.value.remedy.startswith("drop those views")
    with open_database(url) as database:
        assert database.rows("SELECT count(*) FROM mine") == [(0,)]


def test_a_table_of_another_program_is_named(empty_database_url: str) -> None:
    if empty_database_url.startswith("sqlite"):
        open_engine(empty_database_url, create=True).dispose()
    execute(empty_database_url, "CREATE TABLE runs (name text)")
    with pytest.raises(DatabaseError, match="runs.* already exists") as raised:
        migrate.upgrade(empty_database_url)
    assert "search_path" in raised.value.remedy


@pytest.mark.postgresql
def test_sequences_behind_after_a_restore_are_named(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = new_database("postgresql")
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", url)
    monkeypatch.setenv("BOOMPLAY_API_URL", "http://127.0.0.1:9")
    with open_database(url) as database:
        database.sync(FakeSource([item(1), item(2)]))
        assert schema_differences(database.engine) == []
        execute(url, "ALTER SEQUENCE runs_run_id_seq RESTART WITH 1")
        for verb in (["db", "check"], ["doctor"]):
            assert main(verb) != 0
            assert "SELECT setval('public.runs_run_id_seq', 1)" in capsys.readouterr().out
        with pytest.raises(DatabaseError) as raised:
            database.sync(FakeSource([item(1)]))
        assert "its sequences may be behind" in raised.value.remedy
        execute(url, "SELECT setval('public.runs_run_id_seq', 1)")
        assert schema_differences(database.engine) == []
        assert database.sync(FakeSource([item(1)])).removed == 1

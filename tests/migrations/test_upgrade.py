"""Upgrading a database that is in use: from each older schema, with data, on both engines."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, inspect, select, text

from etl.db.engine import open_engine, write_transaction
from etl.db.migrate import current, newest, require_newest, revisions, upgrade
from etl.errors import SchemaOutdated
from etl.reporting.views import views
from tests.conftest import ENGINES, NewDatabase
from tests.deploy.history import faults, lived, synced
from tests.support.lists import item

Rows = dict[str, tuple[list[str], list[str]]]
"""By table: its columns, and its rows in them."""


def reflected(connection: Connection) -> list[Table]:
    """Return the tables as this database has them, each after those that it refers to."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: name != "favsync_version")
    return found.sorted_tables


def copied(origin: str, target: str) -> Rows:
    """Copy what an older schema has room for, and return what it holds afterwards."""
    engines = open_engine(origin), open_engine(target)
    with write_transaction(engines[0]) as old, write_transaction(engines[1]) as new:
        for table in reflected(new):
            rows = [row._asdict() for row in old.execute(select(table))]
            if rows:
                new.execute(table.insert(), rows)
            number_on(new, table)
        held = {table.name: rows_of(new, table, list(table.columns.keys())) for table in reflected(new)}
    for engine in engines:
        engine.dispose()
    return held


def number_on(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number rows from where the copied ones end."""
    key = next(iter(table.primary_key.columns)).name
    if connection.dialect.name == "postgresql":
        sequence = connection.execute(
            text("SELECT pg_get_serial_sequence(:name, :key)"), {"name": table.name, "key": key}
        ).scalar()
        if sequence:
            connection.exec_driver_sql(
                f"SELECT setval('{sequence}', (SELECT coalesce(max({key}), 0) + 1 FROM {table.name}), false)"
            )


def rows_of(connection: Connection, table: Table, columns: list[str]) -> tuple[list[str], list[str]]:
    found = connection.execute(select(*(table.columns[name] for name in columns)))
    return columns, sorted(str(tuple(row)) for row in found)


def older(url: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a database as the favsync of that ``revision`` left it: its tables, and a view that has changed since."""
    with monkeypatch.context() as patch:
        patch.setattr("etl.reporting.views.create_views", lambda *_args: None)  # today's views may read newer columns
        upgrade(url, revision)
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("CREATE VIEW report_runs AS SELECT run_id AS old_fashioned FROM runs")
    engine.dispose()


@pytest.mark.parametrize("engine_name", ENGINES)
@pytest.mark.parametrize("revision", revisions()[:-1])
def test_an_upgrade_leaves_the_history_as_it_was_and_in_use(
    revision: str, engine_name: str, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, url = new_database(engine_name), new_database(engine_name, migrated=False)
    source = lived(origin)
    older(url, revision, monkeypatch)
    before = copied(origin, url)
    assert len(before["favourites"][1]) == 122
    assert len(before["runs"][1]) == 4
    upgrade(url)
    engine = open_engine(url)
    assert current(engine) == newest()
    assert content(engine.connect(), before) == before
    assert columns_of_views(url) == columns_of_views(origin)
    assert faults(url) == []
    del source.items[3]
    source.items.insert(0, item(9000))
    report = synced(url, source)
    assert (report.outcome, report.added, report.removed) == ("succeeded", 1, 1)
    assert faults(url) == []
    engine.dispose()


def content(connection: Connection, like: Rows) -> Rows:
    """Return the rows of the tables and columns that ``like`` has; what is new since is not read."""
    with connection:
        tables = {table.name: table for table in reflected(connection)}
        return {name: rows_of(connection, tables[name], columns) for name, (columns, _) in like.items()}


def columns_of_views(url: str) -> dict[str, list[Any]]:
    engine = open_engine(url)
    with engine.connect() as connection:
        there = inspect(connection)
        found = {view: [column["name"] for column in there.get_columns(view)] for view in views()}
    engine.dispose()
    return found


def test_a_database_of_a_newer_favsync_is_left_alone(database_url: str) -> None:
    engine = open_engine(database_url)
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE favsync_version SET version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match="at schema 9999, newer than this favsync knows") as caught:
        upgrade(database_url)
    assert caught.value.remedy == "install the newer favsync"
    with pytest.raises(SchemaOutdated, match="newer than this favsync knows"):
        require_newest(engine)
    assert current(engine) == "9999"
    engine.dispose()

"""Upgrading a database that is in use: from each older schema, with data, on both engines."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, MetaData, Table, inspect, select
from sqlalchemy.engine.reflection import ObjectKind

from etl.db.engine import open_engine, write_transaction
from etl.db.migrate import OLD_VERSION_TABLE, VERSION_TABLE, current, newest, revisions, upgrade
from etl.reporting.views import views
from tests.conftest import ENGINES, FilledDatabase, NewDatabase
from tests.deploy.history import faults, lived, synced
from tests.migrations.older import create_older, renumber
from tests.support.lists import FakeSource, item

Rows = dict[str, tuple[list[str], list[str]]]
"""By table: its columns, and its rows in them."""


def reflected(connection: Connection) -> list[Table]:
    """Return the tables as this database has them, each after those that it refers to."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: name not in (VERSION_TABLE, OLD_VERSION_TABLE))
    return found.sorted_tables


def copied(origin: str, target: str) -> Rows:
    """Copy what an older schema has room for, and return what it holds afterwards."""
    engines = open_engine(origin), open_engine(target)
    with write_transaction(engines[0]) as old, write_transaction(engines[1]) as new:
        tables = reflected(new)
        for table in tables:
            rows = [row._asdict() for row in old.execute(select(table))]
            if rows:
                new.execute(table.insert(), rows)
            renumber(new, table)
        held = {table.name: rows_of(new, table.name, list(table.columns.keys())) for table in tables}
    for engine in engines:
        engine.dispose()
    return held


def rows_of(connection: Connection, table: str, columns: list[str]) -> tuple[list[str], list[str]]:
    """Return the rows as the driver reads them, without a look at the table's types."""
    found = connection.exec_driver_sql(f"SELECT {', '.join(columns)} FROM {table}")
    return columns, sorted(str(tuple(row)) for row in found)


@pytest.mark.parametrize("engine_name", ENGINES)
@pytest.mark.parametrize("revision", revisions()[:-1])
def test_an_upgrade_leaves_the_history_as_it_was_and_in_use(
    revision: str,
    engine_name: str,
    filled_database: FilledDatabase[tuple[FakeSource, dict[str, list[str]]]],
    new_database: NewDatabase,
) -> None:
    origin, (lists, views_of_origin) = filled_database(engine_name, lived_in)
    url = new_database(engine_name, migrated=False)
    source = FakeSource(list(lists.items))
    create_older(url, revision)
    before = copied(origin, url)
    with write_transaction(open_engine(url)) as connection:
        connection.exec_driver_sql("CREATE VIEW report_runs AS SELECT run_id AS old_fashioned FROM runs")
    assert len(before["favourites"][1]) == 122
    assert len(before["runs"][1]) == 4
    upgrade(url)
    engine = open_engine(url)
    assert current(engine) == newest()
    assert content(engine.connect(), before) == before
    assert columns_of_views(url) == views_of_origin
    del source.items[3]
    source.items.insert(0, item(9000))
    report = synced(url, source)
    assert (report.outcome, report.added, report.removed) == ("succeeded", 1, 1)
    assert faults(url) == []
    engine.dispose()


def content(connection: Connection, like: Rows) -> Rows:
    """Return the rows of the tables and columns that ``like`` has; what is new since is not read."""
    with connection:
        return {name: rows_of(connection, name, columns) for name, (columns, _) in like.items()}


def lived_in(url: str) -> tuple[FakeSource, dict[str, list[str]]]:
    """Give the database a history; return the service and the columns of the views."""
    return lived(url), columns_of_views(url)


def columns_of_views(url: str) -> dict[str, list[str]]:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = inspect(connection).get_multi_columns(kind=ObjectKind.VIEW, filter_names=list(views()))
    engine.dispose()
    return {name: [column["name"] for column in columns] for (_, name), columns in found.items()}

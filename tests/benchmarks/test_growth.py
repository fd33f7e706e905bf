"""The days that the benchmark of growth loads directly leave the rows that syncs of the same days leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select

from benchmarks.growth import Past
from etl.db.tables import metadata

READING = ("pages", "requests", "retries", "holder")
"""The columns of ``runs`` that say how the list was read."""


class PlainDatabase:
    """A database that the fixtures made: growth needs its URL alone."""

    def __init__(self, url: str) -> None:
        self.url = url


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            columns = [each for each in table.columns if each.name not in READING]
            found[table.name] = sorted(map(tuple, connection.execute(select(*columns))), key=repr)
    return found


@pytest.mark.parametrize("favourites", [120, 1_500])
def test_loaded_days_leave_the_rows_of_syncs(
    favourites: int, database_url: str, new_database: Callable[..., str]
) -> None:
    days, other = 6, new_database(database_url.partition(":")[0])
    synced, loaded = (Past(PlainDatabase(url), favourites, days) for url in (database_url, other))
    for _ in range(days - 1):
        synced.next_day()
    loaded.load_days(days - 1)
    expected, found = rows(synced.engine), rows(loaded.engine)
    assert len(expected["runs"]) == days
    assert found == expected
    synced.next_day()
    loaded.next_day()
    assert rows(loaded.engine) == rows(synced.engine)
    for past in (synced, loaded):
        past.engine.dispose()

"""Seeded histories on both engines, for the tests of the views and of the pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select

from benchmarks.history import make_history
from etl.db.engine import open_engine
from etl.db.tables import accounts, favourites, metadata
from etl.db.types import Json
from etl.reporting.query import Query, run_query
from etl.reporting.views import view_named
from tests.conftest import Postgres
from tests.migrations.older import renumber
from tools.examples import HISTORY

TWO_ACCOUNTS: Final = "two accounts"
THREE_YEARS: Final = "three years"
HISTORIES: Final = {
    TWO_ACCOUNTS: HISTORY,
    THREE_YEARS: {"accounts": 1, "favourites": 110, "days": 1095, "every": 30, "seed": 5, "grace": 48},
    "twenty accounts": {"accounts": 20, "favourites": 12, "days": 20, "every": 20, "seed": 2},
    "one look": {"accounts": 1, "favourites": 60, "days": 0, "seed": 4},
}
"""What `benchmarks.history` is asked for, by the name of the history."""


class Histories:
    """Each of `HISTORIES` on each engine, made when first asked for."""

    def __init__(self, postgres: Postgres, sqlite_template: Callable[[], Path], folder: Path) -> None:
        self._postgres, self._template, self._folder = postgres, sqlite_template, folder
        self._engines: dict[tuple[str, str], Engine] = {}
        self.urls: list[str] = []

    def engine(self, name: str, history: str = TWO_ACCOUNTS) -> Engine:
        """Return the database with ``history`` on the engine ``name``."""
        if (name, history) not in self._engines:
            engine = self._engines[name, history] = open_engine(self._url(name, history))
            if name == "sqlite" or history == THREE_YEARS:
                for _ in make_history(engine, **HISTORIES[history]):
                    pass
            else:  # a test compares what the syncs of three years leave on each engine
                _copy(self.engine("sqlite", history), engine)
        return self._engines[name, history]

    def _url(self, name: str, history: str) -> str:
        if name == "postgresql":
            self.urls.append(self._postgres.create(migrated=True))
            return self.urls[-1]
        path = self._folder / f"{history.replace(' ', '-')}.db"
        copy(self._template(), path)
        return f"sqlite:///{path}"

    def close(self) -> None:
        """Give everything back."""
        for engine in self._engines.values():
            engine.dispose()
        for url in self.urls:
            self._postgres.drop(url)


def _copy(source: Engine, target: Engine) -> None:
    """Copy every row from one database to a new one, which has only what migrations put there."""
    with source.connect() as reading, target.begin() as writing:
        for each in metadata.sorted_tables:
            there = set(map(tuple, writing.execute(select(*each.primary_key))))
            rows = [dict(row) for row in reading.execute(select(each)).mappings()]
            for name in (column.name for column in each.c if isinstance(column.type, Json)):
                for row in rows:
                    row[name] = row[name] and json.loads(row[name])
            new = [row for row in rows if tuple(row[key.name] for key in each.primary_key) not in there]
            if new:
                writing.execute(insert(each), new)
            renumber(writing, each)


def rows_of(connection: Connection, name: str, **how: Any) -> list[dict[str, Any]]:
    answer = run_query(connection, Query(view_named(name), **how))
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


@contextmanager
def changed(engine: Engine, *statements: Any) -> Iterator[Connection]:
    """Give a connection that sees ``statements`` done, and undo them."""
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection
        connection.rollback()


def intervals(connection: Connection) -> list[tuple[str, Any]]:
    query = select(favourites, accounts.c.name.label("account")).join(
        accounts, accounts.c.account_id == favourites.c.account_id
    )
    return [(row.account, row) for row in connection.execute(query)]

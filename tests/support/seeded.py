"""One seeded history on both engines, for the tests of the views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from typing import Any

from sqlalchemy import Connection, Engine, select

from benchmarks.history import make_history
from etl.db.engine import open_engine
from etl.db.tables import accounts, favourites
from etl.reporting.query import Query, run_query
from etl.reporting.views import view_named
from tests.conftest import Postgres
from tools.examples import HISTORY


class Histories:
    """One seeded history of two accounts, on each engine, made when first asked for."""

    def __init__(self, postgres: Postgres, sqlite_template: Callable[[], Path], folder: Path) -> None:
        self._postgres, self._template, self._folder = postgres, sqlite_template, folder
        self._engines: dict[str, Engine] = {}
        self.urls: list[str] = []

    def engine(self, name: str) -> Engine:
        """Return the database on the engine ``name``."""
        if name not in self._engines:
            self._engines[name] = open_engine(self._url(name))
            for _ in make_history(self._engines[name], **HISTORY):
                pass
        return self._engines[name]

    def _url(self, name: str) -> str:
        if name == "postgresql":
            self.urls.append(self._postgres.create(migrated=True))
            return self.urls[-1]
        copy(self._template(), self._folder / "history.db")
        return f"sqlite:///{self._folder / 'history.db'}"

    def close(self) -> None:
        """Give everything back."""
        for engine in self._engines.values():
            engine.dispose()
        for url in self.urls:
            self._postgres.drop(url)


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

"""A database, an account and a list, for tests of whole runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, text

from etl import clock
from etl.db import tables
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.extract.snapshot import FavouritesApi, RunOptions
from etl.load import runs
from etl.load.accounts import Account, ensure_account, every_account
from etl.replay.favourites import diff_favourites
from etl.sandbox import Sandbox
from etl.sync import RunResult, sync_account

ROOT = Path(__file__).resolve().parents[2]
FAVSYNC = Path(sys.executable).parent / "favsync"
WORLD_TABLES = [table.name for table in tables.metadata.sorted_tables if table.name != "markets"]


@dataclass
class Database:
    """A database at the newest schema, with accounts in it."""

    engine: Engine

    def account(self, name: str = "ada") -> Account:
        """Return the account, made if it is not there."""
        with read_transaction(self.engine) as connection:
            known = {each.name: each for each in every_account(connection)}
        if name in known:
            return known[name]
        with write_transaction(self.engine) as connection:
            ensure_account(connection, name, clock.now())
        return self.account(name)

    def sync(self, source: FavouritesApi, name: str = "ada", **way: Any) -> RunResult:
        """Carry out one run."""
        return sync_account(self.engine, self.account(name), source, RunOptions(**way))

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        with read_transaction(self.engine) as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]

    def open_tracks(self, name: str = "ada") -> set[int]:
        """Return the account's open favourites."""
        rows = self.rows(
            "SELECT track_id FROM favourites JOIN accounts USING (account_id) WHERE name = :name AND valid_to IS NULL",
            name=name,
        )
        return {row[0] for row in rows}

    def removed_tracks(self, name: str = "ada") -> list[int]:
        """Return the tracks of the account's closed intervals, in order of their end."""
        rows = self.rows(
            "SELECT track_id FROM favourites JOIN accounts USING (account_id) "
            "WHERE name = :name AND valid_to IS NOT NULL ORDER BY valid_to, favourite_id",
            name=name,
        )
        return [row[0] for row in rows]

    def sizes(self) -> dict[str, int]:
        """Return how many rows each table has."""
        counts = (f"(SELECT count(*) FROM {name})" for name in WORLD_TABLES)
        return dict(zip(WORLD_TABLES, self.rows(f"SELECT {', '.join(counts)}")[0], strict=True))

    def history(self) -> list[tuple[Any, ...]]:
        """Return every interval, in full, in an order that both engines share."""
        with read_transaction(self.engine) as connection:
            columns = [column for column in tables.favourites.c if column.name != "favourite_id"]
            query = select(*columns).order_by(*tables.favourites.c["account_id", "track_id", "valid_from"])
            return [tuple(row) for row in connection.execute(query)]

    def run(self, run_id: int) -> Any:
        """Return a run's row."""
        with read_transaction(self.engine) as connection:
            return runs.find_run(connection, run_id)

    def equals_replay(self, name: str = "ada", **threshold: Any) -> bool:
        """Say whether a fold of all observations gives exactly the intervals that are stored."""
        way = RunOptions(**threshold)
        account = self.account(name)
        with read_transaction(self.engine) as connection:
            difference, _ = diff_favourites(connection, account.account_id, way.threshold)
        return not difference


@contextmanager
def open_database(url: str) -> Iterator[Database]:
    """Open the database at ``url``."""
    engine = open_engine(url)
    try:
        yield Database(engine)
    finally:
        engine.dispose()


def settings(sandbox: Sandbox, url: str, user: str = "ada", **more: str) -> dict[str, str]:
    """Return the environment of a command that syncs from the sandbox: at full speed, no retries, removals at once."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FAVSYNC_", "BOOMPLAY_"))},
        "FAVSYNC_DATABASE_URL": url,
        "FAVSYNC_MAX_RETRIES": "0",
        "FAVSYNC_REQUESTS_PER_SECOND": "0",
        "FAVSYNC_REMOVAL_GRACE": "0",
        "FAVSYNC_TIMEOUT_SECONDS": "3600",  # no test may depend on how fast an answer comes
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
        "BOOMPLAY_ACCESS_TOKEN": sandbox.users[user].access_token,
        **more,
    }


def favsync(environ: Mapping[str, str], *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    return subprocess.run([FAVSYNC, *words], env=environ, capture_output=True, text=True, check=False, **options)


def later(instant: datetime) -> str:
    """Return an instant as SQLite holds it."""
    return tables.instant_text(instant)

"""The tools that are compared: favsync as it is run (client over HTTP, SQLite), and others in processes of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

import time_machine
from sqlalchemy import Engine, select

from etl import clock
from etl.boomplay.client import Boomplay, TrackCatalogue
from etl.boomplay.http import HttpOptions
from etl.boomplay.tokens import StaticToken
from etl.boomplay.waiting import Clock
from etl.db import tables
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.extract.snapshot import RunOptions
from etl.load.accounts import ensure_account, find_accounts
from etl.model.records import Outcome, RemovalThreshold, Review
from etl.model.result import RunResult
from etl.replay.review import review_run
from etl.sandbox import Sandbox
from etl.sync import sync_account

SCRIPTS = Path(__file__).parent / "peers"


class Tool(Protocol):
    """Something that copies the list and knows which favourites are current."""

    def sync(self, at: datetime) -> frozenset[int]:
        """Sync at the instant ``at``, and return the tool's current favourites."""
        ...

    def settle(self) -> frozenset[int]:
        """Do what an operator does who knows that the last sync was right; return the current favourites."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


@cache
def _template() -> bytes:
    """Return an empty SQLite database at the newest schema."""
    with tempfile.TemporaryDirectory() as folder:
        upgrade(f"sqlite:///{folder}/favsync.db")
        return (Path(folder) / "favsync.db").read_bytes()


def new_database(folder: Path) -> Engine:
    """Return a new SQLite database in ``folder`` with the account ``ada``."""
    (folder / "favsync.db").write_bytes(_template())
    engine = open_engine(f"sqlite:///{folder}/favsync.db")
    with write_transaction(engine) as connection:
        ensure_account(connection, "ada", clock.now())
    return engine


@dataclass
class SkippedTime:
    """A clock on which waiting takes no time: back-off and Retry-After cost nothing here."""

    skipped: float = 0.0

    def wait(self, seconds: float) -> bool:
        """Skip so many seconds."""
        self.skipped += seconds
        return False

    def clock(self) -> Clock:
        """Return the clocks that show it."""
        return Clock(
            now=lambda: clock.now() + timedelta(seconds=self.skipped),
            monotonic=lambda: clock.monotonic() + self.skipped,
            wait=self.wait,
        )


class Favsync:
    """One account in a SQLite file of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="favsync-hostile-"))
        self._engine = new_database(self._folder)
        tokens = StaticToken(sandbox.users["ada"].access_token)
        options = HttpOptions(
            api_url=sandbox.url, app_id=sandbox.app_id, requests_per_second=0, timing=SkippedTime().clock()
        )
        self._client = Boomplay(tokens, options)
        self._client.catalogue = TrackCatalogue(self._client, [tokens]).lookup
        self._result: RunResult | None = None

    def sync(self, at: datetime) -> frozenset[int]:
        """Sync at the instant ``at``, and return the current favourites."""
        with read_transaction(self._engine) as connection:
            (account,) = find_accounts(connection)
        with time_machine.travel(at, tick=True):
            self._result = sync_account(self._engine, account, self._client, RunOptions())
        return self._favourites()

    def settle(self) -> frozenset[int]:
        """Approve the removals that the last run holds."""
        if self._result and self._result.run_id and self._result.outcome == Outcome.HELD:
            review_run(self._engine, self._result.run_id, Review.APPROVED, RemovalThreshold())
        return self._favourites()

    def close(self) -> None:
        """Delete the database."""
        self._client.close()
        self._engine.dispose()
        shutil.rmtree(self._folder)

    def _favourites(self) -> frozenset[int]:
        current = select(tables.favourites.c.track_id).where(tables.favourites.c.valid_to.is_(None))
        with read_transaction(self._engine) as connection:
            return frozenset(connection.execute(current).scalars())


@cache
def _process(python: Path, command: tuple[str, ...]) -> subprocess.Popen[str]:
    """Return the running tool; it ends with this process, when its standard input closes."""
    return subprocess.Popen(
        [python, SCRIPTS / command[0], *command[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


class PeerTool:
    """One account that another tool copies. The tool answers a line of JSON for each sync."""

    def __init__(self, python: Path, command: tuple[str, ...], sandbox: Sandbox) -> None:
        self._process = _process(python, command)
        self._folder = tempfile.mkdtemp(prefix="hostile-")
        token = sandbox.users["ada"].access_token
        self._order = {"url": sandbox.url, "token": token, "app_id": sandbox.app_id, "folder": self._folder}
        self._active: frozenset[int] = frozenset()

    def sync(self, at: datetime) -> frozenset[int]:
        """Sync; these tools take the machine's clock."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(self._order) + "\n")
        self._process.stdin.flush()
        self._active = frozenset(json.loads(self._process.stdout.readline())["active"])
        return self._active

    def settle(self) -> frozenset[int]:
        """Return the favourites; these tools ask nobody."""
        return self._active

    def close(self) -> None:
        """Delete what it wrote."""
        shutil.rmtree(self._folder, ignore_errors=True)


def is_installed(python: Path, package: str) -> bool:
    """True if this Python has the package."""
    if not python.exists():
        return False
    return subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False).returncode == 0

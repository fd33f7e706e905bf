"""The tools that are compared: favsync as it is run (client over HTTP, SQLite), and others in processes of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

from sqlalchemy import select

from benchmarks.processes import PEER_SETTINGS, SCRIPTS
from etl import clock
from etl.boomplay.client import Boomplay, TrackCatalogue
from etl.boomplay.http import HttpOptions
from etl.boomplay.tokens import StaticToken
from etl.boomplay.waiting import Clock
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.db.tables import favourites
from etl.extract.snapshot import RunOptions
from etl.load.accounts import enabled_accounts, ensure_account
from etl.model.records import Outcome, RemovalThreshold, Review
from etl.model.result import RunResult
from etl.replay.review import review_run
from etl.sandbox import Sandbox
from etl.sync import sync_account

RIGHT_AWAY = RunOptions()
"""A removal grace of 0."""


class Tool(Protocol):
    """Something that copies the list and knows which favourites are current."""

    def sync(self) -> frozenset[int]:
        """Sync, and return the tool's current favourites."""
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


def skipping_clock() -> Clock:
    """Return a clock on which waiting takes no time: back-off and Retry-After cost nothing here."""
    skipped = 0.0

    def wait(seconds: float) -> bool:
        nonlocal skipped
        skipped += seconds
        return False

    return Clock(
        now=lambda: clock.now() + timedelta(seconds=skipped), monotonic=lambda: clock.monotonic() + skipped, wait=wait
    )


class Favsync:
    """One account in a SQLite file of its own."""

    result: RunResult

    def __init__(self, sandbox: Sandbox, options: RunOptions = RIGHT_AWAY) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="favsync-hostile-"))
        (self._folder / "favsync.db").write_bytes(_template())
        self._engine = open_engine(f"sqlite:///{self._folder}/favsync.db")
        with write_transaction(self._engine) as connection:
            ensure_account(connection, "ada", clock.now())
        self._options = options
        tokens = StaticToken(sandbox.users["ada"].access_token)
        limits = {"requests_per_second": 0, "timing": skipping_clock()}
        http = HttpOptions(api_url=sandbox.url, app_id=sandbox.app_id, **limits)
        self._client = Boomplay(tokens, http)
        self._client.catalogue = TrackCatalogue(self._client, [tokens]).lookup

    def sync(self) -> frozenset[int]:
        """Sync, and return the current favourites."""
        with read_transaction(self._engine) as connection:
            (account,) = enabled_accounts(connection)
        self.result = sync_account(self._engine, account, self._client, self._options)
        return self.favourites()

    def settle(self) -> frozenset[int]:
        """Approve the removals that the last run holds."""
        if self.result.run_id and self.result.outcome == Outcome.HELD:
            review_run(self._engine, self.result.run_id, Review.APPROVED, RemovalThreshold())
        return self.favourites()

    def close(self) -> None:
        """Delete the database."""
        self._client.close()
        self._engine.dispose()
        shutil.rmtree(self._folder)

    def favourites(self) -> frozenset[int]:
        """Return the tracks with an open interval."""
        with read_transaction(self._engine) as connection:
            return frozenset(
                connection.execute(select(favourites.c.track_id).where(favourites.c.valid_to.is_(None))).scalars()
            )


@cache
def _process(python: Path, command: tuple[str, ...]) -> subprocess.Popen[str]:
    """Return the running tool; it ends with this process, when its standard input closes."""
    return subprocess.Popen(
        [python, SCRIPTS / command[0], *command[1:]],
        env=PEER_SETTINGS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


class PeerTool:
    """One account that another tool copies, by the machine's clock. The tool answers a line of JSON for each sync."""

    def __init__(self, python: Path, command: tuple[str, ...], sandbox: Sandbox) -> None:
        self._process = _process(python, command)
        self._folder = tempfile.mkdtemp(prefix="hostile-")
        token = sandbox.users["ada"].access_token
        self._order = {"url": sandbox.url, "token": token, "app_id": sandbox.app_id, "folder": self._folder}
        self._active: frozenset[int] = frozenset()

    def sync(self) -> frozenset[int]:
        """Sync, and return the favourites."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(self._order) + "\n")
        self._process.stdin.flush()
        self._active = frozenset(json.loads(self._process.stdout.readline()))
        return self._active

    def settle(self) -> frozenset[int]:
        """Return the favourites; these tools ask nobody."""
        return self._active

    def close(self) -> None:
        """Delete what it wrote."""
        shutil.rmtree(self._folder, ignore_errors=True)

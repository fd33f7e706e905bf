"""favsync as it is run: the real client over HTTP, `sync_account`, SQLite."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import time_machine
from sqlalchemy import select

from etl import clock
from etl.boomplay.client import Boomplay
from etl.boomplay.tokens import StaticToken
from etl.boomplay.waiting import Clock
from etl.db import tables
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.extract.snapshot import RunOptions
from etl.load import runs
from etl.load.baseline import Account, find_accounts
from etl.model.records import Outcome, Review
from etl.model.threshold import RemovalThreshold
from etl.replay.review import review_run
from etl.sandbox import Sandbox
from etl.sync import RunResult, sync_account


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        upgrade(f"sqlite:///{folder}/favsync.db")
        return (Path(folder) / "favsync.db").read_bytes()


@dataclass
class Impatient:
    """Time that passes at once when somebody waits: backoff and Retry-After cost nothing here."""

    skipped: float = 0.0

    def wait(self, seconds: float) -> bool:
        """Skip so many seconds."""
        self.skipped += seconds
        return False

    def timing(self) -> Clock:
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
        (self._folder / "favsync.db").write_bytes(_template())
        self._engine = open_engine(f"sqlite:///{self._folder}/favsync.db")
        with write_transaction(self._engine) as connection:
            runs.ensure_account(connection, "ada", clock.now())
        self._client = Boomplay(
            tokens=StaticToken(sandbox.users["ada"].access_token),
            api_url=sandbox.url,
            app_id=sandbox.app_id,
            requests_per_second=0,
            timing=Impatient().timing(),
        )
        self.report: RunResult | None = None

    def sync(self, at: datetime) -> frozenset[int]:
        """Sync, it being ``at``."""
        with time_machine.travel(at, tick=True):
            self.report = sync_account(self._engine, self._account(), self._client, RunOptions())
        return self._favourites()

    def settle(self) -> frozenset[int]:
        """Approve what the last run holds."""
        if self.report and self.report.run_id and self.report.outcome == Outcome.HELD:
            review_run(self._engine, self.report.run_id, Review.APPROVED, RemovalThreshold())
        return self._favourites()

    def close(self) -> None:
        """Delete the database."""
        self._client.close()
        self._engine.dispose()
        shutil.rmtree(self._folder)

    def _account(self) -> Account:
        with read_transaction(self._engine) as connection:
            return find_accounts(connection)[0]

    def _favourites(self) -> frozenset[int]:
        current = select(tables.favourites.c.track_id).where(tables.favourites.c.valid_to.is_(None))
        with read_transaction(self._engine) as connection:
            return frozenset(connection.execute(current).scalars())

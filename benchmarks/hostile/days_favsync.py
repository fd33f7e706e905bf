"""favsync as the subject of `benchmarks.hostile.days`: `sync_account` and SQLite, the sandbox asked without sockets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import time_machine
from sqlalchemy import select

from benchmarks.hostile.days import USER, FakeClock, FavouriteRow
from benchmarks.hostile.tools import new_database
from etl.boomplay import payloads
from etl.boomplay.payloads import User
from etl.db.engine import read_transaction
from etl.db.tables import favourites
from etl.errors import ApiRefused, ApiUnreachable
from etl.extract.snapshot import RunOptions
from etl.load.accounts import find_accounts
from etl.model.records import Item, Outcome, Page
from etl.sandbox import Sandbox, SandboxRequest
from etl.sync import sync_account

REQUEST_SECONDS = 0.137
ROWS = select(*(favourites.c[name] for name in FavouriteRow._fields))


class InProcessApi:
    """What a run needs of Boomplay (`FavouritesApi`), answered by the sandbox in this process. Each request takes time."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self.moved: time_machine.Traveller | None = None
        self.connection = 0
        self.requests = 0
        self.retries = 0

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return the page that begins at ``offset``."""
        body = self._get(f"/favourite/v1/tracks?offset={offset}&limit={limit}")
        return payloads.page(body, offset, limit)

    def user(self) -> User:
        """Return the token's user."""
        return payloads.user(self._get("/user/getUserInfo"), "user info")

    def tracks(self, track_ids: Iterable[int]) -> list[Item]:
        """Return the tracks with these ids, 20 a request; unknown ones are missing."""
        wanted = list(track_ids)
        batches = [wanted[start : start + 20] for start in range(0, len(wanted), 20)]
        paths = [f"/track/v1/trackIds?ids={','.join(map(str, batch))}" for batch in batches]
        return [item for path in paths for item in payloads.items(self._get(path), "tracks by id")]

    def _get(self, target: str) -> bytes:
        self.requests += 1
        self._clock.advance(REQUEST_SECONDS)
        if self.moved:
            self.moved.shift(timedelta(seconds=REQUEST_SECONDS))
        token = self._sandbox.users[USER].access_token
        headers = {"app_id": self._sandbox.app_id, "authorization": f"Bearer {token}"}
        reply = self._sandbox.answer(SandboxRequest("GET", target, headers, connection=self.connection))
        if reply.status >= 500:
            raise ApiUnreachable(f"GET {target}: HTTP {reply.status}", status=reply.status)
        if reply.status >= 400:
            raise ApiRefused(f"GET {target}: HTTP {reply.status}", status=reply.status)
        return reply.body


class FavsyncSubject:
    """One account in a SQLite file of its own."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self._clock = clock
        self._folder = Path(tempfile.mkdtemp(prefix="favsync-days-"))
        self._api = InProcessApi(sandbox, clock)
        with time_machine.travel(clock.now(), tick=False):
            self._engine = new_database(self._folder)
        with read_transaction(self._engine) as connection:
            (self._account,) = find_accounts(connection)
        self._outcome: Outcome | None = None

    def sync(self) -> datetime | None:
        """Sync at the clock's instant, by a connection of its own."""
        self._api.connection += 1
        with time_machine.travel(self._clock.now(), tick=False) as self._api.moved:
            result = sync_account(self._engine, self._account, self._api, RunOptions(concurrency=1))
        self._outcome = result.outcome
        return None  # favsync keeps to its schedule

    def rows(self) -> list[FavouriteRow]:
        """Return all rows of the account."""
        with read_transaction(self._engine) as connection:
            return [FavouriteRow(*row) for row in connection.execute(ROWS)]

    def is_held(self) -> bool:
        """True if the last run holds removals."""
        return self._outcome == Outcome.HELD

    def close(self) -> None:
        """Delete the database."""
        self._engine.dispose()
        shutil.rmtree(self._folder)

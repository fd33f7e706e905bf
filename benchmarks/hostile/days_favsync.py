"""favsync as the subject of `benchmarks.hostile.days`: `sync_account` at default settings, SQLite, a sandbox without sockets."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

import time_machine
from msgspec.structs import replace
from sqlalchemy import select

from benchmarks.hostile.days import USER, FakeClock, FavouriteRow
from benchmarks.hostile.tools import new_database
from etl import config
from etl.boomplay.client import Boomplay, TrackCatalogue
from etl.boomplay.http import HttpOptions, TokenSource
from etl.boomplay.tokens import StaticToken
from etl.boomplay.transport import Request
from etl.db.engine import read_transaction
from etl.db.tables import favourites
from etl.errors import ApiRefused, ApiUnreachable
from etl.extract.snapshot import RunOptions
from etl.load.accounts import find_accounts
from etl.model.records import Outcome
from etl.model.result import RunResult
from etl.sandbox import Sandbox, SandboxRequest
from etl.sync import sync_account

REQUEST_SECONDS = 0.137
# The looks of the scheduler while favourites are missing.
LOOKS_PER_GRACE = 4
FIRST_REPEAT, REPEAT_FACTOR = timedelta(minutes=30), 3
ROWS = select(*(favourites.c[name] for name in FavouriteRow._fields))
T = TypeVar("T")


class InProcessApi(Boomplay):
    """Boomplay's API as the sandbox in this process answers it. Each request takes time on the clock of the trial."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        tokens = StaticToken(sandbox.users[USER].access_token)
        super().__init__(tokens, HttpOptions(api_url="http://127.0.0.1", app_id=sandbox.app_id))
        self.catalogue = TrackCatalogue(self, [tokens]).lookup
        self._sandbox = sandbox
        self._clock = clock
        self._headers: dict[str, str] = {}
        self._connections = itertools.count(1)
        self._connection = 0
        self.moved: time_machine.Traveller | None = None

    def connect(self) -> None:
        """Open a new connection: a run comes long after the one before."""
        self._connection = next(self._connections)

    @contextmanager
    def fresh(self) -> Iterator[Self]:
        """Yield the same API over a new connection, with ``Cache-Control: no-cache``."""
        other = copy(self)
        other.connect()
        other._headers = {"cache-control": "no-cache"}
        yield other

    def call(self, request: Request, decode: Callable[[bytes], T], tokens: TokenSource | None = None) -> T:
        """Return the decoded answer of the sandbox."""
        self._transport.counts.by_status["200"] += 1
        self._clock.advance(REQUEST_SECONDS)
        if self.moved:
            self.moved.shift(timedelta(seconds=REQUEST_SECONDS))
        headers = {"app_id": self._sandbox.app_id, "authorization": f"Bearer {tokens.token() if tokens else ''}"}
        target = f"{request.path}?{request.query}"
        reply = self._sandbox.answer(
            SandboxRequest("GET", target, headers | self._headers, connection=self._connection)
        )
        if reply.status >= 400:
            kind = ApiUnreachable if reply.status >= 500 else ApiRefused
            raise kind(f"{request}: HTTP {reply.status}", status=reply.status)
        return decode(reply.body)


class FavsyncSubject:
    """One account in a SQLite file of its own, at the default settings, or at those that ``environ`` sets."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock, environ: Mapping[str, str] = MappingProxyType({})) -> None:
        self._clock = clock
        self._folder = Path(tempfile.mkdtemp(prefix="favsync-days-"))
        self._api = InProcessApi(sandbox, clock)
        self._options = replace(RunOptions.configured(config.load({}, environ, None)), concurrency=1)
        with time_machine.travel(clock.now(), tick=False):
            self._engine = new_database(self._folder)
        self._outcome = ""
        self._is_waiting = False
        self._failures = 0

    def sync(self) -> datetime | None:
        """Sync at the clock's instant; return the latest instant of the next look while favourites are missing."""
        self._api.connect()
        with read_transaction(self._engine) as connection:
            (account,) = find_accounts(connection)
        with time_machine.travel(self._clock.now(), tick=False) as self._api.moved:
            result = sync_account(self._engine, account, self._api, self._options)
        self._outcome = result.outcome
        return self._next_look(result)

    def _next_look(self, result: RunResult) -> datetime | None:
        self._failures = 0 if result.proven else self._failures + 1
        if result.observed_at is not None:
            self._is_waiting = result.missing > result.held
        if not self._is_waiting:
            return None
        delay = self._options.grace.removal / LOOKS_PER_GRACE
        if self._failures:
            delay = min(delay, FIRST_REPEAT * REPEAT_FACTOR ** min(self._failures - 1, 4))
        return self._clock.now() + delay

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

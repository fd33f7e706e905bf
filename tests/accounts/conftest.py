"""A sandbox and a database whose clock only the tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from etl import clock
from etl.accounts.session import connect
from etl.config import Config
from etl.db.engine import read_transaction
from etl.db.migrate import ready_engine
from etl.sandbox import Sandbox

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Return a function that moves the clock of favsync and of the sandbox."""
    now = [START]
    monkeypatch.setattr(clock, "now", lambda: now[0])

    def move(by: timedelta) -> None:
        now[0] += by

    return move


@pytest.fixture
def sandbox(instant: object) -> Iterator[Sandbox]:
    with Sandbox(tracks=20, users=["ada", "ben", "cy", "dee"], now=clock.now) as running:
        running.switch(refresh="rotating", refresh_path="/oauth/token")
        for user in running.users.values():
            user.refresh_token = running.tokens.refresh(user.name)
        yield running


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = ready_engine(database_url)
    yield engine
    engine.dispose()


def reads(config: Config, engine: Engine, name: str = "ada") -> int:
    with connect(config, engine, name) as client:
        return len(client.favourite_tracks(0).items)


def token_table(engine: Engine) -> str:
    """Return the whole table of tokens as text."""
    with read_transaction(engine) as connection:
        return str(connection.execute(text("SELECT * FROM tokens")).all())

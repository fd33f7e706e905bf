"""Connections that wait in the pool: replaced if the server ended them, asked only after a while."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from etl import clock
from etl.db.engine import open_engine, read_transaction
from etl.db.postgresql import IDLE_SECONDS
from tests.conftest import NewDatabase

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("postgresql")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = open_engine(url)
    yield made
    made.dispose()


def process(engine: Engine) -> int:
    """Return the number of the server's process."""
    with read_transaction(engine) as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_a_connection_that_the_server_ended_is_replaced(engine: Engine, url: str) -> None:
    first = process(engine)
    assert process(engine) == first
    other = open_engine(url)
    with read_transaction(other) as connection:
        ended = connection.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": first})
        assert ended.scalar()
    other.dispose()
    assert process(engine) != first


def test_a_connection_is_asked_only_after_a_pause(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], []
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    monkeypatch.setattr(engine.dialect, "do_ping", asked.append)
    for pause, pings in ((0.0, 0), (IDLE_SECONDS, 0), (IDLE_SECONDS + 1, 1), (0.0, 1)):
        now[0] += pause
        process(engine)
        assert len(asked) == pings


def test_a_silently_lost_connection_is_replaced(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = []
    event.listen(engine, "connect", lambda *_: connections.append(1))
    first = process(engine)
    now = clock.monotonic() + IDLE_SECONDS + 1
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    with monkeypatch.context() as patch:

        def lost(_connection: object) -> None:
            patch.undo()
            raise psycopg.OperationalError("the connection timed out")

        patch.setattr(engine.dialect, "do_ping", lost)
        assert process(engine) != first
    assert len(connections) == 2

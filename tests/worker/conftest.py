"""A PostgreSQL database with the queue's tables, and accounts of a sandbox's users in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from etl.config import Config
from etl.db.migrate import ready_engine
from etl.sandbox import Sandbox
from etl.worker.engine_tables import install
from tests.conftest import FilledDatabase
from tests.support.sandbox_accounts import settings

USERS = ["ada", "ben", "cy"]


def install_queue(url: str) -> None:
    """Install the queue's tables."""
    engine = ready_engine(url)
    assert install(engine)
    engine.dispose()


@pytest.fixture
def url(filled_database: FilledDatabase[None]) -> str:
    """Return the URL of a database with the queue's tables."""
    return filled_database("postgresql", install_queue)[0]


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = ready_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tracks=30, users=USERS) as running:
        yield running


@pytest.fixture
def config(url: str, sandbox: Sandbox) -> Callable[..., Config]:
    """Return a function that returns the settings for the sandbox and the database, with others over them."""
    return lambda **more: settings(url, sandbox, **more)

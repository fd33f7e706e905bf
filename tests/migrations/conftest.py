"""The database that a module's ``upgraded_account`` makes: an account of an older schema, upgraded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from etl.db.engine import open_engine
from tests.conftest import ENGINES, FilledDatabase


@pytest.fixture(params=ENGINES)
def upgraded(request: pytest.FixtureRequest, filled_database: FilledDatabase[None]) -> Iterator[Engine]:
    """Return the engine of a copy."""
    url, _ = filled_database(request.param, request.module.upgraded_account, migrated=False)
    engine = open_engine(url)
    yield engine
    engine.dispose()

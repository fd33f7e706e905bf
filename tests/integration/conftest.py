"""What the tests of the views share: one history on both engines, made once for all of them in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from etl.store.engine import reading
from tests.conftest import ENGINES, Postgres
from tests.integration.seeded import Histories


@pytest.fixture(scope="session")
def histories(
    postgres: Postgres, sqlite_template: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Histories]:
    """Return the seeded history, on the engine that is asked for."""
    made = Histories(postgres, sqlite_template, tmp_path_factory.mktemp("histories"))
    yield made
    made.close()


@pytest.fixture(params=ENGINES)
def seeded(request: pytest.FixtureRequest, histories: Histories) -> Iterator[Connection]:
    """Return a connection for reading to the seeded history; the test runs once per engine."""
    with reading(histories.engine(request.param)) as opened:
        yield opened

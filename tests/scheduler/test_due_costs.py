"""What a due account without changes costs the database, from the claim to the next run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event

from etl.db.migrate import ready_engine
from etl.sandbox import Sandbox
from etl.scheduler.due_sync import DueSync
from tests.support.sandbox_accounts import add, call_soon, number, settings
from tests.sync.test_costs import Cost, counted

LIMITS = {"sqlite": 10, "postgresql": 8}  # SQLite: three of them are BEGIN


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = ready_engine(database_url)
    yield made
    made.dispose()


def test_an_unchanged_due_account_costs_few_statements(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = Cost()
    connections, pings = [], []
    with Sandbox(tracks=30, users=["ada"]) as sandbox:
        config = settings(database_url, sandbox, FAVSYNC_REQUESTS_PER_SECOND="0")
        add(config, engine, sandbox)
        sync = DueSync(config, engine)
        account_id = number(engine, "ada")
        sync.sync_due_account(account_id)
        call_soon(engine, "ada")
        monkeypatch.setattr(engine.dialect, "do_ping", pings.append)
        event.listen(engine, "connect", lambda *_: connections.append(1))
        with counted(engine, cost):
            finished = sync.sync_due_account(account_id)
    assert finished is not None
    assert finished.report.outcome == "unchanged"
    assert cost.statements.total() <= LIMITS[engine.dialect.name], cost.statements
    assert (connections, pings) == ([], [])

"""The statements that run at every tick use indexes, whatever the number of accounts. On both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, event, text

from etl import clock
from etl.db.engine import write_transaction
from etl.db.migrate import ready_engine
from etl.monitor.overview import OverviewReader, calendar_status
from etl.scheduler import queue

ACCOUNTS = 20_000
ONE_IN = 2_000  # is due, and one in as many is stale
NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(1, :count) AS g(n)",
    "sqlite": "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < :count) SELECT n FROM g",
}
EVERY_TICK: dict[str, Callable[[Connection], object]] = {
    "due": lambda connection: queue.due(connection, "every 1h", clock.now(), busy=(), limit=4),
    "claim": lambda connection: queue.claim(connection, 100, queue.CLOCK_TOLERANCE),
    "claimed": lambda connection: queue.claimed(connection, "every 1h", 5),
    "dated_ahead": lambda connection: queue.dated_ahead(connection, "every 1h", clock.now()),
    "calendar_row": lambda connection: queue.calendar_row(connection, "every 1h", 5),
    "status": calendar_status,
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], scope="module")
def crowded(request, postgres, sqlite_template, tmp_path_factory) -> Iterator[Engine]:
    """Return a database with many accounts, a few of them due."""
    if request.param == "postgresql":
        url = postgres.create(migrated=True)
    else:
        path = tmp_path_factory.mktemp("crowded") / "favsync.db"
        path.write_bytes(sqlite_template().read_bytes())
        url = f"sqlite:///{path}"
    engine = ready_engine(url)
    numbers = NUMBERS[request.param]

    def at(instant: str) -> str:
        return f"'{instant}'{'::timestamptz' if request.param == 'postgresql' else ''}"

    past, future = "2026-01-01T00:00:00.000000Z", "2090-01-01T00:00:00.000000Z"
    with write_transaction(engine) as connection:
        connection.execute(
            text(
                f"INSERT INTO accounts (account_id, name, enabled, created_at) SELECT n, 'user ' || n, true, '{past}' FROM ({numbers}) AS x"
            ),
            {"count": ACCOUNTS},
        )
        connection.execute(
            text(
                "INSERT INTO schedules (account_id, schedule, next_run_at, updated_at, proven_at, stale_at) SELECT n, 'every 1h', "
                f"CASE WHEN n % {ONE_IN} = 5 THEN {at(past)} ELSE {at(future)} END, "
                f"{at(past)}, {at(past)}, CASE WHEN n % {ONE_IN} = 6 THEN {at(past)} ELSE {at(future)} END FROM ({numbers}) AS x"
            ),
            {"count": ACCOUNTS},
        )
        if request.param == "postgresql":
            connection.exec_driver_sql("ANALYZE")  # as autovacuum does; nobody does it for SQLite
    yield engine
    engine.dispose()


@pytest.mark.parametrize("name", [*EVERY_TICK, "overview", "overview by age", "need attention"])
def test_no_statement_of_a_tick_reads_all_accounts(name: str, crowded: Engine):
    reader = OverviewReader(crowded, "every 1h", max_age=timedelta(days=900) if name == "overview by age" else None)
    reader.read()  # counts the accounts, as once in ten minutes
    statements: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    with write_transaction(crowded) as connection:
        event.listen(crowded, "before_cursor_execute", note)
        if name in EVERY_TICK:
            EVERY_TICK[name](connection)
        elif name == "need attention":
            assert len(reader.need_attention(4)) == 4
        else:
            assert reader.read().accounts is None
        event.remove(crowded, "before_cursor_execute", note)
        explain = "EXPLAIN QUERY PLAN " if crowded.dialect.name == "sqlite" else "EXPLAIN "
        for statement, parameters in statements:
            if statement.split(None, 1)[0] not in ("SELECT", "UPDATE", "INSERT"):
                continue
            plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters))
            assert "Seq Scan on accounts" not in plan, plan
            assert "Seq Scan on schedules" not in plan, plan
            assert "SCAN accounts" not in plan, plan
            assert "SCAN schedules" not in plan, plan
        assert statements
        connection.rollback()


def test_the_status_counts_what_is_due(crowded: Engine):
    with write_transaction(crowded) as connection:
        status = calendar_status(connection)
        assert status.due == ACCOUNTS // ONE_IN
        assert status.oldest_due_seconds > 0
        assert len(queue.claim(connection, 4, queue.CLOCK_TOLERANCE)) == 4
        after = calendar_status(connection)
        assert (after.due, after.in_work) == (status.due - 4, 4)
        connection.rollback()

"""How long the statements of a scheduler's tick take with 1,000, 100,000 and 1,000,000 accounts on PostgreSQL.

    python -m benchmarks.calendar

In each database 500 accounts are due. The databases take turns, so that a busy machine slows all; each number is the best of
the rounds. The rows are a table for docs/scale.md.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

from benchmarks.measure import new_database, postgres_server
from etl import clock
from etl.db.engine import write_transaction
from etl.db.migrate import ready_engine, upgrade
from etl.scheduler import queue

TICK: dict[str, Callable[[Connection], object]] = {
    "the next 8 that are due": lambda connection: queue.due(connection, "every 1h", clock.now(), busy=(), limit=8),
    "rows that a wrong clock dated": lambda connection: queue.dated_ahead(connection, "every 1h", clock.now()),
    "claim 100": lambda connection: queue.claim(connection, 100, queue.CLOCK_TOLERANCE),
}
ACCOUNTS = """
INSERT INTO accounts (account_id, name, enabled, created_at)
SELECT n, 'user ' || n, true, '2026-01-01Z' FROM generate_series(1, :count) AS g(n)
"""
CALENDAR = """
INSERT INTO schedules (account_id, schedule, next_run_at, updated_at, proven_at, stale_at)
SELECT n, 'every 1h', CASE WHEN n % (:count / 500) = 1 THEN '2026-01-01Z' ELSE '2090-01-01Z' END::timestamptz,
    '2026-01-01Z', '2026-01-01Z', '2090-01-01Z' FROM generate_series(1, :count) AS g(n)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", default="1000,100000,1000000", help="numbers of accounts, separated by commas")
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    counts = [int(count) for count in options.accounts.split(",")]
    best: dict[tuple[int, str], float] = defaultdict(lambda: float("inf"))
    with postgres_server() as server:
        engines = {count: _filled(server, count) for count in counts}
        for _ in range(options.rounds):
            for count, engine in engines.items():
                for name, work in TICK.items():
                    best[count, name] = min(best[count, name], _seconds(engine, work))
    print("| accounts | " + " | ".join(TICK) + " |\n|" + "---:|" * (len(TICK) + 1))
    for count in counts:
        print(f"| {count:,} | " + " | ".join(f"{best[count, name] * 1000:.1f} ms" for name in TICK) + " |")


def _filled(server: str, count: int) -> Engine:
    url = new_database(server, f"calendar_{count}")
    upgrade(url)
    engine = ready_engine(url)
    with write_transaction(engine) as connection:
        connection.execute(text(ACCOUNTS), {"count": count})
        connection.execute(text(CALENDAR), {"count": count})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    return engine


def _seconds(engine: Engine, work: Callable[[Connection], object]) -> float:
    with engine.connect() as connection:
        start = time.perf_counter()
        work(connection)
        seconds = time.perf_counter() - start
        connection.rollback()
    return seconds


if __name__ == "__main__":
    main()

"""How long each view takes, and with ``--plans`` how the engine goes about it.

    python -m benchmarks.history --accounts 1 --favourites 10000 --days 1095 --every 2 sqlite:///years.db
    python -m benchmarks.view_timings sqlite:///years.db

Milliseconds of processor time, of this process and of the PostgreSQL process that serves it, the least of three. *All*: every row
is computed and counted, for every account. *First*: ``favsync report NAME --account NAME --limit 100``, sorted, until its rows are
in Python.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.reporting.query import Query, known_accounts, run_query
from etl.reporting.views import View, views

REPEATS = 3
LONG_MS = 1_000
FIRST = 100


class Stopwatch:
    """Measures the processor time of this process and of its PostgreSQL process; other work on the machine is not in it."""

    def __init__(self, connection: Connection) -> None:
        self._server: Path | None = None
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET max_parallel_workers_per_gather = 0"))  # its workers would not be seen
            self._server = Path(f"/proc/{connection.execute(text('SELECT pg_backend_pid()')).scalar_one()}/schedstat")

    def best_ms(self, work: Callable[[], Any]) -> float:
        """Return the least of a few times that ``work`` takes, in milliseconds; long work is done once."""
        found: list[float] = []
        while len(found) < REPEATS and sum(found) < LONG_MS:
            begun = self._cpu_ms()
            work()
            found.append(self._cpu_ms() - begun)
        return min(found)

    def _cpu_ms(self) -> float:
        server = int(self._server.read_text().split()[0]) / 1e6 if self._server else 0.0
        return time.process_time() * 1000 + server


def row(connection: Connection, view: View, account: str) -> str:
    """Return the view's row of the table."""
    count = text(f"SELECT count(*) FROM (SELECT * FROM {view.name}) v")
    rows = connection.execute(count).scalar_one()
    has_account = "account" in run_query(connection, Query(view, limit=0)).columns
    query = Query(view, accounts=(account,) if has_account else (), limit=FIRST)
    watch = Stopwatch(connection)
    all_ms = watch.best_ms(lambda: connection.execute(count).scalar_one())
    first_ms = watch.best_ms(lambda: list(run_query(connection, query).rows))
    return f"| `{view.name}` | {rows:,} | {all_ms:,.1f} | {first_ms:,.1f} |"


def plan(connection: Connection, view: View, account: str) -> str:
    """Return the engine's plan of the view, asked about one account."""
    columns = run_query(connection, Query(view, limit=0)).columns
    sql = f"SELECT * FROM {view.name}" + (" WHERE account = :account" if "account" in columns else "")
    values = {"account": account} if "account" in columns else {}
    if connection.dialect.name == "postgresql":
        return "\n".join(found[0] for found in connection.execute(text(f"EXPLAIN (COSTS OFF) {sql}"), values))
    depth: dict[int, int] = {0: -1}
    lines = []
    for found in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"), values):
        depth[found[0]] = depth[found[1]] + 1
        lines.append("  " * depth[found[0]] + found[3])
    return "\n".join(lines)


def main() -> None:
    """Print the table, or the plans."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.view_timings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", help="a database that `benchmarks.history` made: sqlite:///FILE or postgresql://…")
    parser.add_argument("--plans", action="store_true", help="print the plans instead")
    options = parser.parse_args()
    engine = open_engine(options.url)
    if engine.dialect.name == "postgresql":  # as its autovacuum does; SQLite has no statistics unless asked
        with write_transaction(engine) as connection:
            connection.execute(text("ANALYZE"))
    with read_transaction(engine) as connection:
        account = known_accounts(connection)[0]
        if not options.plans:
            print("| view | rows | all ms | first ms |\n|---|---:|---:|---:|")
        for name in sorted(views()):
            view = views()[name]
            print(f"{name}\n{plan(connection, view, account)}\n" if options.plans else row(connection, view, account))


if __name__ == "__main__":
    main()

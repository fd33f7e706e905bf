"""How long each view takes: counted in the database alone, then read as `favsync report` reads it, for all accounts and for one.

    python -m benchmarks.views sqlite:///history.db --plans

The database is one that `benchmarks.history` made. Not here: making it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from etl.reporting.question import Question, ask, known_accounts
from etl.reporting.views import View, views
from etl.store.engine import open_engine, reading

REPEATS = 3


def best_ms(work: Callable[[], Any]) -> float:
    """Return the shortest of a few times that ``work`` took, in milliseconds."""
    found = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        found.append((time.perf_counter() - begun) * 1000)
    return min(found)


def times(connection: Connection, view: View, account: str) -> tuple[int, float, float, float]:
    """Return the number of rows, and the milliseconds to count them, to read all, and to read those of one account."""
    count = text(f"SELECT count(*) FROM (SELECT * FROM {view.name}) v")
    rows = connection.execute(count).scalar_one()
    counted = best_ms(lambda: connection.execute(count).scalar_one())
    everything = best_ms(lambda: sum(1 for _ in ask(connection, Question(view)).rows))
    columns = ask(connection, Question(view, limit=0)).columns
    whose = (account,) if "account" in columns else ()
    one = best_ms(lambda: sum(1 for _ in ask(connection, Question(view, accounts=whose, limit=100)).rows))
    return rows, counted, everything, one


def plan(connection: Connection, view: View) -> str:
    """Return how the database goes about ``view``."""
    if connection.dialect.name == "postgresql":
        return "\n".join(row[0] for row in connection.execute(text(f"EXPLAIN ANALYZE SELECT * FROM {view.name}")))
    rows = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT * FROM {view.name}"))
    depth: dict[int, int] = {0: -1}
    lines = []
    for row in rows:
        depth[row[0]] = depth[row[1]] + 1
        lines.append("  " * depth[row[0]] + row[3])
    return "\n".join(lines)


def main() -> None:
    """Print a line for each view."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--plans", action="store_true", help="print the plan of each view too")
    parser.add_argument("--only", metavar="VIEW")
    given = parser.parse_args()
    with reading(open_engine(given.url)) as connection:
        account = known_accounts(connection)[0]
        print(f"{'view':<28}{'rows':>9}{'count ms':>10}{'all ms':>10}{'one, first 100 ms':>19}")
        for view in views().values():
            if given.only in (None, view.name):
                rows, counted, everything, one = times(connection, view, account)
                print(f"{view.name:<28}{rows:>9,}{counted:>10.1f}{everything:>10.1f}{one:>19.1f}", flush=True)
                if given.plans:
                    print(plan(connection, view))


if __name__ == "__main__":
    main()

"""How long each view takes.

    python -m benchmarks.history --accounts 1 --favourites 10000 --days 1095 --every 2 sqlite:///years.db
    python -m benchmarks.view_timings --write docs/view-speed.md sqlite:///years.db postgresql:///years

Milliseconds of processor time, of this process and of the PostgreSQL process that serves it, the least of three. *All*: every
column of every row is computed and counted, for every account. *First*: ``favsync report NAME --account NAME --limit 100``, sorted, until its rows are
in Python.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from etl import clock
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.load.accounts import every_account
from etl.reporting.query import Query, run_query
from etl.reporting.views import View, views

COUNTED = ("accounts", "favourites", "runs")
PAGE = """# How fast the views are

Milliseconds of processor time, of favsync and of the PostgreSQL process that serves it, the least of three. *All*: every column of every
row is computed and counted, for every account. *First*: `favsync report NAME --account NAME --limit 100`, sorted, until its rows are in Python. PostgreSQL
has statistics (`ANALYZE`), as its autovacuum makes them; SQLite has none, which is its default.

A query about one account reads that account alone: a test checks the plans of SQLite, and the views with the header `narrow` (survival,
half-life, daily snapshots) are asked over that account's rows when `--account` is given. The views across
accounts always read all of them.
To measure your own:

```sh
python -m benchmarks.history --accounts 1000 --favourites 100 --days 36 --every 3 --grace 48 sqlite:///many.db
python -m benchmarks.view_timings --write docs/view-speed.md sqlite:///many.db
```

Measured on {date} with Python {python}, on a history of {size}. A view without rows is not timed: the command fails.
"""
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


def timings(connection: Connection, view: View, account: str) -> tuple[int, float, float]:
    """Return the view's rows, and the milliseconds of all and of the first of them.

    Raises: ValueError if the view has no rows: its time would be that of nothing.
    """
    columns = run_query(connection, Query(view, limit=0)).columns
    values = ", ".join(f'count("{name}")' for name in columns)  # count(*) alone would compute none of them
    count = text(f"SELECT count(*), {values} FROM {view.name}")
    rows = connection.execute(count).scalar_one()
    if not rows:
        raise ValueError(f"{view.name} has no rows in this database; make one with more days or accounts")
    query = Query(view, accounts=(account,) if "account" in columns else (), limit=FIRST)
    watch = Stopwatch(connection)
    all_ms = watch.best_ms(lambda: connection.execute(count).scalar_one())
    return rows, all_ms, watch.best_ms(lambda: list(run_query(connection, query).rows))


def page(databases: Sequence[Engine]) -> str:
    """Return the page of `docs/view-speed.md`: a row for each view, the two engines' times of the same history side by side."""
    cells: dict[str, list[str]] = {name: [] for name in sorted(views())}
    for engine in databases:
        with read_transaction(engine) as connection:
            account = every_account(connection)[0].name
            facts = [connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in COUNTED]
            for name, row in cells.items():
                rows, all_ms, first_ms = timings(connection, views()[name], account)
                if not row:
                    row.append(f"{rows:,}")
                row += [f"{all_ms:,.1f}", f"{first_ms:,.1f}"]
    size = ", ".join(f"{count:,} {name}" for name, count in zip(COUNTED, facts, strict=True))
    engines = [f"{engine.dialect.name} {kind}" for engine in databases for kind in ("all", "first")]
    head = f"| view | rows | {' | '.join(engines)} |\n|---|---:|{'---:|' * len(engines)}"
    table = "\n".join(f"| `{name}` | {' | '.join(row)} |" for name, row in cells.items())
    return PAGE.format(date=clock.now().date(), size=size, python=platform.python_version()) + f"\n{head}\n{table}\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.view_timings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("urls", nargs="+", help="databases of `benchmarks.history`: sqlite:///FILE, postgresql://…")
    parser.add_argument("--write", type=Path, help="write the page into this file instead of printing it")
    options = parser.parse_args()
    engines = [open_engine(url) for url in options.urls]
    for engine in engines:
        if engine.dialect.name == "postgresql":  # as its autovacuum does; SQLite has no statistics unless asked
            with write_transaction(engine) as connection:
                connection.execute(text("ANALYZE"))
    written = page(engines)
    if options.write:
        options.write.write_text(written, encoding="utf-8")
    else:
        print(written, end="")


if __name__ == "__main__":
    main()

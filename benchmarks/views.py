"""How long each view takes, on both engines: counted in the database alone, and the first rows of one account as a person asks.

    python -m benchmarks.history --accounts 1 --favourites 10000 --days 1095 --every 2 sqlite:///years.db
    python -m benchmarks.history --accounts 1000 --favourites 100 --days 360 --every 36 sqlite:///many.db
    python -m benchmarks.views years.db many.db >docs/view-speed.md

The databases are those that `benchmarks.history` made; what the views read is copied from each into a PostgreSQL that is started
for this.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, insert, make_url, select, text

from benchmarks.postgres import postgres_server
from benchmarks.view_words import told
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.db.tables import metadata
from etl.reporting.query import Query, known_accounts, run_query
from etl.reporting.views import View, create_views, drop_views, views

REPEATS = 3
LONG_MS = 1_000
FIRST = 100
CHUNK = 20_000
NOT_READ = {"raw_items", "raw_blocks", "walk_pages", "tokens", "schedules", "digests", "rejects"}


@dataclass(frozen=True, slots=True)
class Timed:
    """A view on one database: its rows, and the milliseconds to count them all and to read the first of one account."""

    rows: int
    counted_ms: float
    first_ms: float
    plan: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One history: what is in it, and by view and engine how long it took."""

    accounts: int
    favourites: int
    intervals: int
    runs: int
    timed: dict[str, dict[str, Timed]]


class Stopwatch:
    """Tells CPU time, of this process and of the PostgreSQL process that serves it: other work on the machine is not in it."""

    def __init__(self, connection: Connection) -> None:
        self._server: Path | None = None
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET max_parallel_workers_per_gather = 0"))  # its workers would not be seen
            self._server = Path(f"/proc/{connection.execute(text('SELECT pg_backend_pid()')).scalar_one()}/schedstat")

    def best_ms(self, work: Callable[[], Any]) -> float:
        """Return the least of a few times that ``work`` took, in milliseconds; what takes long is done once."""
        found: list[float] = []
        while len(found) < REPEATS and sum(found) < LONG_MS:
            begun = self._cpu_ms()
            work()
            found.append(self._cpu_ms() - begun)
        return min(found)

    def _cpu_ms(self) -> float:
        there = int(self._server.read_text().split()[0]) / 1e6 if self._server else 0.0
        return time.process_time() * 1000 + there


def timed(connection: Connection, view: View, account: str) -> Timed:
    """Ask ``view`` about everything, and about one account."""
    count = text(f"SELECT count(*) FROM (SELECT * FROM {view.name}) v")
    rows = connection.execute(count).scalar_one()
    columns = run_query(connection, Query(view, limit=0)).columns
    whose = (account,) if "account" in columns else ()
    question = Query(view, accounts=whose, limit=FIRST)
    watch = Stopwatch(connection)
    return Timed(
        rows,
        watch.best_ms(lambda: connection.execute(count).scalar_one()),
        watch.best_ms(lambda: list(run_query(connection, question).rows)),
        plan(connection, view, account if whose else None),
    )


def plan(connection: Connection, view: View, account: str | None) -> str:
    """Return how the database goes about ``view``, asked about one account where it knows accounts."""
    sql = f"SELECT * FROM {view.name}" + (" WHERE account = :account" if account else "")
    values = {"account": account} if account else {}
    if connection.dialect.name == "postgresql":
        return "\n".join(row[0] for row in connection.execute(text(f"EXPLAIN (COSTS OFF) {sql}"), values))
    depth: dict[int, int] = {0: -1}
    lines = []
    for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"), values):
        depth[row[0]] = depth[row[1]] + 1
        lines.append("  " * depth[row[0]] + row[3])
    return "\n".join(lines)


def measured(path: Path, postgres: str, place: int) -> Measured:
    """Measure the history in ``path``, and the same in a new database of the server ``postgres``."""
    found: dict[str, dict[str, Timed]] = {name: {} for name in views()}
    with tempfile.TemporaryDirectory() as folder:
        ours = f"sqlite:///{shutil.copy(path, folder)}"
        _renew_views(ours)
        theirs = copied(ours, postgres, f"views{place}")
        for url in (ours, theirs):
            engine = open_engine(url)
            if (
                engine.dialect.name == "postgresql"
            ):  # as its autovacuum does; on SQLite nobody does it, so neither is it done here
                with write_transaction(engine) as connection:
                    connection.execute(text("ANALYZE"))
            with read_transaction(engine) as connection:
                account = known_accounts(connection)[0]
                for view in views().values():
                    found[view.name][engine.dialect.name] = timed(connection, view, account)
                counts = [connection.execute(text(f"SELECT count(*) FROM {each}")).scalar_one() for each in COUNTED]
            engine.dispose()
    return Measured(*counts, timed=found)


COUNTED = ("accounts", "favourites WHERE valid_to IS NULL", "favourites", "runs")


def _renew_views(url: str) -> None:
    """Make the views anew: an older favsync may have made the history."""
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        drop_views(connection)
        create_views(connection)
    engine.dispose()


def copied(source: str, server: str, name: str) -> str:
    """Copy what the views read from the database ``source`` into a new one of ``server``, and return where it is."""
    admin = create_engine(make_url(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    upgrade(url)
    ours, theirs = open_engine(source), open_engine(url)
    with read_transaction(ours) as read, write_transaction(theirs) as write:
        write.execute(text("TRUNCATE market_set_members, market_sets, markets CASCADE"))
        for table in metadata.sorted_tables:
            if table.name in NOT_READ:
                continue
            result = read.execute(select(table))
            while rows := result.fetchmany(CHUNK):
                write.execute(insert(table), [dict(row._mapping) for row in rows])
    ours.dispose()
    theirs.dispose()
    return url


def main() -> None:
    """Write the page about the histories that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="*", metavar="HISTORY.db")
    parser.add_argument(
        "--kept", type=Path, metavar="FILE", help="begin with the measurements that are there, and add to them"
    )
    given = parser.parse_args()
    kept: list[dict[str, Any]] = json.loads(given.kept.read_text()) if given.kept and given.kept.exists() else []
    if given.paths:
        with postgres_server() as server:
            for place, path in enumerate(given.paths):
                kept.append(asdict(measured(path, server, place)))
                if given.kept:
                    given.kept.write_text(json.dumps(kept))
    print(told([_again(each) for each in kept]), end="")


def _again(kept: dict[str, Any]) -> Measured:
    timed_ = {name: {engine: Timed(**each) for engine, each in found.items()} for name, found in kept["timed"].items()}
    return Measured(**kept | {"timed": timed_})


if __name__ == "__main__":
    main()

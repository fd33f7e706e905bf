"""What each promise costs a first load: favsync as it is, and with one thing left out at a time.

    python -m benchmarks.speed.costs --favourites 10000 --runs 7

Each is a whole process with its start-up, in a new database that is at the newest schema; they take turns, and the medians stand in
``docs/benchmarks.md``. What is left out is left out in the measured process or its database alone: no setting does it, but for the
bodies.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.postgres import postgres_server
from benchmarks.speed.measure import Database, Service, Taken, timed
from benchmarks.speed.plan import ENGINES, STARTS
from benchmarks.speed.report import machine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- costs: begin -->", "<!-- costs: end -->"
RUN = "import sys; from etl.cli import main; sys.exit(main(['sync']))"
FOREIGN_KEYS = "import etl.db.engine as e; e.PRAGMAS = tuple(p for p in e.PRAGMAS if 'foreign_keys' not in p)"
ROLLBACK_JOURNAL = "import etl.db.engine as e; e.PRAGMAS = tuple(p for p in e.PRAGMAS if 'journal_mode' not in p)"
VERSIONS = "import etl.load.tracks as f; f.insert_versions = lambda *_: None"
DROPPED_KEYS = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
    FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""
DROPPED_TRIGGERS = {
    "sqlite": "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": """
        SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal
    """,
}
DROPPED_INDEXES = {
    "sqlite": "SELECT 'DROP INDEX ' || name FROM sqlite_master WHERE type = 'index' AND name LIKE 'ix!_%' ESCAPE '!' "
    "AND name NOT IN ('ix_favourites_missed', 'ix_favourites_open')",
    "postgresql": "SELECT format('DROP INDEX %I', indexname) FROM pg_indexes WHERE schemaname = 'public' "
    "AND indexname LIKE 'ix!_%' ESCAPE '!' AND indexname <> 'ix_favourites_missed'",
}


@dataclass(frozen=True)
class LeftOut:
    """One thing that a run does without: what the process does first, its settings, and what yields the SQL to run before."""

    words: str
    first: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    sql: dict[str, str] = field(default_factory=dict)
    engines: Sequence[str] = ENGINES


EVERYTHING = LeftOut("nothing: favsync as it is")
LEFT_OUT = (
    EVERYTHING,
    LeftOut("every body as received", settings={"FAVSYNC_KEEP_RAW": "false"}),
    LeftOut("the versions of facts", VERSIONS),
    LeftOut("foreign keys", FOREIGN_KEYS, sql={"postgresql": DROPPED_KEYS}),
    LeftOut("the triggers that refuse a wrong history", sql=DROPPED_TRIGGERS),
    LeftOut("indexes that only readers need", sql=DROPPED_INDEXES),
    LeftOut("the write-ahead log, with which readers never wait", ROLLBACK_JOURNAL, engines=("sqlite",)),
)


def measured(left_out: LeftOut, engine: str, folder: Path, server_url: str, service: Service) -> tuple[Taken, float]:
    """Return what a first load takes without that, and the size of its database in MB."""
    database = Database(engine, folder, server_url)
    settings = environment(folder, service, database.url) | left_out.settings
    favsync = str(Path(sys.executable).with_name("favsync"))
    subprocess.run([favsync, "db", "upgrade"], env=settings, check=True, capture_output=True)
    _prepare(database.url, engine, left_out.sql.get(engine, ""))
    program = "\n".join([left_out.first, RUN])
    taken = timed([sys.executable, "-c", program], settings, folder / "output.txt")
    assert not taken.failure, taken
    return taken, database.megabytes()


def environment(folder: Path, service: Service, url: str) -> dict[str, str]:
    """Return the environment of a measured process: the settings, and nothing of the caller's own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BOOMPLAY_API_URL": service.address["url"],
        "BOOMPLAY_ACCESS_TOKEN": service.address["token"],
        "BOOMPLAY_APP_ID": service.address["app_id"],
        "FAVSYNC_DATABASE_URL": url,
        "FAVSYNC_REQUESTS_PER_SECOND": "0",
    }


def _prepare(url: str, engine: str, query: str) -> None:
    """Run each statement that ``query`` yields. SQLite goes back to a journal, from which favsync sets its own log again."""
    if engine == "sqlite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            for (statement,) in connection.execute(query).fetchall() if query else ():
                connection.execute(statement)
            connection.execute("PRAGMA journal_mode = DELETE")
    elif query:
        with psycopg.connect(url, autocommit=True) as connection:
            for (statement,) in connection.execute(query).fetchall():  # type: ignore[arg-type]
                connection.execute(statement)


def table(favourites: int, runs: int, folder: Path, server_url: str) -> str:
    """Measure all of it, in turns, and return the table."""
    found: dict[tuple[str, str], list[tuple[Taken, float]]] = defaultdict(list)
    starts: list[float] = []
    service = Service(favourites)
    try:
        for engine in ENGINES:
            for _ in range(runs):
                for each in LEFT_OUT:
                    if engine in each.engines:
                        found[each.words, engine].append(measured(each, engine, folder, server_url, service))
                        print(engine, each.words, found[each.words, engine][-1], flush=True)
        for _ in range(runs):
            settings = environment(folder, service, "")
            starts.append(timed([sys.executable, "-c", STARTS["favsync-start"]], settings, folder / "o").cpu_seconds)
    finally:
        service.stop()
    where = machine().partition(". Peers")[0]
    start = f"the start alone, interpreter and imports, is {statistics.median(starts):.2f} s of each"
    lines = [
        f"{favourites:,} favourites, medians of {runs} runs in turn; {start}. {where}.",
        "",
        "| left out | SQLite: CPU (wall) | database | PostgreSQL: CPU (wall) | database |",
        "|---|---|---|---|---|",
    ]
    for each in LEFT_OUT:
        cells = [cell for engine in ENGINES for cell in _cells(found.get((each.words, engine), []))]
        lines.append(f"| {each.words} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(samples: Sequence[tuple[Taken, float]]) -> list[str]:
    if not samples:
        return ["", ""]
    cpu, wall = (
        statistics.median(getattr(taken, name) for taken, _ in samples) for name in ("cpu_seconds", "wall_seconds")
    )
    return [f"{cpu:.2f} s ({wall:.2f} s)", f"{statistics.median(size for _, size in samples):.1f} MB"]


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.costs", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--favourites", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--postgres-url", help="a server whose user may create databases; else one is started")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="favsync-bench-") as folder, postgres_server(options.postgres_url) as url:
        written = table(options.favourites, options.runs, Path(folder), url)
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, written), encoding="utf-8")


def replaced(text: str, begin: str, end: str, written: str) -> str:
    """Return ``text`` with ``written`` between the marks."""
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{written}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    main()

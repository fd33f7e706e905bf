"""The measured processes: favsync, the floor and other tools, each phase a whole process, in new databases."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import ENGINES, PHASES, REPEATED, Database, Sample, timed
from benchmarks.service import Service

SCRIPTS = Path(__file__).parent / "tools"
REQUIREMENTS = SCRIPTS / "requirements.txt"
PEER_SETTINGS = {
    "PATH": os.environ["PATH"],
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    **dict.fromkeys(("EXTRACT__WORKERS", "NORMALIZE__WORKERS", "LOAD__WORKERS"), "1"),
}
"""The environment of the peers in `benchmarks.hostile`."""
FAVSYNC = str(Path(sys.executable).with_name("favsync"))
STARTS = {
    "Python": [sys.executable, "-c", "pass"],
    "SQLAlchemy": [sys.executable, "-c", "import sqlalchemy"],
    "httpx": [sys.executable, "-c", "import httpx"],
    "favsync --version": [FAVSYNC, "--version"],
}
FLOORS = {"floor": (), "floor-httpx": ("httpx",)}
TIMES = 3
"""How often a process that syncs repeatedly sees an unchanged list, then added favourites, in one database."""


@dataclass(frozen=True)
class ComparedTool:
    """A tool of others: its script and arguments, under the peers' interpreter, its engines and phases."""

    script: Sequence[str]
    engines: Sequence[str] = ENGINES
    phases: int = len(PHASES)
    limit: float = 300


PEERS = {
    "dlt-text": ComparedTool(("dlt_script.py", "text")),
    "singer-json": ComparedTool(("singer_script.py",), ENGINES[1:]),
    "sqlite-utils": ComparedTool(("sqlite_utils_script.py",), ENGINES[:1]),
    "dlt": ComparedTool(("dlt_script.py", "rows"), phases=2, limit=180),
}


class Processes:
    """Where processes are measured: a folder, a PostgreSQL server, and a service for each size.

    ``peers``: where the other tools are installed. ``deadline``: by the monotonic clock.
    """

    def __init__(self, folder: Path, server_url: str, peers: Path, deadline: float) -> None:
        self._folder, self._server_url, self._peers, self._deadline = folder, server_url, peers, deadline
        self._services: dict[int, Service] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._services.values():
            service.shutdown()

    def _seconds(self, limit: float = 300) -> float:
        """Return how long the next process may take."""
        return min(limit, max(1.0, self._deadline - time.monotonic()))

    def database(self, engine: str, name: str = "measured") -> Database:
        """Return a new database."""
        return Database(engine, self._folder, self._server_url, name)

    def start(self, name: str) -> Sample:
        """Run one of `STARTS`."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        return timed(STARTS[name], environment, self._folder / "output.txt", self._seconds())

    def phases(self, size: int, engine: str, tool: str) -> Iterator[tuple[str, Sample]]:
        """Let a tool copy the list into a new database, phase after phase, until it fails or its time is over."""
        service, database = self._service(size), self.database(engine)
        settings = self._prepared(service, tool, database)
        peer = PEERS.get(tool, ComparedTool(()))
        for phase in list(PHASES)[: peer.phases]:
            if phase == "added":
                service.answers.added(0.01)
            before, limit = service.answers.requests(), self._seconds(peer.limit)
            sample = timed(self._command(tool, database.url), settings, self._folder / "output.txt", limit)
            requests = service.answers.requests() - before
            yield phase, replace(sample, database_mb=database.megabytes(), requests=requests)
            if sample.failure:
                return

    def repeated(self, size: int, engine: str, tool: str) -> Iterator[tuple[str, Sample]]:
        """Let one process copy the list twice, each time into a new database, and measure the second time.

        The first time it imports and compiles what it needs, so the numbers are without the start of a process. Unchanged lists and
        added favourites take turns, so that both are of lists of one length; of each it is the median of `TIMES` syncs.

        Raises: RuntimeError if the process ends.
        """
        service, (first, *later) = self._service(size), PHASES
        databases = [self.database(engine, name) for name in ("practice", "measured")]
        command = [sys.executable, "-m", "benchmarks.tools.repeated", tool]
        how = {"env": self._environment(service, ""), "cwd": SCRIPTS.parents[1]}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how) as running:
            timer = threading.Timer(self._seconds(), running.kill)
            timer.start()
            try:
                for database in databases:
                    self._prepared(service, tool, database)
                    samples: dict[str, list[Sample]] = {phase: [] for phase in PHASES}
                    for phase in (first, *later * TIMES):
                        if phase == "added":
                            service.answers.added(0.01)
                        samples[phase].append(_next_sample(running, database.url))
                for phase, taken in samples.items():
                    yield REPEATED + phase, sorted(taken, key=lambda each: each.cpu_seconds)[len(taken) // 2]
            finally:
                timer.cancel()
                running.kill()

    def _service(self, size: int) -> Service:
        if size not in self._services:
            self._services[size] = Service.begin(size)
        return self._services[size]

    def _prepared(self, service: Service, tool: str, database: Database) -> dict[str, str]:
        """Serve the first list again; make favsync's schema, which is no part of what is measured. Return the environment."""
        service.answers.reset()
        settings = self._environment(service, database.url)
        if tool == "favsync":
            subprocess.run([FAVSYNC, "db", "upgrade"], env=settings, check=True, capture_output=True)
        return settings

    def _command(self, tool: str, url: str) -> list[str]:
        if tool == "favsync":
            return [FAVSYNC, "sync"]
        if tool in FLOORS:
            return [sys.executable, str(SCRIPTS / "floor.py"), url, *FLOORS[tool]]
        script, *more = PEERS[tool].script
        return [str(self._peers / "bin" / "python"), str(SCRIPTS / script), url, *more]

    def _environment(self, service: Service, url: str) -> dict[str, str]:
        """Return the environment of a measured process: the settings, and nothing of the caller's own."""
        return {
            **service.api,
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "WORK_FOLDER": str(self._folder),
            "FAVSYNC_DATABASE_URL": url,
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "WARNING",
        }


def _next_sample(running: subprocess.Popen[bytes], url: str) -> Sample:
    """Let a process of ``repeated.py`` sync into a database."""
    assert running.stdin and running.stdout
    running.stdin.write(f"{url}\n".encode())
    running.stdin.flush()
    answer = running.stdout.readline().split()
    if not answer:
        raise RuntimeError("a process that syncs repeatedly has ended")
    cpu, wall = map(float, answer)
    return Sample(wall, cpu, 0)


def install_peers(folder: Path, requirements: Path = REQUIREMENTS) -> None:
    """Make the environment of the peers, unless it is there.

    Raises: CalledProcessError if they cannot be installed.
    """
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements], check=True)
        stamp.write_text(requirements.read_text())


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return the type of an option that takes some of the ``known`` names, separated by commas."""

    def read(given: str) -> list[str]:
        found = [name for name in given.split(",") if name]
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
        return [name for name in known if name in found]

    return read

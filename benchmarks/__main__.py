"""Time and space of favsync, of other tools and of the floor, on the same lists; judges the targets and writes the page.

    python -m benchmarks --quick
    python -m benchmarks --write docs/benchmarks.md

Each cell is a whole process with its start-up, in a new database; the tools take turns; medians are shown. The other tools run
once, at the first size, within a limit; what does not end its phase is not started again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.growth import measure_growth
from benchmarks.measure import Database, Sample, Service, timed
from benchmarks.page import ENGINES, PHASES, Found, own_memory, page
from benchmarks.postgres import postgres_server
from benchmarks.removal_requests import AGES, GRACES, measure_removal
from etl import logs

SCRIPTS = Path(__file__).parent / "tools"
REQUIREMENTS = SCRIPTS / "requirements.txt"
FAVSYNC = str(Path(sys.executable).with_name("favsync"))
LIMIT_SECONDS, LIMIT_SECONDS_IF_SLOW = 300, 180
STARTS = {
    "Python": [sys.executable, "-c", "pass"],
    "SQLAlchemy": [sys.executable, "-c", "import sqlalchemy"],
    "favsync --version": [FAVSYNC, "--version"],
}


@dataclass(frozen=True)
class ComparedTool:
    """A tool of others: its script and arguments, under the peers' interpreter, and its engines. ``slow``: two phases only."""

    script: Sequence[str]
    engines: Sequence[str] = ENGINES
    slow: bool = False


PEERS = {
    "dlt-text": ComparedTool(("dlt_script.py", "text")),
    "singer-json": ComparedTool(("singer_script.py", "json"), ENGINES[1:]),
    "sqlite-utils": ComparedTool(("sqlite_utils_script.py",), ENGINES[:1]),
    "dlt": ComparedTool(("dlt_script.py", "rows"), slow=True),
    "singer": ComparedTool(("singer_script.py", "rows"), ENGINES[1:], slow=True),
}


class Bench:
    """Where processes are measured: a folder, a PostgreSQL server, and a service for each size."""

    def __init__(self, folder: Path, server_url: str, peers: Path, services: dict[int, Service]) -> None:
        self._folder, self._server_url, self._peers, self._services = folder, server_url, peers, services

    def database(self, engine: str, name: str = "measured") -> Database:
        """Return a new database."""
        return Database(engine, self._folder, self._server_url, name)

    def start(self, name: str) -> Sample:
        """Run a command that copies nothing."""
        return timed(STARTS[name], {"PATH": os.environ["PATH"], "HOME": str(self._folder)}, self._folder / "output.txt")

    def phases(self, tool: str, engine: str, size: int) -> Iterator[tuple[str, Sample]]:
        """Let a tool copy the list into a new database, phase after phase, until it fails."""
        service, database = self._services[size], self.database(engine)
        service.send("reset")
        settings = self._environment(service, database.url)
        if tool == "favsync":  # the schema is no part of what is measured
            subprocess.run([FAVSYNC, "db", "upgrade"], env=settings, check=True, capture_output=True)
        slow = tool in PEERS and PEERS[tool].slow
        for phase in list(PHASES)[: 2 if slow or not size else None]:
            if phase == "added":
                service.send("added", 0.01)
            before = service.send("requests")
            limit = LIMIT_SECONDS_IF_SLOW if slow else LIMIT_SECONDS
            sample = timed(self._command(tool, database.url), settings, self._folder / "output.txt", limit)
            requests = service.send("requests") - before
            yield phase, replace(sample, database_mb=database.megabytes(), requests=requests)
            if sample.failure:
                return

    def _command(self, tool: str, url: str) -> list[str]:
        if tool == "favsync":
            return [FAVSYNC, "sync"]
        if tool == "floor":
            return [sys.executable, str(SCRIPTS / "floor.py"), url]
        script, *more = PEERS[tool].script
        return [str(self._peers / "bin" / "python"), str(SCRIPTS / script), url, *more]

    def _environment(self, service: Service, url: str) -> dict[str, str]:
        """Return the environment of a measured process: the settings, and nothing of the caller's own."""
        address = service.address
        names = {"API_URL": "url", "API_TOKEN": "token", "API_APP_ID": "app_id"}
        ours = {"BOOMPLAY_API_URL": "url", "BOOMPLAY_ACCESS_TOKEN": "token", "BOOMPLAY_APP_ID": "app_id"}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "WORK_FOLDER": str(self._folder),
            **{name: address[key] for name, key in (names | ours).items()},
            "FAVSYNC_DATABASE_URL": url,
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "WARNING",
        }


def measured(options: argparse.Namespace, bench: Bench) -> Found:
    """Measure everything that the page shows."""
    size, large = options.size, options.large
    found = Found(size, large, options.runs, defaultdict(list), days=options.days, own_mb=own_memory())
    rounds = [(measured_size, tool) for tool in ("floor", "favsync") for measured_size in (0, size)]
    for turn in range(options.runs):
        for name in STARTS:
            found.cells[0, "", name, "start"].append(bench.start(name))
        for engine in ENGINES:
            for measured_size, tool in rounds if turn % 2 else rounds[::-1]:
                _add(found, bench, (measured_size, engine, tool))
    once = [(large, tool) for tool in ("floor", "favsync") if large] + [(size, tool) for tool in options.tools]
    for engine in ENGINES:
        for measured_size, tool in once:
            if tool not in PEERS or engine in PEERS[tool].engines:
                _add(found, bench, (measured_size, engine, tool))
    for engine in ENGINES if options.days else ():  # after all processes: theirs begin with this one's memory
        found.growth[engine] = measure_growth(partial(bench.database, engine), size, options.days)
        _say(f"growth on {engine}: {found.growth[engine]}")
    found.removals = [measure_removal(200, age, grace) for age in AGES for grace in GRACES]
    return found


def _add(found: Found, bench: Bench, cell: tuple[int, str, str]) -> None:
    size, engine, tool = cell
    for phase, sample in bench.phases(tool, engine, size):
        found.cells[size, engine, tool, phase].append(sample)
        _say(f"{tool} {size:,} {engine} {phase}: {sample}")


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def install_peers(folder: Path) -> None:
    """Make the environment of the peers, unless it is there.

    Raises: CalledProcessError if they cannot be installed.
    """
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", REQUIREMENTS], check=True)
        stamp.write_text(REQUIREMENTS.read_text())


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print or write the page."""
    options = _options(argv)
    logs.configure("text", "error")
    if options.tools:
        install_peers(options.peers)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="favsync-bench-"))
        server_url = stack.enter_context(postgres_server(options.postgres_url))
        services = {}
        for size in {0, options.size, options.large or 0}:
            services[size] = Service(size)
            stack.callback(services[size].stop)
        text = page(measured(options, Bench(Path(folder), server_url, options.peers, services)))
    with options.write.open("w", encoding="utf-8") if options.write else nullcontext(sys.stdout) as target:
        target.write(text)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    def tools(given: str) -> list[str]:
        names = [name for name in given.split(",") if name]
        if unknown := [name for name in names if name not in PEERS]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(PEERS)}")
        return names

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_000, help="favourites")
    parser.add_argument("--large", type=int, default=100_000, help="favourites of a single large sample; 0 = none")
    parser.add_argument("--tools", type=tools, default=list(PEERS), help=f"others to compare; {', '.join(PEERS)}")
    parser.add_argument("--runs", type=int, default=5, help="medians are shown")
    parser.add_argument(
        "--days", type=int, default=1_095, help="of the database that is compared with a young one; 0 = none"
    )
    parser.add_argument("--quick", action="store_true", help="1,000 favourites, one run, 30 days, no other tools")
    parser.add_argument("--write", type=Path, help="write the page into this file instead of printing it")
    parser.add_argument("--postgres-url", help="a server whose user may create databases; else one is started")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where the other tools are installed")
    options = parser.parse_args(argv)
    if options.quick:
        options.tools, options.size, options.large, options.runs, options.days = [], 1_000, 0, 1, 30
    return options


if __name__ == "__main__":
    main()

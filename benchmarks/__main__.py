"""Time and space of favsync, of other tools and of the floor, on the same lists. Prints the tables of ``docs/benchmarks.md``.

    python -m benchmarks --quick
    python -m benchmarks --sizes 1000,10000 --tools floor,favsync,dlt --runs 3

Each cell is a whole process with its start-up, in a new database; the tools take turns; medians are shown. A tool that does not
end its first load is not started again on that engine. ``--profile`` prints where favsync spends a first load instead.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import Database, Sample, Service, timed
from benchmarks.postgres import postgres_server

SCRIPTS = Path(__file__).parent / "tools"
REQUIREMENTS = SCRIPTS / "requirements.txt"
ENGINES = ("sqlite", "postgresql")
PHASES = {
    "first": ("first load", None),
    "unchanged": ("unchanged", None),
    "added": ("1 % added", 0.01),
    "moved": ("1 % added, 1 % removed", 0.01),
    "facts": ("5 % retitled", 0.05),
}
FAVSYNC = str(Path(sys.executable).with_name("favsync"))
PROFILE = """
import sys
from pyinstrument import Profiler
from etl.cli import main
with Profiler(interval=0.0005, async_mode="disabled") as profiler:
    main(["sync"])
print(profiler.output_text(unicode=True, time="percent_of_total"))
"""


@dataclass(frozen=True)
class ComparedTool:
    """A tool: what it does, its command for a database URL, and its engines. ``script``: under the peers' interpreter."""

    description: str
    script: Sequence[str] = ()
    engines: Sequence[str] = ENGINES


TOOLS = {
    "floor": ComparedTool("fetch, decode, hash, bulk write; nothing else"),
    "favsync": ComparedTool("with history, proofs and every body as received"),
    "dlt": ComparedTool("rest_api + scd2, markets as rows", ("dlt_script.py", "rows")),
    "dlt-text": ComparedTool("rest_api + scd2, markets left as text", ("dlt_script.py", "text")),
    "singer": ComparedTool("SDK tap + target-postgres, markets as rows", ("singer_script.py", "rows"), ENGINES[1:]),
    "singer-json": ComparedTool("the same, nested JSON", ("singer_script.py", "json"), ENGINES[1:]),
    "sqlite-utils": ComparedTool("bulk upserts, no history", ("sqlite_utils_script.py",), ENGINES[:1]),
}


def command(name: str, url: str, peers: Path) -> list[str]:
    """Return the command that lets the tool copy the list into the database."""
    if name == "favsync":
        return [FAVSYNC, "sync"]
    if name == "floor":
        return [sys.executable, str(SCRIPTS / "floor.py"), url]
    script, *more = TOOLS[name].script
    return [str(peers / "bin" / "python"), str(SCRIPTS / script), url, *more]


def environment(service: Service, url: str, folder: Path) -> dict[str, str]:
    """Return the environment of a measured process: the settings, and nothing of the caller's own."""
    address = service.address
    names = {"API_URL": "url", "API_TOKEN": "token", "API_APP_ID": "app_id"}
    ours = {"BOOMPLAY_API_URL": "url", "BOOMPLAY_ACCESS_TOKEN": "token", "BOOMPLAY_APP_ID": "app_id"}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "WORK_FOLDER": str(folder),
        **{name: address[key] for name, key in (names | ours).items()},
        "FAVSYNC_DATABASE_URL": url,
        "FAVSYNC_REQUESTS_PER_SECOND": "0",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "WARNING",
    }


def run_phases(
    name: str, engine: str, service: Service, prepared: tuple[Path, str, Path]
) -> Iterator[tuple[str, Sample]]:
    """Let a tool copy the list into a new database, phase after phase, until it fails."""
    folder, server_url, peers = prepared
    service.send("reset")
    database = Database(engine, folder, server_url)
    settings = environment(service, database.url, folder)
    if name == "favsync":  # the schema is no part of what is measured
        subprocess.run([FAVSYNC, "db", "upgrade"], env=settings, check=True, capture_output=True)
    for phase, (_, share) in PHASES.items():
        if share:
            service.send(phase, share)
        requests = service.send("requests")
        sample = timed(command(name, database.url, peers), settings, folder / "output.txt")
        requests = service.send("requests") - requests
        yield phase, replace(sample, database_mb=database.megabytes(), requests=requests)
        if sample.failure:
            return


def measured(options: argparse.Namespace, prepared: tuple[Path, str, Path]) -> Iterator[str]:
    """Yield a table for each size and engine."""
    for size in options.sizes:
        service = Service(size)
        try:
            service.send("latency", options.latency / 1000)
            for engine in options.engines:
                found: dict[tuple[str, str], list[Sample]] = defaultdict(list)
                names = [name for name in options.tools if engine in TOOLS[name].engines]
                for _ in range(options.runs):
                    for name in names:
                        if any(sample.failure for sample in found[name, "first"]):
                            continue
                        for phase, sample in run_phases(name, engine, service, prepared):
                            found[name, phase].append(sample)
                            print(f"{name} {size:,} {engine} {phase}: {sample}", file=sys.stderr, flush=True)
                title = f"### {size:,} favourites, {engine}, {options.latency} ms a page, {options.runs} runs"
                yield title + "\n\n" + table(found, names)
        finally:
            service.stop()


def table(found: dict[tuple[str, str], list[Sample]], names: Sequence[str]) -> str:
    """Return the medians: processor seconds (wall-clock seconds) of each phase, then space and requests."""
    head = ["tool", *(words for words, _ in PHASES.values()), "memory MB", "database MB", "requests first"]
    rows = [head, ["---"] * len(head)]
    for name in names:
        cells = [found.get((name, phase), []) for phase in PHASES]
        rows.append([name, *map(_seconds, cells)])
        largest = max((sample.memory_mb for cell in cells for sample in cell), default=0.0)
        first = cells[0][-1] if cells[0] else Sample(0, 0, 0)
        rows[-1] += [f"{largest:.0f}", f"{first.database_mb:.1f}", str(first.requests)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _seconds(samples: Sequence[Sample]) -> str:
    done = [sample for sample in samples if not sample.failure]
    if not done:
        return samples[-1].failure if samples else "not run"
    cpu, wall = (statistics.median(getattr(each, name) for each in done) for name in ("cpu_seconds", "wall_seconds"))
    return f"{cpu:.2f} ({wall:.2f})"


def install_peers(folder: Path) -> None:
    """Make the environment of the peers, unless it is there.

    Raises: CalledProcessError if they cannot be installed.
    """
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", REQUIREMENTS], check=True)
        stamp.write_text(REQUIREMENTS.read_text())


def profile(size: int, folder: Path) -> str:
    """Return where a first load of favsync into SQLite spends its time, as pyinstrument sees it."""
    service = Service(size)
    try:
        settings = environment(service, Database("sqlite", folder, "").url, folder)
        subprocess.run([FAVSYNC, "db", "upgrade"], env=settings, check=True, capture_output=True)
        return subprocess.run(
            [sys.executable, "-c", PROFILE], env=settings, check=True, capture_output=True, text=True
        ).stdout
    finally:
        service.stop()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    options = _options(argv)
    if any(TOOLS[name].script for name in options.tools) and not options.profile:
        install_peers(options.peers)
    needs_server = "postgresql" in options.engines and not options.profile
    with (
        tempfile.TemporaryDirectory(prefix="favsync-bench-") as folder,
        postgres_server(options.postgres_url) if needs_server else nullcontext("") as server_url,
    ):
        if options.profile:
            print(profile(options.sizes[-1], Path(folder)))
            return
        print(f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}.\n")
        for part in measured(options, (Path(folder), server_url, options.peers)):
            print(part + "\n", flush=True)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    def several(kind: Callable[[str], object], known: Sequence[str] = ()) -> Callable[[str], list[object]]:
        def read(text: str) -> list[object]:
            if unknown := [part for part in text.split(",") if known and part not in known]:
                raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
            return [kind(part) for part in text.split(",")]

        return read

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=several(int), default=[1_000, 10_000], help="favourites, with commas")
    parser.add_argument("--tools", type=several(str, tuple(TOOLS)), default=list(TOOLS), help=", ".join(TOOLS))
    parser.add_argument("--engines", type=several(str, ENGINES), default=list(ENGINES), help=", ".join(ENGINES))
    parser.add_argument("--latency", type=int, default=0, help="milliseconds a page")
    parser.add_argument("--runs", type=int, default=3, help="medians are shown")
    parser.add_argument("--quick", action="store_true", help="floor and favsync, 1,000 favourites, one run")
    parser.add_argument("--profile", action="store_true", help="profile favsync's first load instead")
    parser.add_argument("--postgres-url", help="a server whose user may create databases; else one is started")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where the peers are installed")
    options = parser.parse_args(argv)
    if options.quick:
        options.tools, options.sizes, options.runs = ["floor", "favsync"], [1_000], 1
    return options


if __name__ == "__main__":
    main()

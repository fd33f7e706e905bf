"""Which tools there are, and which runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.speed.measure import Database, Sample, Service, Taken, timed

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parent / "requirements-peers.txt"
PHASES = ("first", "unchanged", "added", "moved", "facts")
ENGINES = ("sqlite", "postgresql")
STARTS = {
    "interpreter": "pass",
    "favsync-start": "import atexit, gc; gc.set_threshold(200_000, 20, 50); atexit.register(gc.freeze); "
    "import etl.cli.sync, etl.accounts.session, etl.sync, etl.db.migrate",
}
"""What a process takes before it does anything: the interpreter alone, and with what `favsync sync` imports."""
STARTS_MEASURED = 7
USUAL = 10_000
SHARE_MOVED, SHARE_RETITLED = 0.01, 0.05


@dataclass(frozen=True)
class Tool:
    """A tool: how it is called, and on which engines it can be."""

    name: str
    words: str
    command: Callable[[str], list[str]]
    engines: Sequence[str] = ENGINES
    is_peer: bool = False


class Peers:
    """The environment that the peers are installed in; ``why_not`` says why there is none."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "bin" / "python"
        self.why_not = ""
        stamp = folder / "installed.txt"
        if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
            return
        venv.create(folder, with_pip=True)
        done = subprocess.run([self.python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=False)
        if done.returncode:
            self.why_not = "could not be installed"
        else:
            stamp.write_text(REQUIREMENTS.read_text())


def tools(peers_python: Path) -> dict[str, Tool]:
    """Return the tools by name, the floor first."""

    def ours(script: str) -> Callable[[str], list[str]]:
        return lambda url: [sys.executable, str(HERE / "tools" / script), url]

    def peer(script: str, *more: str) -> Callable[[str], list[str]]:
        return lambda url: [str(peers_python), str(HERE / "tools" / script), url, *more]

    favsync = str(Path(sys.executable).with_name("favsync"))
    every = [
        Tool("floor", "fetch, decode, hash, bulk write; nothing else", ours("floor.py")),
        Tool("favsync", "with history, proofs and every body as received", lambda _url: [favsync, "sync"]),
        Tool("dlt", "rest_api + scd2, markets as rows", peer("dlt_script.py", "rows"), is_peer=True),
        Tool("dlt-text", "rest_api + scd2, markets left as text", peer("dlt_script.py", "text"), is_peer=True),
        Tool("singer", "SDK tap + target-postgres, markets as rows", peer("singer.py", "rows"), ("postgresql",), True),
        Tool("singer-json", "the same, nested JSON", peer("singer.py", "json"), ("postgresql",), True),
        Tool("orm", "SQLAlchemy ORM script with caches", peer("orm.py"), is_peer=True),
        Tool("sqlite-utils", "bulk upserts", peer("sqlite_utils_script.py"), ("sqlite",), True),
    ]
    return {tool.name: tool for tool in every}


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    tools: Sequence[Tool]
    sizes: Sequence[int]
    engines: Sequence[str]
    latencies_ms: Sequence[int]
    phases: Sequence[str]
    runs: int
    folder: Path
    server_url: str
    why_no_peers: str = ""
    hopeless: dict[tuple[str, str], str] = field(default_factory=dict)

    def samples(self) -> Iterator[Sample]:
        """Carry it out: within each cell of the table the tools take turns."""
        if self._are_starts_wanted():
            yield from self._starts()
        for size in self.sizes:
            service = Service(size)
            try:
                for latency_ms in self.latencies_ms:
                    for engine in self.engines:
                        for _ in range(self.runs):
                            for tool in self.tools:
                                if engine in tool.engines:
                                    blank = Sample(tool.name, size, engine, latency_ms, "", measured_on=_today())
                                    yield from self._run(tool, service, blank)
            finally:
                service.stop()

    def _are_starts_wanted(self) -> bool:
        """Say whether cells are measured that are judged beside the starts: so both come from the same hour of the machine."""
        is_ours = any(tool.name == "favsync" for tool in self.tools)
        return (
            is_ours and USUAL in self.sizes and 0 in self.latencies_ms and bool({"first", "unchanged"} & {*self.phases})
        )

    def _starts(self) -> Iterator[Sample]:
        """Measure the starts, after one that is not counted: it compiles what has changed since it was last run."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        for turn in range(STARTS_MEASURED + 1):
            for name, program in STARTS.items():
                taken = timed([sys.executable, "-c", program], environment, self.folder / "output.txt")
                if turn:
                    yield _filled(Sample(name, 0, "", 0, "start", measured_on=_today()), taken)

    def _run(self, tool: Tool, service: Service, blank: Sample) -> Iterator[Sample]:
        """Run a tool through the phases, unless it is known not to come to the end of the first."""
        why = self.why_no_peers if tool.is_peer else ""
        why = why or self.hopeless.get((tool.name, blank.engine), "")
        left = list(self.phases)
        if not why:
            for sample in self._phases(tool, service, blank):
                why = sample.failure
                if sample.phase in left:
                    left.remove(sample.phase)
                    yield sample
                if why and sample.phase == PHASES[0]:
                    self.hopeless[tool.name, blank.engine] = f"{why} (at {blank.size:,})"
        yield from (replace(blank, phase=phase, failure=why) for phase in left)

    def _phases(self, tool: Tool, service: Service, blank: Sample) -> Iterator[Sample]:
        """Carry out the phases one after the other, those too that only lead to one that is wanted."""
        service.tell("latency", 0)
        service.tell("reset")
        database = Database(blank.engine, self.folder, self.server_url)
        environment = self._environment(service, database.url)
        if tool.name == "favsync" and blank.engine == "postgresql":
            upgrade = [*tool.command(database.url)[:1], "db", "upgrade"]
            subprocess.run(upgrade, env=environment, check=True, stdout=subprocess.DEVNULL)
        for phase in PHASES[: 1 + max(map(PHASES.index, self.phases))]:
            if phase in ("added", "moved"):
                service.tell(phase, SHARE_MOVED)
            elif phase == "facts":
                service.tell(phase, SHARE_RETITLED)
            service.tell("latency", blank.latency_ms / 1000 if phase in self.phases else 0)
            asked, rows = service.tell("requests"), database.rows()
            taken = timed(tool.command(database.url), environment, self.folder / "output.txt")
            yield replace(
                _filled(blank, taken),
                phase=phase,
                database_mb=round(database.megabytes(), 2),
                rows=database.rows() - rows,
                requests=service.tell("requests") - asked,
            )
            if taken.failure:
                return

    def _environment(self, service: Service, url: str) -> dict[str, str]:
        address = service.address
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "WORK_FOLDER": str(self.folder),
            "API_URL": address["url"],
            "API_TOKEN": address["token"],
            "API_APP_ID": address["app_id"],
            "BOOMPLAY_API_URL": address["url"],
            "BOOMPLAY_ACCESS_TOKEN": address["token"],
            "BOOMPLAY_APP_ID": address["app_id"],
            "FAVSYNC_DATABASE_URL": url,
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "WARNING",
        }


def hopeless(samples: Sequence[Sample]) -> dict[tuple[str, str], str]:
    """Return why tools did not come to the end of a first load, by tool and engine."""
    return {(each.tool, each.engine): each.failure for each in samples if each.failure and each.phase == PHASES[0]}


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _filled(blank: Sample, taken: Taken) -> Sample:
    return replace(
        blank,
        wall_seconds=round(taken.wall_seconds, 3),
        cpu_seconds=round(taken.cpu_seconds, 3),
        memory_mb=round(taken.memory_mb, 1),
        failure=taken.failure,
    )


def kept(path: Path) -> list[Sample]:
    """Return the samples that earlier calls kept."""
    return [Sample(**row) for row in json.loads(path.read_text())] if path.exists() else []


def keep(path: Path, samples: Sequence[Sample]) -> None:
    """Keep samples, one a line."""
    lines = ",\n".join(json.dumps(sample.as_json()) for sample in samples)
    path.write_text(f"[\n{lines}\n]\n")

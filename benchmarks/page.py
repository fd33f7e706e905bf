"""Judges the targets, and writes the page of `docs/benchmarks.md` from the samples of one run."""

from __future__ import annotations

import math
import os
import platform
import resource
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.growth import Growth
from benchmarks.measure import RSS_UNIT, Sample
from benchmarks.removal_requests import Removal
from etl import clock

ENGINES = ("sqlite", "postgresql")
ENGINE_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
PHASES = {"first": "first load", "unchanged": "unchanged", "added": "1 % added"}
MEMORY_MB = {10_000: 110, 100_000: 250}
Cell = tuple[int, str, str, str]
"""Size, engine, tool, phase."""


@dataclass
class Found:
    """All samples of one run, and the sizes, runs and days that they were taken with."""

    size: int
    large: int
    runs: int
    cells: dict[Cell, list[Sample]]
    growth: dict[str, Growth] = field(default_factory=dict)
    removals: list[Removal] = field(default_factory=list)
    days: int = 0
    own_mb: float = 0.0

    def median(self, name: str, cell: Cell) -> float:
        """Return the median of one attribute of a cell's samples."""
        return statistics.median(getattr(sample, name) for sample in self.cells[cell])

    def largest(self, name: str, size: int, engine: str, tool: str) -> float:
        """Return the largest of one attribute, over all phases."""
        cells = (self.cells.get((size, engine, tool, phase), []) for phase in PHASES)
        return max((getattr(sample, name) for cell in cells for sample in cell), default=0.0)

    def without_start(self, engine: str, tool: str, phase: str) -> list[float]:
        """Return each round's processor seconds, without those of a sync of an empty list in the same round."""
        whole, start = self.cells[self.size, engine, tool, phase], self.cells[0, engine, tool, "unchanged"]
        return [each.cpu_seconds - none.cpu_seconds for each, none in zip(whole, start, strict=True)]


class Verdict(NamedTuple):
    """A target and what was measured: ``found`` must be at most ``limit``."""

    target: str
    engine: str
    limit: float
    found: float
    numbers: str

    @property
    def is_met(self) -> bool:
        """True if the target is met."""
        return 0 < self.found <= self.limit


def verdicts(found: Found) -> Iterator[Verdict]:
    """Yield a verdict for each target that the run measured."""
    for engine in ENGINES:
        first, floor_first = (found.without_start(engine, tool, "first") for tool in ("favsync", "floor"))
        same, floor_same = (found.without_start(engine, tool, "unchanged") for tool in ("favsync", "floor"))
        added = found.without_start(engine, "favsync", "added")
        yield _ratio("first load, floors", engine, 2.5, (first, floor_first))
        yield _ratio("unchanged, fetch and hash", engine, 1.5, (same, floor_same))
        yield _ratio("1 % added, unchanged syncs", engine, 1.2, (added, same))
        for size in (found.size, found.large):
            if size in MEMORY_MB and (found.cells.get((size, engine, "favsync", "added"))):
                memory = found.largest("memory_mb", size, engine, "favsync")
                yield Verdict(f"memory at {size:,}, MB", engine, MEMORY_MB[size], memory, "peak of all phases")
        ours, floors = (
            found.median("database_mb", (found.size, engine, tool, "first")) for tool in ("favsync", "floor")
        )
        yield Verdict("database, floors", engine, 2.0, ours / floors, f"{ours:.1f} to {floors:.1f} MB")
        if engine == "postgresql":
            walls = [found.median("wall_seconds", (found.size, engine, tool, "first")) for tool in ("favsync", "floor")]
            numbers = f"{walls[0]:.2f} to {walls[1]:.2f} s, whole processes"
            yield Verdict("first load by the wall, floors", engine, 3.0, walls[0] / walls[1], numbers)
        if engine in found.growth:
            grown = found.growth[engine]
            times = f"{grown.old * 1000:.0f} to {grown.young * 1000:.0f} ms"
            yield Verdict("a day's changes, in a young database's", engine, 1.1, grown.slower, times)
            sizes = f"{grown.old_mb:.1f} to {grown.plain_mb:.1f} MB"
            yield Verdict("size after years, plain SCD2 tables", engine, 2.0, grown.larger, sizes)


def _ratio(target: str, engine: str, limit: float, both: tuple[list[float], list[float]]) -> Verdict:
    one, other = (statistics.median(each) for each in both)
    rounds = [left / right if right else math.nan for left, right in zip(*both, strict=True)]
    numbers = f"{one:.2f} to {other:.2f} s; rounds {min(rounds):.2f} to {max(rounds):.2f}"
    # A difference that is lost in the noise shows nothing: not met, whatever the quotient.
    return Verdict(target, engine, limit, one / other if one > 0 and other > 0 else math.nan, numbers)


def page(found: Found) -> str:
    """Return the whole page."""
    return (
        "\n\n".join([_conditions(found), _targets(found), *_cells(found), _growth(found), _removals(found), LIMITS])
        + "\n"
    )


def _conditions(found: Found) -> str:
    today = clock.now().date()
    starts = {cell[2]: found.median("cpu_seconds", cell) for cell in found.cells if cell[3] == "start"}
    reported = ", ".join(f"`{name}` {seconds:.2f} s" for name, seconds in starts.items())
    ours = ", ".join(
        f"{found.median('cpu_seconds', (0, engine, 'favsync', 'unchanged')):.2f} s on {ENGINE_NAMES[engine]}"
        for engine in ENGINES
    )
    return f"""# Benchmarks

What favsync costs, beside other tools and beside the least that any design must do (*the floor*: fetch, decode, hash, bulk
write; no history, no proofs, no bodies, no checks), on the same seeded lists over the same [sandbox](sandbox.md).
`make bench ARGS="--write docs/benchmarks.md"` measures again and writes this page; `python -m benchmarks --quick` prints a small one.

Measured on {today}: {os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}; medians of {found.runs} round(s), in which favsync and the floor take turns. The other tools are measured once.

- Each sample is a whole process in a new database. `favsync db upgrade` runs before and is not measured.
- *Start*: an unchanged sync of an empty list, measured in the same round. It is subtracted from each tool's own time for the targets of
  processor time. favsync's takes {ours}. Reported, not judged: {reported}.
- Processor time is that of the process; PostgreSQL's server is not in it, except under growth.
- Memory is the peak; the program that starts a process has {found.own_mb:.0f} MB, and less is not seen.
- Read the numbers as ratios: a machine that does other work shows longer times for all."""


def own_memory() -> float:
    """Return the megabytes of this process, which a process that it starts shows at least."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 1e6


def _targets(found: Found) -> str:
    rows = ["## Targets", "", "| what, in | engine | at most | measured | | numbers |", "|---|---|---:|---:|---|---|"]
    for each in verdicts(found):
        digits = 0 if each.limit >= 10 else 2
        mark = "not seen in the noise" if math.isnan(each.found) else "met" if each.is_met else "**missed**"
        cells = (
            each.target,
            ENGINE_NAMES[each.engine],
            f"{each.limit:g}",
            f"{each.found:.{digits}f}",
            mark,
            each.numbers,
        )
        rows.append(f"| {' | '.join(cells)} |")
    if absent := [f"{size:,}" for size in MEMORY_MB if size not in (found.size, found.large)]:
        rows += ["", f"Not measured in this run: memory at {' and '.join(absent)} favourites."]
    if not found.growth:
        rows += ["", "Not measured in this run: growth."]
    return "\n".join(rows)


def _cells(found: Found) -> Iterator[str]:
    """Yield a table for each size and engine: processor seconds, and wall-clock seconds in parentheses."""
    yield "## Beside other tools\n\nProcessor seconds, then wall-clock seconds in parentheses. Memory is the peak of all phases."
    for size in filter(None, (found.size, found.large)):
        for engine in ENGINES:
            tools = list(dict.fromkeys(cell[2] for cell in found.cells if cell[:2] == (size, engine)))
            rows = [f"### {size:,} favourites, {ENGINE_NAMES[engine]}", ""]
            rows.append(f"| tool | {' | '.join(PHASES.values())} | memory MB | database MB | requests |")
            rows.append("|---|---|---|---|---:|---:|---:|")
            for tool in tools:
                samples = [found.cells.get((size, engine, tool, phase), []) for phase in PHASES]
                memory = found.largest("memory_mb", size, engine, tool)
                first = samples[0][-1]
                cells = [
                    tool,
                    *map(_seconds, samples),
                    f"{memory:.0f}",
                    f"{first.database_mb:.1f}",
                    str(first.requests),
                ]
                rows.append(f"| {' | '.join(cells)} |")
            if set(tools) <= {"favsync", "floor"}:
                rows += ["", "The other tools were not measured here."]
            yield "\n".join(rows)


def _seconds(samples: Sequence[Sample]) -> str:
    done = [sample for sample in samples if not sample.failure]
    if not done:
        return samples[-1].failure if samples else "not run"
    cpu, wall = (statistics.median(getattr(each, name) for each in done) for name in ("cpu_seconds", "wall_seconds"))
    return f"{cpu:.2f} ({wall:.2f})"


def _growth(found: Found) -> str:
    rows = ["## Growth", ""]
    rows.append(
        f"{found.size:,} favourites, {found.days:,} days, 1 % a day (half added, half removed), a removal grace of 0, the service in memory.\n"
        "The young and the old database sync further days in turn; processor time includes PostgreSQL's server. The *plain* table has one\n"
        "row an interval with each field as received (artists as JSON, markets as one text), as SCD2 strategies of other tools write it."
    )
    rows += [
        "",
        "| engine | a day, young | a day, old | MB after day 1 | MB, old | MB, plain | its rows |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for engine, grown in found.growth.items():
        times = f"{grown.young * 1000:.0f} ms | {grown.old * 1000:.0f} ms"
        sizes = f"{grown.young_mb:.1f} | {grown.old_mb:.1f} | {grown.plain_mb:.1f} | {grown.plain_rows:,}"
        rows.append(f"| {ENGINE_NAMES[engine]} | {times} | {sizes} |")
    return "\n".join(rows) if found.growth else "## Growth\n\nNot measured in this run."


def _removals(found: Found) -> str:
    rows = ["## Requests of one removal", ""]
    rows.append(
        "Hourly syncs until one removal is recorded. *More*: requests beside those of unchanged syncs in the same time. *Before*: the same by\n"
        "the rule of commit `d03eefb`, computed: four readings of a list that lacks a young favourite, two else. With a grace, a removal is also\n"
        "confirmed by later syncs, which the schedule sends anyway;\n"
        "each sync that has a missing favourite sends one request more."
    )
    rows += [
        "",
        "| favourites | age | settings | syncs | requests | more | more, before |",
        "|---:|---|---|---:|---:|---:|---:|",
    ]
    for each in found.removals:
        cells = (each.favourites, each.age, each.grace, each.syncs, each.requests, each.more, each.more_before)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


LIMITS = """## What is counted in each build

`tests/sync/test_costs.py` fixes rows, statements, requests, bytes a favourite and requests of a removal on both engines;
`tests/cli/test_imports.py` fixes what `--help`, `status` and `sync` import. Counts do not depend on the machine, times do.

What trust costs is inside these numbers: every body as received, foreign keys and triggers in the database, the second reading of
each list that lacks a favourite. How fast reports are: [view-speed.md](view-speed.md)."""

"""Judges the targets, and writes the page of `docs/benchmarks.md` from the samples that were found."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from benchmarks.measure import ENGINES, PHASES, REPEATED, Sample
from benchmarks.processes import FLOORS
from benchmarks.samples import Found

ENGINE_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
MEMORY_MB = {10_000: 110, 100_000: 250}
BUSY = 0.25
"""The load average of each processor, before a measurement, from which the machine counts as busy."""


class Verdict(NamedTuple):
    """A target and what was measured: ``found`` must be at most ``limit``."""

    target: str
    engine: str
    limit: float
    found: float
    numbers: str
    rounds: int = 1

    @property
    def is_met(self) -> bool:
        """True if the target is met."""
        return self.found <= self.limit


def verdicts(found: Found) -> Iterator[Verdict]:
    """Yield a verdict for each target that was measured."""
    size = found.key.size
    for engine in ENGINES:
        for phase, limit in (("first", 2.5), ("unchanged", 1.5)):
            for floor in FLOORS:
                ours, theirs = (_without_start(found, engine, tool, phase) for tool in ("favsync", floor))
                yield from _ratio(f"{PHASES[phase]}, {floor}'s", engine, limit, ours, theirs)
        more, same = (_without_start(found, engine, "favsync", phase) for phase in ("added", "unchanged"))
        yield from _ratio("1 % added, unchanged syncs'", engine, 1.2, more, same)
        for count, limit in MEMORY_MB.items():
            if samples := [sample for phase in PHASES for sample in found.done((count, engine, "favsync", phase))]:
                memory, rounds = max(each.memory_mb for each in samples), len({each.turn for each in samples})
                yield Verdict(f"memory at {count:,}, MB", engine, limit, memory, "peak of all phases", rounds)
        cells = [(size, engine, tool, "first") for tool in ("favsync", "floor")]
        if rounds := min(len(found.done(cell)) for cell in cells):
            ours, floors = (found.median("database_mb", cell) for cell in cells)
            yield Verdict("database, floor's", engine, 2.0, ours / floors, f"{ours:.1f} to {floors:.1f} MB", rounds)
        if engine == "postgresql":
            ours, theirs = (
                _without_start(found, engine, tool, "first", "wall_seconds") for tool in ("favsync", "floor")
            )
            yield from _ratio("first load by the wall, floor's", engine, 3.0, ours, theirs)
        if grown := found.growth.get(engine):
            times = f"{grown.old * 1000:.0f} to {grown.young * 1000:.0f} ms"
            yield Verdict("a day's changes, in a young database's", engine, 1.1, grown.slower, times, grown.pairs)
            sizes_mb = f"{grown.old_mb:.1f} to {grown.plain_mb:.1f} MB"
            yield Verdict("size after years, plain SCD2 tables", engine, 2.0, grown.larger, sizes_mb)


def _without_start(found: Found, engine: str, tool: str, phase: str, name: str = "cpu_seconds") -> dict[int, float]:
    """Return by round what a phase takes: of ``floor`` less the bare interpreter, of the others less all that a process does once."""
    if tool != "floor":
        return found.by_round(name, (found.key.size, engine, tool, REPEATED + phase))
    interpreter = found.median(name, (0, "", "Python", "start")) or 0.0
    whole = found.by_round(name, (found.key.size, engine, tool, phase))
    return {turn: seconds - interpreter for turn, seconds in whole.items()}


def _ratio(
    target: str, engine: str, limit: float, left: Mapping[int, float], right: Mapping[int, float]
) -> Iterator[Verdict]:
    """Yield the median of the quotients of the rounds that have both."""
    if turns := sorted(left.keys() & right.keys()):
        each_round = [left[turn] / right[turn] for turn in turns]
        one, other = (statistics.median(each[turn] for turn in turns) for each in (left, right))
        numbers = f"{one:.2f} to {other:.2f} s; rounds {min(each_round):.2f} to {max(each_round):.2f}"
        yield Verdict(target, engine, limit, statistics.median(each_round), numbers, len(turns))


def page(found: Found) -> str:
    """Return the whole page."""
    parts = [_conditions(found), _targets(found), *_cells(found), _growth(found), _removals(found), LIMITS]
    return "\n\n".join(parts) + "\n"


def _conditions(found: Found) -> str:
    started = max(by.began for by in found.parts.values())
    starts = [(cell[2], found.median("cpu_seconds", cell)) for cell in found.cells if cell[3] == "start"]
    reported = ", ".join(f"`{name}` {seconds:.2f} s" for name, seconds in starts if seconds)
    ours, strict = ", ".join(_starts(found)), ", ".join(_without_imports(found))
    remarks = "\n".join(_remarks(found))
    own_mb = max(by.own_mb for by in found.parts.values())
    return f"""# Benchmarks

What favsync costs, beside other tools and beside the least that any design must do (*the floor*: fetch, decode, hash, bulk
write; no history, no proofs, no bodies, no checks), on the same seeded lists over the same [sandbox](sandbox.md).
`make bench ARGS="--write docs/benchmarks.md"` measures again and writes this page; `python -m benchmarks --quick` prints a small one.

Measured on {started.date()} at commit {found.key.commit}: {os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}. Medians are shown.

{remarks}
- Each sample is a whole process in a new database. `favsync db upgrade` runs before and is not measured. In a round, favsync and the floors
  take turns, in an order that alternates. The other tools and the large list are measured once.
- `floor` fetches with `http.client`, `floor-httpx` with httpx, favsync's own HTTP client, which favsync does not choose for speed.
- Targets of time are without start. Of favsync and `floor-httpx` that is all that a process does once: it copies the list into one database, and is
  measured while it does the same with another (of unchanged and added, the median of three syncs). Of `floor` it is the bare interpreter
  alone, as when the targets were set: its imports count as its work.
  Reported, not judged: favsync beside `floor` without its imports, {strict or "(not measured)"}. *Start* is what a whole
  process takes more, in favsync's unchanged sync {ours or "(not measured)"}. Reported, not judged: {reported or "nothing"}.
- A quotient is the median of the rounds' quotients.
- Processor time is that of the process; PostgreSQL's server is not in it, except under growth.
- Memory is the peak; the program that starts a process has {own_mb:.0f} MB, and less is not seen."""


def _starts(found: Found) -> Iterator[str]:
    """Yield for each engine what a whole process of an unchanged sync takes more than a repeated one."""
    for engine in ENGINES:
        cells = [(found.key.size, engine, "favsync", phase) for phase in ("unchanged", REPEATED + "unchanged")]
        if all(map(found.done, cells)):
            whole, repeated = (found.median("cpu_seconds", cell) for cell in cells)
            yield f"{whole - repeated:.2f} s on {ENGINE_NAMES[engine]}"


def _without_imports(found: Found) -> Iterator[str]:
    """Yield favsync's quotients beside the floor, if all that a process does once is left out of both."""
    for engine in ENGINES:
        for phase in ("first", "unchanged"):
            cells = ((found.key.size, engine, tool, REPEATED + phase) for tool in ("favsync", "floor"))
            ours, theirs = (found.by_round("cpu_seconds", cell) for cell in cells)
            if each_round := [ours[turn] / theirs[turn] for turn in ours.keys() & theirs.keys()]:
                yield f"{PHASES[phase]} {statistics.median(each_round):.1f} on {ENGINE_NAMES[engine]}"


def _remarks(found: Found) -> Iterator[str]:
    """Yield a line for what a reader must know before the numbers: how busy the machine was, what is old, what is not whole."""
    load = max(by.load for by in found.parts.values())
    busy = "**the machine was busy**, so times are too long and ratios rough" if load > BUSY else "the machine was idle"
    yield f"- Load average before the start: {load:.2f} for each processor; {busy}."
    started = max(by.began for by in found.parts.values())
    for part, by in found.parts.items():
        if started - by.began > timedelta(0):
            yield f"- *{part}* is {(started - by.began).total_seconds() / 3600:.1f} hours older than the newest part, of the same commit and machine."
    for part, failure in found.failures.items():
        yield f"- **{part} is not whole**: {failure.rstrip('.')}."


def _targets(found: Found) -> str:
    rows = ["## Targets", "", "| what, in | engine | at most | measured | | numbers | rounds |"]
    rows.append("|---|---|---:|---:|---|---|---:|")
    for each in verdicts(found):
        digits = 0 if each.limit >= 10 else 2
        mark = "met" if each.is_met else "**missed**"
        judged = f"{each.limit:g} | {each.found:.{digits}f} | {mark} | {each.numbers} | {each.rounds}"
        rows.append(f"| {each.target} | {ENGINE_NAMES[each.engine]} | {judged} |")
    sizes = {cell[0] for cell in found.cells}
    if absent := [f"{size:,}" for size in MEMORY_MB if size not in sizes]:
        rows += ["", f"Not measured: memory at {' and '.join(absent)} favourites."]
    return "\n".join(rows)


def _cells(found: Found) -> Iterator[str]:
    """Yield a table for each size and engine: processor seconds, and wall-clock seconds in parentheses."""
    yield "## Beside other tools\n\nProcessor seconds, then wall-clock seconds in parentheses. Memory is the peak of all phases."
    for size in sorted({cell[0] for cell in found.cells} - {0}):
        for engine in ENGINES:
            tools = sorted({cell[2] for cell in found.cells if cell[:2] == (size, engine)})
            rows = [f"### {size:,} favourites, {ENGINE_NAMES[engine]}", ""]
            rows.append(f"| tool | {' | '.join(PHASES.values())} | memory MB | database MB | requests |")
            rows.append("|---|---|---|---|---:|---:|---:|")
            for tool in sorted(tools, key=lambda name: name not in ("favsync", "floor", "floor-httpx")):
                samples = [found.cells.get((size, engine, tool, phase), []) for phase in PHASES]
                memory = max((each.memory_mb for phase in samples for each in phase), default=0)
                cells = [tool, *map(_seconds, samples), f"{memory:.0f}"]
                if samples[0]:
                    cells += [f"{samples[0][-1].database_mb:.1f}", f"{samples[0][-1].requests}"]
                rows.append(f"| {' | '.join(cells)} |")
            if set(tools) <= {"favsync", "floor", "floor-httpx"}:
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
        f"{found.key.size:,} favourites, {found.key.days:,} days, 1 % a day (half added, half removed), a removal grace of 0, the service in memory;\n"
        "its answers are bytes, which favsync decodes as always. The old database is loaded day by day as syncs load it, with the state in\n"
        "memory (`tests/benchmarks/test_growth.py` compares all tables); then the young and the old database sync further days in turn.\n"
        "Processor time includes PostgreSQL's server. The *plain* table has one row an interval with each field as received (artists as JSON,\n"
        "markets as one text), as SCD2 strategies of other tools write it."
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
    return "\n".join(rows) if found.growth else "## Growth\n\nNot measured."


def _removals(found: Found) -> str:
    rows = ["## Requests of one removal", ""]
    rows.append(
        "Hourly syncs until one removal is recorded. *More*: requests beside those of unchanged syncs in the same time. *Before*: the same by\n"
        "the rule of commit `d03eefb`, computed: four readings of a list that lacks a young favourite, two else. With a grace, a removal is also\n"
        "confirmed by later syncs, which the schedule sends anyway;\n"
        "each sync that has a missing favourite sends one request more."
    )
    if not found.removals:
        return "\n".join([*rows[:2], "Not measured."])
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

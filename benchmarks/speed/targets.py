"""The targets, each judged from the samples alone.

A target that compares times is judged twice, by CPU seconds and by the wall clock: on a shared machine only the first is worth
much. ``start``: the interpreter's, taken off the floor's time before it is multiplied, and added again; favsync's own start, with its
imports, is shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speed.measure import LIMIT_SECONDS, Sample
from benchmarks.speed.plan import ENGINES, PHASES, USUAL, tools

Cell = tuple[str, int, str, int, str]
Found = Mapping[Cell, Sample]
CONCURRENCY = 4
LARGE = 100_000
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
CLOCKS = {"CPU": "cpu_seconds", "wall": "wall_seconds"}
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Judgement:
    """A target on one engine: what was allowed, what was found, and whether that is met (None: not measured)."""

    target: str
    engine: str
    allowed: str
    found: str
    is_met: bool | None


def judgements(found: Found) -> Iterator[Judgement]:
    """Judge every target, in the issue's order."""
    for engine in ENGINES:
        yield from _against_floor(found, engine)
        yield from _change(found, engine)
        yield from _growth(found, engine)
        yield from _latency(found, engine)
        yield from _space(found, engine)
    yield _dlt(found)
    for engine in ENGINES:
        for clock in CLOCKS:
            yield _peers(found, engine, clock)


def rows(found: Found) -> list[list[str]]:
    """Return the table of judgements, without its head."""
    words = {None: NOT_MEASURED, True: "met", False: "**not met**"}
    return [[each.target, each.engine, each.allowed, each.found, words[each.is_met]] for each in judgements(found)]


def _cell(found: Found, tool: str, size: int, engine: str, phase: str, latency_ms: int = 0) -> Sample | None:
    sample = found.get((tool, size, engine, latency_ms, phase))
    return sample if sample is not None and not sample.failure else None


def _start(found: Found, clock: str, name: str = "interpreter") -> float | None:
    sample = found.get((name, 0, "", 0, "start"))
    return None if sample is None else float(getattr(sample, clock))


def _judged(target: str, engine: str, limit: float | None, value: float | None, unit: str = "s") -> Judgement:
    if limit is None or value is None:
        return Judgement(target, NAMES.get(engine, engine), "", NOT_MEASURED, None)
    form = ",.2f" if unit in ("s", "ms a track") else ",.1f"
    form = ",.4f" if unit == "ms a track" else form
    return Judgement(
        target, NAMES.get(engine, engine), f"{limit:{form}} {unit}", f"{value:{form}} {unit}", value <= limit
    )


def _against_floor(found: Found, engine: str) -> Iterator[Judgement]:
    cases = (
        ("first", 2.5, "interpreter", "first load: 2.5 × the floor, interpreter's start apart"),
        ("first", 2.5, "favsync-start", "first load: 2.5 × the floor, favsync's start apart"),
        ("unchanged", 1.5, "interpreter", "unchanged: 1.5 × fetch and hash, interpreter's start apart"),
        ("unchanged", 1.5, "favsync-start", "unchanged: 1.5 × fetch and hash, favsync's start apart"),
    )
    for phase, times, start_of, words in cases:
        for name, clock in CLOCKS.items():
            floor, ours = (_cell(found, tool, USUAL, engine, phase) for tool in ("floor", "favsync"))
            bare, start = _start(found, clock), _start(found, clock, start_of)
            limit = None
            if floor is not None and bare is not None and start is not None:
                limit = times * (getattr(floor, clock) - bare) + start
            yield _judged(f"{words} ({name})", engine, limit, getattr(ours, clock, None))


def _change(found: Found, engine: str) -> Iterator[Judgement]:
    for name, clock in CLOCKS.items():
        same, added = (_cell(found, "favsync", USUAL, engine, phase) for phase in ("unchanged", "added"))
        limit = None if same is None else 1.2 * getattr(same, clock)
        yield _judged(f"1 % added: 1.2 × unchanged ({name})", engine, limit, getattr(added, clock, None))


def _growth(found: Found, engine: str) -> Iterator[Judgement]:
    for phase in ("first", "unchanged"):
        for name, clock in CLOCKS.items():
            small, large = (_cell(found, "favsync", size, engine, phase) for size in (USUAL, LARGE))
            limit = None if small is None else getattr(small, clock) / USUAL * 1000
            value = None if large is None else getattr(large, clock) / LARGE * 1000
            words = f"{phase}, 100,000: no more a track than at 10,000 ({name})"
            yield _judged(words, engine, limit, value, "ms a track")


def _latency(found: Found, engine: str) -> Iterator[Judgement]:
    for phase in ("first", "unchanged"):
        near = _cell(found, "favsync", USUAL, engine, phase)
        far = _cell(found, "favsync", USUAL, engine, phase, 50)
        limit = None
        if near is not None and far is not None:
            limit = 1.3 * math.ceil(far.requests / CONCURRENCY) * 0.05 + near.wall_seconds
        yield _judged(
            f"{phase}, 50 ms a page: 1.3 × the ideal, and the time on loopback (wall)",
            engine,
            limit,
            getattr(far, "wall_seconds", None),
        )


def _space(found: Found, engine: str) -> Iterator[Judgement]:
    for size, limit in ((USUAL, 110.0), (LARGE, 250.0)):
        samples = [_cell(found, "favsync", size, engine, phase) for phase in PHASES]
        peak = max((sample.memory_mb for sample in samples if sample is not None), default=None)
        yield _judged(f"peak memory, {size:,}", engine, limit, peak, "MB")
    floor, ours = (_cell(found, tool, USUAL, engine, "first") for tool in ("floor", "favsync"))
    allowed = None if floor is None else 2 * floor.database_mb
    yield _judged("database: 2 × the floor's", engine, allowed, getattr(ours, "database_mb", None), "MB")


def _dlt(found: Found) -> Judgement:
    words = "30 times faster than dlt's scd2, first load (CPU; where dlt did not end, 600 s of wall clock)"
    dlt = found.get(("dlt", USUAL, "postgresql", 0, "first"))
    ours = _cell(found, "favsync", USUAL, "postgresql", "first")
    if dlt is None or ours is None or (dlt.failure and "minutes" not in dlt.failure):
        return Judgement(words, NAMES["postgresql"], "", dlt.failure if dlt else NOT_MEASURED, None)
    taken, mine = (LIMIT_SECONDS, ours.wall_seconds) if dlt.failure else (dlt.cpu_seconds, ours.cpu_seconds)
    times = taken / mine
    return Judgement(words, NAMES["postgresql"], "30 times", f"{times:.0f} times", times >= 30)


def _peers(found: Found, engine: str, clock: str) -> Judgement:
    """Compare every cell in which favsync and a peer both have a number."""
    from pathlib import Path

    peers = {tool.name for tool in tools(Path("python")).values() if tool.is_peer}
    slower: list[str] = []
    compared = 0
    for (tool, size, where, latency_ms, phase), sample in sorted(found.items()):
        ours = _cell(found, "favsync", size, where, phase, latency_ms)
        if tool not in peers or where != engine or ours is None or sample.failure:
            continue
        compared += 1
        if getattr(sample, CLOCKS[clock]) <= getattr(ours, CLOCKS[clock]):
            slower.append(f"{tool} {size:,} {phase}" + (f" {latency_ms} ms" if latency_ms else ""))
    words = f"{len(slower)} of {compared} slower" + (": " + _few(slower) if slower else "")
    return Judgement(
        f"faster than every peer in every cell ({clock})", NAMES[engine], "", words, not slower if compared else None
    )


def _few(names: Sequence[str], most: int = 6) -> str:
    return "; ".join(names[:most]) + (f"; and {len(names) - most} more" if len(names) > most else "")

"""The measured part of ``docs/benchmarks.md``, and its chart, from the samples alone."""

from __future__ import annotations

import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.speed import targets
from benchmarks.speed.measure import Sample
from benchmarks.speed.plan import ENGINES, PHASES, REQUIREMENTS, tools

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PHASE_WORDS = {
    "first": "first load",
    "unchanged": "unchanged",
    "added": "1 % added",
    "moved": "1 % added, 1 % removed",
    "facts": "5 % retitled",
}
Cell = targets.Cell


def medians(samples: Iterable[Sample]) -> dict[Cell, Sample]:
    """Return one sample a cell: the median of each number."""
    cells: dict[Cell, list[Sample]] = defaultdict(list)
    for sample in samples:
        cells[sample.tool, sample.size, sample.engine, sample.latency_ms, sample.phase].append(sample)
    return {cell: _median(found) for cell, found in cells.items()}


def _median(found: Sequence[Sample]) -> Sample:
    done = [sample for sample in found if not sample.failure]
    if not done:
        return found[-1]
    numbers = {
        name: statistics.median(getattr(sample, name) for sample in done)
        for name in ("wall_seconds", "cpu_seconds", "memory_mb", "database_mb", "rows", "requests")
    }
    return Sample(*[getattr(done[-1], name) for name in ("tool", "size", "engine", "latency_ms", "phase")], **numbers)


def write(path: Path, samples: Sequence[Sample]) -> None:
    """Put the tables between the marks of ``path``, and the chart beside it."""
    text = path.read_text(encoding="utf-8") if path.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{_measured(samples, path)}\n{END}{after}", encoding="utf-8")
    path.with_suffix(".svg").write_text(chart(medians(samples)), encoding="utf-8")


def _measured(samples: Sequence[Sample], path: Path) -> str:
    found = medians(samples)
    dates = sorted({sample.measured_on for sample in samples if sample.measured_on})
    parts = [
        f"Measured from {dates[0]} to {dates[-1]}. {machine()}" if dates else machine(),
        f"![CPU seconds of a first load]({path.with_suffix('.svg').name})",
    ]
    parts.append(_targets(found))
    for size in sorted({cell[1] for cell in found if cell[1]}):
        for engine in ENGINES:
            for latency_ms in sorted({cell[3] for cell in found if cell[1:3] == (size, engine)}):
                parts.append(_table(samples, found, size, engine, latency_ms))
    return "\n\n".join(parts) + "\n"


def _targets(found: dict[Cell, Sample]) -> str:
    head = ["target (10,000 favourites unless said)", "engine", "allowed", "found", ""]
    rows = [head, ["---"] * len(head), *targets.rows(found)]
    return "### The targets, judged from the samples\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _table(samples: Sequence[Sample], found: dict[Cell, Sample], size: int, engine: str, latency_ms: int) -> str:
    title = f"### {size:,} favourites, {'SQLite' if engine == 'sqlite' else 'PostgreSQL'}, {latency_ms} ms a page"
    head = [
        "tool",
        *(PHASE_WORDS[phase] for phase in PHASES),
        "memory MB",
        "database MB",
        "rows first",
        "requests first",
        "runs",
    ]
    rows = [head, ["---"] * len(head)]
    for name, tool in tools(Path("python")).items():
        cells = [found.get((name, size, engine, latency_ms, phase)) for phase in PHASES]
        if not any(cells):
            why = "not run" if engine in tool.engines else "does not know this engine"
            rows.append([name, *[why] * len(PHASES), "", "", "", "", "0"])
            continue
        first = cells[0]
        done = [sample for sample in samples if (sample.tool, sample.size, sample.engine, sample.latency_ms, sample.phase)
                == (name, size, engine, latency_ms, "first")]  # fmt: skip
        memory = max((cell.memory_mb for cell in cells if cell), default=0)
        more = [f"{memory:.0f}"]
        more += [f"{first.database_mb:.1f}", f"{first.rows:,.0f}", f"{first.requests:.0f}"] if first else ["", "", ""]
        floors = [found.get(("floor", size, engine, latency_ms, phase)) for phase in PHASES]
        rows.append([name, *map(_seconds, cells, floors), *more, str(len(done))])
    return title + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _seconds(sample: Sample | None, floor: Sample | None) -> str:
    """Return CPU and wall seconds, and how many times the floor's each is."""
    if sample is None:
        return "not run"
    if sample.failure:
        return sample.failure
    seconds = f"{sample.cpu_seconds:.2f} ({sample.wall_seconds:.2f})"
    if floor is None or floor.failure or sample.tool == floor.tool:
        return seconds
    times = f"{sample.cpu_seconds / floor.cpu_seconds:.1f} ({sample.wall_seconds / floor.wall_seconds:.1f})"
    return f"{seconds}, × {times}"


def machine() -> str:
    """Return what it was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    model = next(models, platform.processor())
    ours = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("favsync", "sqlalchemy", "httpx", "msgspec", "psycopg")
    )
    peers = ", ".join(
        line.split("==")[0].split("[")[0] + " " + line.split("==")[1]
        for line in REQUIREMENTS.read_text().split()
        if "==" in line
    )
    return f"{os.cpu_count()} cores ({model}), {platform.system()}, Python {platform.python_version()}; {ours}. Peers: {peers}."


def chart(found: dict[Cell, Sample]) -> str:
    """Return bars, on a logarithmic scale, of the CPU seconds that a first load takes, the larger of the two usual sizes."""
    import math

    sizes = {cell[1] for cell in found if cell[4] == "first"}
    size = 10_000 if 10_000 in sizes else max(sizes, default=0)
    bars = [
        (f"{tool}, {engine}", sample.cpu_seconds)
        for (tool, each, engine, latency_ms, phase), sample in sorted(found.items())
        if each == size and phase == "first" and latency_ms == 0 and not sample.failure
    ]
    bars.sort(key=lambda bar: bar[1])
    high = 24 * len(bars) + 60
    top = max((seconds for _, seconds in bars), default=1.0)
    low = min((seconds for _, seconds in bars), default=0.1) / 2
    scale = 420 / math.log(max(top / low, 1.1))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{high}" font-family="sans-serif" font-size="13">',
        f'<rect width="760" height="{high}" fill="white"/>',
        f'<text x="10" y="24" font-size="15">First load of {size:,} favourites: CPU seconds (logarithmic scale)</text>',
    ]
    for n, (name, seconds) in enumerate(bars):
        y = 44 + 24 * n
        colour = "#1a7f5a" if name.startswith("favsync") else "#888888" if name.startswith("floor") else "#b0703a"
        width = math.log(seconds / low) * scale
        lines.append(f'<text x="190" y="{y + 13}" text-anchor="end">{name}</text>')
        lines.append(f'<rect x="200" y="{y}" width="{width:.0f}" height="17" fill="{colour}"/>')
        lines.append(f'<text x="{206 + width:.0f}" y="{y + 13}">{seconds:.2f}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"

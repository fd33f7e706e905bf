"""Time and space of favsync, of other tools and of the floor, on the same lists, in one go. Writes ``docs/benchmarks.md``.

    python -m benchmarks --quick
    python -m benchmarks --sizes 1000,10000 --tools floor,favsync,dlt --runs 3

Numbers are kept in ``docs/benchmarks.json`` after each run, so that it can be done in pieces (``--tools``, ``--sizes``,
``--engines``, ``--latencies``, ``--phases``): those of the cells that are measured again are replaced, or added to (``--add``).
A phase needs those before it, which are carried out and not told. A tool that does not come to the end of its first load is not
started again on that engine, nor at a larger size.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.postgres import postgres_server
from benchmarks.speed import report
from benchmarks.speed.measure import Sample
from benchmarks.speed.plan import ENGINES, PHASES, Peers, Plan, hopeless, keep, kept, tools

ROOT = Path(__file__).resolve().parent.parent
QUICK_TOOLS = ("floor", "favsync")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write what came of it."""
    options = _options(argv)
    if options.render:
        report.write(ROOT / "docs" / "benchmarks.md", kept(options.kept))
        return
    every = tools(options.peers / "bin" / "python")
    chosen = [every[name] for name in options.tools]
    why = Peers(options.peers).why_not if any(tool.is_peer for tool in chosen) else ""
    wants_server = "postgresql" in options.engines
    with (
        tempfile.TemporaryDirectory(prefix="favsync-bench-") as folder,
        postgres_server(options.postgres_url) if wants_server else nullcontext("") as server_url,
    ):
        plan = Plan(
            chosen, options.sizes, options.engines, options.latencies, options.phases, options.runs,
            Path(folder), server_url, why, hopeless(kept(options.kept)) if options.add else {},
        )  # fmt: skip
        fresh: list[Sample] = []
        for sample in plan.samples():
            fresh.append(sample)
            print(_line(sample), flush=True)
            keep(
                options.kept, _joined(kept(options.kept), [sample], is_first=not options.add and _is_new(sample, fresh))
            )
    report.write(ROOT / "docs" / "benchmarks.md", kept(options.kept))


def _is_new(sample: Sample, fresh: Sequence[Sample]) -> bool:
    return sum(_cell(other) == _cell(sample) for other in fresh) == 1


def _cell(sample: Sample) -> tuple[object, ...]:
    return sample.tool, sample.size, sample.engine, sample.latency_ms, sample.phase


def _joined(old: Sequence[Sample], new: Sequence[Sample], *, is_first: bool) -> list[Sample]:
    """Return both; the first sample of a cell in this call replaces what an earlier call measured there."""
    cells = {_cell(sample) for sample in new} if is_first else set()
    return [sample for sample in old if _cell(sample) not in cells] + list(new)


def _line(sample: Sample) -> str:
    numbers = (
        f"cpu {sample.cpu_seconds:7.2f} s, wall {sample.wall_seconds:7.2f} s, {sample.memory_mb:5.0f} MB, database "
        f"{sample.database_mb:6.1f} MB, {sample.rows:8,} rows, {sample.requests:5} requests"
    )
    place = f"{sample.tool:12} {sample.size:7,} {sample.engine:10} {sample.latency_ms:3} ms {sample.phase:9}"
    return f"{place} {sample.failure or numbers}"


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    def several(kind, known=None):
        def read(text: str) -> list:
            values = [kind(part) for part in text.split(",")]
            unknown = [value for value in values if known and value not in known]
            if unknown:
                raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
            return values

        return read

    names = list(tools(Path("python")))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", type=several(int), default=[1_000, 10_000, 100_000], help="favourites, with commas")
    parser.add_argument("--tools", type=several(str, names), default=names, help=", ".join(names))
    parser.add_argument("--engines", type=several(str, ENGINES), default=list(ENGINES), help=", ".join(ENGINES))
    parser.add_argument("--latencies", type=several(int), default=[0, 50], help="milliseconds a page")
    parser.add_argument("--phases", type=several(str, PHASES), default=list(PHASES), help=", ".join(PHASES))
    parser.add_argument("--runs", type=int, default=3, help="how often; medians are shown")
    parser.add_argument(
        "--add", action="store_true", help="add runs to those that are kept; who failed there is not started again"
    )
    parser.add_argument("--quick", action="store_true", help="floor and favsync, 1,000 favourites, no latency, one run")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page anew")
    parser.add_argument("--postgres-url", help="a server whose user may create databases; else one is started")
    parser.add_argument("--peers", type=Path, default=ROOT / "build" / "peers", help="where the peers are installed")
    parser.add_argument("--kept", type=Path, default=ROOT / "docs" / "benchmarks.json", help="where numbers are kept")
    options = parser.parse_args(argv)
    if options.quick:
        options.tools, options.sizes, options.latencies, options.runs = list(QUICK_TOOLS), [1_000], [0], 1
    return options


if __name__ == "__main__":
    main()

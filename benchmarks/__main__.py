"""Time and space of favsync, of other tools and of the floor, on the same lists; judges the targets and writes the page.

    python -m benchmarks --quick
    python -m benchmarks --write docs/benchmarks.md
    python -m benchmarks --only growth --write docs/benchmarks.md

Each sample is a whole process with its start-up, in a new database; the tools take turns; medians are shown. Every sample is added
to a file at once. The page is made of the file's newest samples of this commit, machine and size, so parts can be measured
one by one. A part that fails or runs out of time is named on the page, and the exit code is 1. Ctrl-C writes no page.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.growth import measure_growth
from benchmarks.measure import ENGINES, Sample, own_memory, postgres_server
from benchmarks.page import page
from benchmarks.processes import FLOORS, PEERS, STARTS, Processes, install_peers, names
from benchmarks.removal_requests import AGES, GRACES, measure_removal
from benchmarks.samples import Entry, Found, Invocation, SampleFile, key_of
from etl import clock, logs

Measured = dict[str, Any]
"""Fields of an `Entry`."""
AFTER_PEERS = 600.0
"""Seconds kept for what is measured after the other tools."""


class Measurement(Processes):
    """The parts of one invocation. Each yields its samples as they are taken."""

    def __init__(self, options: argparse.Namespace, folder: Path, server_url: str, deadline: float) -> None:
        super().__init__(folder, server_url, options.peers, deadline)
        self._options = options

    def rounds(self) -> Iterator[Measured]:
        """Yield favsync and the floors in turn, as whole processes and without start, in an order that alternates."""
        size, order = self._options.size, (*FLOORS, "favsync")
        for turn in range(self._options.runs):
            self._require_time()
            for name in STARTS:
                yield {"cell": (0, "", name, "start"), "sample": self.start(name)}
            for engine in ENGINES:
                for tool in order if turn % 2 else order[::-1]:
                    for samples in (self.phases(size, engine, tool), self.repeated(size, engine, tool)):
                        yield from self._cells(size, engine, tool, samples, turn)

    def large(self) -> Iterator[Measured]:
        """Yield one large list, for the memory."""
        for engine in ENGINES if self._options.large else ():
            for tool in ("floor", "favsync"):
                self._require_time()
                size = self._options.large
                yield from self._cells(size, engine, tool, self.phases(size, engine, tool))

    def peers(self) -> Iterator[Measured]:
        """Yield the other tools, once each."""
        if self._options.tools:
            install_peers(self._options.peers)
        for tool in self._options.tools:
            for engine in PEERS[tool].engines:
                self._require_time()
                size = self._options.size
                yield from self._cells(size, engine, tool, self.phases(size, engine, tool))

    def growth(self) -> Iterator[Measured]:
        """Yield an old and a young database of each engine."""
        for engine in ENGINES if self._options.days else ():
            self._require_time()
            make = partial(self.database, engine)
            found = measure_growth(make, self._options.size, self._options.days, self._deadline)
            yield {"engine": engine, "growth": found}

    def removals(self) -> Iterator[Measured]:
        """Yield the requests of a removal."""
        for age in AGES:
            for grace in GRACES:
                yield {"removal": measure_removal(200, age, grace)}

    def _cells(
        self, size: int, engine: str, tool: str, samples: Iterable[tuple[str, Sample]], turn: int = 0
    ) -> Iterator[Measured]:
        for phase, sample in samples:
            yield {"cell": (size, engine, tool, phase), "sample": replace(sample, turn=turn)}

    def _require_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise TimeoutError("no time was left for the rest")


PARTS: dict[str, Callable[[Measurement], Iterator[Measured]]] = {
    "rounds": Measurement.rounds,
    "large": Measurement.large,
    "peers": Measurement.peers,
    "growth": Measurement.growth,  # after all processes: theirs begin with this one's memory
    "removals": Measurement.removals,
}


def measure(options: argparse.Namespace, samples: SampleFile, folder: Path, server_url: str) -> bool:
    """Measure the parts that are asked for, each into the file. Return False if one is not whole."""
    by = Invocation(clock.now(), os.getloadavg()[0] / (os.cpu_count() or 1), own_memory())
    end, is_whole = time.monotonic() + 60 * options.minutes, True
    for part in options.only:
        kept = AFTER_PEERS if part == "peers" and "growth" in options.only else 0.0
        try:
            samples.add(Entry(samples.key, by, part))
            with Measurement(options, folder, server_url, end - kept) as measurement:
                for found in PARTS[part](measurement):
                    samples.add(Entry(samples.key, by, part, **found))
                    _say(end, f"{part}: {' '.join(map(str, found.values()))}")
        except Exception as error:
            is_whole = False
            lines = str(error).splitlines() or [""]
            failure = lines[0] if isinstance(error, TimeoutError) else f"{type(error).__name__}: {lines[0]}"
            samples.add(Entry(samples.key, by, part, failure=failure))
            _say(end, f"{part} is not whole: {failure}")
    return is_whole


def _say(end: float, what: str) -> None:
    print(f"[{max(0.0, end - time.monotonic()) / 60:4.1f} min left] {what}", file=sys.stderr, flush=True)


def write(target: Path | None, found: Found) -> None:
    """Write the page whole, or print it."""
    if target is None:
        print(page(found), end="")
        return
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_text(page(found), encoding="utf-8")
    unfinished.replace(target)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print or write the page. Return 1 if a part is not whole."""
    options = _options(argv)
    logs.configure("text", "error")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the servers, too
    samples = SampleFile(options.samples, key_of(options.size, options.days))
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="favsync-bench-"))
            is_whole = measure(
                options, samples, Path(folder), stack.enter_context(postgres_server(options.postgres_url))
            )
    except KeyboardInterrupt:
        print(f"interrupted: no page was written; the samples so far are in {options.samples}", file=sys.stderr)
        return 130
    write(options.write, samples.found())
    return int(not is_whole)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_000, help="favourites")
    parser.add_argument("--large", type=int, default=100_000, help="favourites of a single large sample; 0 = none")
    parser.add_argument("--runs", type=int, default=5, help="rounds; medians are shown")
    parser.add_argument("--days", type=int, default=1_095, help="of the database that is compared with a young one")
    parser.add_argument("--tools", type=names(list(PEERS)), default=list(PEERS), help=f"others: {', '.join(PEERS)}")
    parser.add_argument("--only", type=names(list(PARTS)), default=list(PARTS), help=f"parts: {', '.join(PARTS)}")
    parser.add_argument("--minutes", type=float, default=35, help="parts that have not started by then are left out")
    parser.add_argument("--quick", action="store_true", help="1,000 favourites, one round, 30 days, no other tools")
    parser.add_argument("--samples", type=Path, default=Path("build/benchmarks.jsonl"), help="the file of samples")
    parser.add_argument("--write", type=Path, help="write the page into this file instead of printing it")
    parser.add_argument("--postgres-url", help="a server whose user may create databases; else one is started")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where the other tools are installed")
    options = parser.parse_args(argv)
    if options.quick:
        options.tools, options.size, options.large, options.runs, options.days = [], 1_000, 0, 1, 30
    return options


if __name__ == "__main__":
    sys.exit(main())

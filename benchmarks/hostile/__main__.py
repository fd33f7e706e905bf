"""Counts false and missed removals when the service misbehaves, for favsync and other tools in the same scenarios.

    python -m benchmarks.hostile --runs 10000 --seed 1
    python -m benchmarks.hostile --runs 200 --tools favsync,dlt,airbyte --peers FOLDER
    python -m benchmarks.hostile --runs 0 --days 5 [--long]
    python -m benchmarks.hostile --quick

FOLDER is a virtual environment with `benchmarks/hostile/peers/requirements.txt` installed. The exit code is 1 if favsync
removed a favourite falsely, or did not end at the truth; lies that are longer than the removal grace (``--long``) do not count. With ``--results FILE`` the same command resumes an
interrupted measurement, and ``--tables`` shows what the file holds.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import inf
from pathlib import Path

from benchmarks.hostile import days
from benchmarks.hostile.days import KINDS
from benchmarks.hostile.days_favsync import FavsyncSubject
from benchmarks.hostile.results import DaysTally, ResultsFile, Tally, days_table, side_by_side, table, with_all
from benchmarks.hostile.tools import Favsync, PeerTool, Tool, is_installed
from benchmarks.hostile.trials import ALL_SCENARIOS, trial
from etl import __version__, clock, logs
from etl.sandbox import Sandbox

PEERS = {
    "dlt": (("dlt_script.py",), "dlt"),
    "airbyte": (("airbyte_script.py",), "airbyte_cdk"),
    "airbyte_until_empty": (("airbyte_script.py", "--until-empty"), "airbyte_cdk"),
}
VERSIONS = {
    "favsync": __version__,
    "dlt": "1.31.0, rest_api + scd2",
    "airbyte": "cdk 7.39.1, OffsetIncrement",
    "airbyte_until_empty": "cdk 7.39.1, OffsetIncrement without a page size",
}
ROUNDS = 4
RUNS_A_TRIAL = ROUNDS + 2
QUICK_RUNS = 216
BATCH = 36


def main() -> int:
    """Measure, print a table for each tool and one of all; return 1 if favsync was wrong."""
    options = _options()
    runs = QUICK_RUNS if options.quick else options.runs
    trials = max(1, runs // RUNS_A_TRIAL // len(options.scenarios)) if runs else 0
    tools: dict[str, dict[str, Tally]] = {}
    for name in options.tools.split(","):
        make = Favsync if options.tables else _tool(name, options.peers)
        if make is None:
            continue
        tools[name] = {scenario: Tally() for scenario in options.scenarios}
        for scenario, tally in _results(make, options, ResultsFile(options.results, name, options.seed), trials):
            tools[name][scenario].add(tally)
            for message in tally.messages if name == "favsync" else ():
                print(message, file=sys.stderr)
        title = _title(name, tools[name], options.seed)
        print(table(f"\n{title}", tools[name]), flush=True)
    if len(tools) > 1:
        print(f"\n{side_by_side(tools)}")
    weeks = _days(options) if options.quick or options.days else {}
    ours = [*tools.get("favsync", {}).values(), *([] if options.long else weeks.values())]
    return 1 if any(tally.false or tally.missed or tally.lacking for tally in ours) else 0


def _days(options: argparse.Namespace) -> dict[str, DaysTally]:
    """Run favsync through weeks under lies, print the table, and return the counts by kind."""
    tallies = {kind: DaysTally() for kind in KINDS}
    plan = days.plan(options.seed, options.days, is_quick=options.quick, is_long=options.long)
    with ProcessPoolExecutor(options.jobs, initializer=logs.configure, initargs=("text", "error")) as pool:
        for weeks, tally in zip(plan, pool.map(partial(days.run_weeks, FavsyncSubject), plan), strict=True):
            tallies[weeks.kind].add(tally)
            for message in tally.messages:
                print(message, file=sys.stderr)
    lies = "longer than the grace" if options.long else "shorter than the grace"
    print(days_table(f"\nfavsync {VERSIONS['favsync']}: days that pass, lies {lies}, seed {options.seed}", tallies))
    return tallies


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--runs", type=int, default=2_000, help="syncs for each tool, over all scenarios (default: 2,000)"
    )
    parser.add_argument(
        "--tools", default="favsync", help=f"favsync, {', '.join(PEERS)}; separated by commas (default: favsync)"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same trials (default: 1)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each processor)"
    )
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="environment of the other tools")
    parser.add_argument(
        "--scenarios",
        type=lambda text: text.split(","),
        default=list(ALL_SCENARIOS),
        help="some only, separated by commas",
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="a file that keeps what each trial counted; trials that it holds are not run again",
    )
    parser.add_argument("--minutes", type=float, default=inf, help="begin no trial after so long (default: run all)")
    parser.add_argument("--tables", action="store_true", help="run nothing, show what --results holds")
    parser.add_argument(
        "--days", type=int, default=0, help="weeks under lies: so many trials of each kind and schedule"
    )
    parser.add_argument("--long", action="store_true", help="with --days: lies of two days and more, which may do harm")
    parser.add_argument(
        "--quick",
        "--short",
        action="store_true",
        help=f"favsync only: {QUICK_RUNS} syncs, and a week of each kind of lie",
    )
    options = parser.parse_args()
    if unknown := [name for name in options.scenarios if name not in ALL_SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]!r}, only {', '.join(ALL_SCENARIOS)}")
    if unknown := [name for name in options.tools.split(",") if name not in ("favsync", *PEERS)]:
        parser.error(f"there is no tool {unknown[0]!r}, only favsync, {', '.join(PEERS)}")
    return options


def _tool(name: str, peers: Path) -> Callable[[Sandbox], Tool] | None:
    """Return the factory of the tool; None, with a message, if it is not installed."""
    if name == "favsync":
        return Favsync
    command, package = PEERS[name]
    python = peers / "bin" / "python"
    if not is_installed(python, package):
        wanted = "benchmarks/hostile/peers/requirements.txt"
        print(f"{name}: not measured, {peers} does not have it (install {wanted} there)", file=sys.stderr)
        return None
    return partial(PeerTool, python, command)


def _results(
    make: Callable[[Sandbox], Tool], options: argparse.Namespace, kept: ResultsFile, trials: int
) -> Iterator[tuple[str, Tally]]:
    """Run the trials that are not in the file yet, in several processes; yield the tally of each one."""
    if options.tables:
        yield from ((scenario, tally) for scenario, _, tally in kept.read() if scenario in options.scenarios)
        return
    wanted = {(scenario, number) for number in range(trials) for scenario in options.scenarios}
    for scenario, number, tally in kept.read():
        if (scenario, number) in wanted:
            wanted.discard((scenario, number))
            yield scenario, tally
    orders = sorted(wanted, key=lambda order: (order[1], order[0]))
    until = clock.monotonic() + 60 * options.minutes
    with ProcessPoolExecutor(options.jobs, initializer=logs.configure, initargs=("text", "error")) as pool:
        while orders and clock.monotonic() < until:
            batch, orders = orders[:BATCH], orders[BATCH:]
            for (scenario, number), tally in zip(
                batch, pool.map(partial(_run, make, options.seed), batch), strict=True
            ):
                kept.add(scenario, number, tally)
                yield scenario, tally


def _run(make: Callable[[Sandbox], Tool], seed: int, order: tuple[str, int]) -> Tally:
    scenario, number = order
    return trial(make, scenario, seed, number, ROUNDS)


def _title(name: str, tallies: dict[str, Tally], seed: int) -> str:
    total = with_all(tallies)["**all**"]
    counts = f"{total.runs:,} runs in {total.trials:,} trials, seed {seed}"
    machine = f"Python {platform.python_version()}, {os.cpu_count()} processors, {total.seconds:,.0f} s of trials"
    return f"{name} {VERSIONS[name]}: {counts}; {machine}"


if __name__ == "__main__":
    sys.exit(main())

"""Counts false and missed removals when the service misbehaves, for favsync and other tools in the same scenarios.

    python -m benchmarks.hostile --quick
    python -m benchmarks.hostile --runs 10800 --results FILE
    python -m benchmarks.hostile --runs 216 --tools favsync,dlt,airbyte --peers FOLDER --results FILE
    python -m benchmarks.hostile --tables --tools favsync,dlt,airbyte --results FILE
    python -m benchmarks.hostile --days 2 [--long] --results FILE

``--runs``: random faults at single requests, for favsync with a removal grace of 0. ``--days``: days that pass under a service
that is consistently wrong for a time, for favsync at its default graces. FOLDER is a virtual environment with
`benchmarks/hostile/peers/requirements.txt` installed. With ``--results`` the same command resumes an interrupted measurement.
The exit code is 1 if favsync removed a favourite falsely, or did not end at the truth after random faults. Lies longer than the
grace (``--long``) do not count.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.hostile.days import KINDS, run_weeks, weeks_of
from benchmarks.hostile.days_favsync import FavsyncSubject
from benchmarks.hostile.results import ALL, ResultsFile, Tally, side_by_side, table, with_all
from benchmarks.hostile.tools import Favsync, PeerTool, Tool, is_installed
from benchmarks.hostile.trials import ALL_SCENARIOS, RUNS_A_TRIAL, run_trial
from etl import __version__, logs
from etl.sandbox import Sandbox

PEERS = {
    "dlt": ("1.31.0, rest_api + scd2", "dlt", ("dlt_script.py",)),
    "airbyte": ("cdk 7.39.1, OffsetIncrement", "airbyte_cdk", ("airbyte_script.py",)),
    "airbyte_until_empty": (
        "cdk 7.39.1, OffsetIncrement without a page size",
        "airbyte_cdk",
        ("airbyte_script.py", "--until-empty"),
    ),
}
QUICK_RUNS = RUNS_A_TRIAL * len(ALL_SCENARIOS)
FAULT_COLUMNS = ("runs", "removals", "false", "missed", "late", "lacking", "held")
DAYS_COLUMNS = ("trials", "runs", "removals", "false", "bounds", "missed", "waiting", "lacking", "held")
Key = tuple[str, int]


def main() -> int:
    """Measure, print the tables, and return 1 if favsync was wrong."""
    options = _options()
    trials = options.runs // RUNS_A_TRIAL // len(options.scenarios)
    keys = [(scenario, number) for number in range(trials) for scenario in options.scenarios]
    tools: dict[str, dict[str, Tally]] = {}
    for name in options.tools if keys or options.tables else ():
        results = ResultsFile(options.results, name, options.seed)
        if options.tables:
            tools[name] = stored_tallies(results)
        elif make := _tool(name, options.peers):
            tools[name] = _measured(partial(_trial, make, options.seed), keys, results, options.jobs)
        else:
            continue
        version = __version__ if name == "favsync" else PEERS[name][0]
        print(table(_title(f"{name} {version}", tools[name], options.seed), tools[name], FAULT_COLUMNS), flush=True)
    if len(tools) > 1:
        print(f"\n{side_by_side(tools)}")
    is_wrong = any(tally.false or tally.missed or tally.lacking for tally in tools.get("favsync", {}).values())
    if options.days:
        lies = f"lies {'longer' if options.long else 'shorter'} than the grace"
        keys = [(kind, number) for number in range(options.days) for kind in KINDS]
        results = ResultsFile(options.results, f"favsync, {lies}", options.seed)
        run = partial(_weeks, options.seed, is_quick=options.quick, is_long=options.long)
        found = _measured(run, keys, results, options.jobs)
        print(table(_title(f"favsync {__version__}, days that pass, {lies}", found, options.seed), found, DAYS_COLUMNS))
        is_wrong |= not options.long and any(tally.false or tally.lacking for tally in found.values())
    return int(is_wrong)


def stored_tallies(results: ResultsFile) -> dict[str, Tally]:
    """Return the counts of all trials in the file, in the order of the scenarios."""
    tallies = {scenario: Tally() for scenario in ALL_SCENARIOS}
    for scenario, _, tally in results.read():
        tallies[scenario].add(tally)
    return tallies


def _measured(run: Callable[[Key], Tally], keys: Sequence[Key], results: ResultsFile, jobs: int) -> dict[str, Tally]:
    """Run the trials that are not in the file yet, in several processes; return the counts by scenario."""
    tallies = {scenario: Tally() for scenario, _ in keys}
    known = {(scenario, number): tally for scenario, number, tally in results.read()}
    left = [key for key in keys if key not in known]
    for key in keys:
        if key in known:
            tallies[key[0]].add(known[key])
    with ProcessPoolExecutor(jobs, initializer=logs.configure, initargs=("text", "error")) as pool:
        for (scenario, number), tally in zip(left, pool.map(run, left), strict=True):
            results.add(scenario, number, tally)
            tallies[scenario].add(tally)
            for message in tally.messages:
                print(message, file=sys.stderr, flush=True)
    return tallies


def _trial(make: Callable[[Sandbox], Tool], seed: int, key: Key) -> Tally:
    return run_trial(make, *key, seed)


def _weeks(seed: int, key: Key, *, is_quick: bool, is_long: bool) -> Tally:
    return run_weeks(FavsyncSubject, weeks_of(*key, seed, is_quick=is_quick, is_long=is_long))


def _tool(name: str, peers: Path) -> Callable[[Sandbox], Tool] | None:
    """Return the factory of the tool; None, with a message, if it is not installed."""
    if name == "favsync":
        return Favsync
    _, package, command = PEERS[name]
    python = peers / "bin" / "python"
    if not is_installed(python, package):
        wanted = "benchmarks/hostile/peers/requirements.txt"
        print(f"{name}: not measured, {peers} does not have it (install {wanted} there)", file=sys.stderr)
        return None
    return partial(PeerTool, python, command)


def _title(what: str, tallies: dict[str, Tally], seed: int) -> str:
    total = with_all(tallies)[ALL]
    return f"\n{what}: {total.runs:,} runs in {total.trials:,} trials, seed {seed}, Python {platform.python_version()}"


def _options() -> argparse.Namespace:
    def several(known: Sequence[str]) -> Callable[[str], list[str]]:
        def read(text: str) -> list[str]:
            if unknown := [name for name in text.split(",") if name not in known]:
                raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
            return text.split(",")

        return read

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tools = ["favsync", *PEERS]
    parser.add_argument(
        "--runs", type=int, default=0, help="syncs of each tool under random faults, over all scenarios"
    )
    parser.add_argument(
        "--tools", type=several(tools), default=tools[:1], help=f"{', '.join(tools)}; separated by commas"
    )
    parser.add_argument(
        "--scenarios", type=several(list(ALL_SCENARIOS)), default=list(ALL_SCENARIOS), help="separated by commas"
    )
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="environment of the other tools")
    parser.add_argument("--days", type=int, default=0, help="so many trials of days that pass for each kind of service")
    parser.add_argument("--long", action="store_true", help="with --days: lies of two days and more, which may do harm")
    parser.add_argument("--quick", action="store_true", help=f"--runs {QUICK_RUNS} --days 1, of fewer days")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same trials")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--tables", action="store_true", help="print what the file of --results holds; measure nothing")
    parser.add_argument("--results", type=Path, help="a file that keeps the counts; trials in it are not run again")
    options = parser.parse_args()
    if options.tables and (options.runs or options.days or options.quick or not options.results):
        parser.error("--tables needs --results and measures nothing")
    if options.quick:
        options.runs, options.days = QUICK_RUNS, 1
    return options


if __name__ == "__main__":
    sys.exit(main())

"""Counts false and missed removals when the service misbehaves, for favsync and other tools in the same scenarios.

    python -m benchmarks.hostile --quick
    python -m benchmarks.hostile --runs 10800 --results FILE
    python -m benchmarks.hostile --runs 216 --tools favsync,dlt,airbyte --results FILE
    python -m benchmarks.hostile --tables --tools favsync,dlt,airbyte --results FILE
    python -m benchmarks.hostile --days 3 --results FILE

``--runs``: random faults at single requests, for favsync with a removal grace of 0. ``--days``: days that pass under a service
that is wrong in the same way for less than the grace, for favsync at its default graces. The other tools are installed into an
environment of their own. With ``--results`` the same command resumes an interrupted measurement. The exit code is 1 if favsync
removed a favourite falsely, or did not end at the truth.
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

from benchmarks.hostile.results import ALL, ResultsFile, Tally, table, tallies_of, with_all
from benchmarks.hostile.tools import Favsync, PeerTool
from benchmarks.hostile.trials import ALL_SCENARIOS, RUNS_A_TRIAL, run_days, run_trial
from benchmarks.processes import SCRIPTS, install_peers, names
from etl import __version__, logs
from etl.sandbox import WRONG_SERVICES

PEERS = {
    "dlt": ("1.31.0, rest_api + scd2", ("dlt_script.py",)),
    "airbyte": ("cdk 7.39.1, OffsetIncrement", ("airbyte_script.py",)),
    "airbyte_until_empty": (
        "cdk 7.39.1, OffsetIncrement without a page size",
        ("airbyte_script.py", "--until-empty"),
    ),
}
QUICK_RUNS = RUNS_A_TRIAL * len(ALL_SCENARIOS)
COLUMNS = ("runs", "removals", "false", "missed", "late", "lacking", "held")
SIDE_BY_SIDE = {"runs": "runs", "false removals": "false", "missed": "missed", "late": "late"}
Key = tuple[str, int]


def main() -> int:
    """Measure, print the tables, and return 1 if favsync was wrong."""
    options = _options()
    trials = options.runs // RUNS_A_TRIAL // len(options.scenarios)
    keys = [(scenario, number) for number in range(trials) for scenario in options.scenarios]
    tools: dict[str, dict[str, Tally]] = {}
    for name in options.tools if keys or options.tables else ():
        results = ResultsFile(options.results, name, options.seed)
        make, version = Favsync, __version__
        if name in PEERS:
            version, command = PEERS[name]
            make = partial(PeerTool, options.peers / "bin" / "python", command)
        if options.tables:
            tools[name] = tallies_of(results.read(), ALL_SCENARIOS)
        else:
            if name in PEERS:
                install_peers(options.peers, SCRIPTS / "requirements-hostile.txt")
            tools[name] = _measured(partial(_trial, make, options.seed), keys, results, options.jobs)
        _show(f"{name} {version}", tools[name], options.seed)
    if len(tools) > 1:
        print(table(f"\nEach cell: {' / '.join(tools)}", tools, SIDE_BY_SIDE))
    ours = dict(tools.get("favsync", {}))
    if options.days:
        keys = [(service, number) for number in range(options.days) for service in WRONG_SERVICES]
        results = ResultsFile(options.results, "favsync, days", options.seed)
        ours |= (found := _measured(partial(_days, options.seed), keys, results, options.jobs))
        _show(
            f"favsync {__version__}, days that pass", found, options.seed, [each for each in COLUMNS if each != "late"]
        )
    return int(any(tally.false or tally.missed or tally.lacking for tally in ours.values()))


def _measured(run: Callable[[Key], Tally], keys: Sequence[Key], results: ResultsFile, jobs: int) -> dict[str, Tally]:
    """Run the trials that are not in the file yet, in several processes; return the counts by scenario."""
    known = {(scenario, number): tally for scenario, number, tally in results.read()}
    left = [key for key in keys if key not in known]
    with ProcessPoolExecutor(jobs, initializer=logs.configure, initargs=("text", "error")) as pool:
        for key, tally in zip(left, pool.map(run, left), strict=True):
            known[key] = tally
            results.add(*key, tally)
            for message in tally.messages:
                print(message, file=sys.stderr, flush=True)
    return tallies_of(((*key, known[key]) for key in keys), dict.fromkeys(scenario for scenario, _ in keys))


def _trial(make: Callable[..., Favsync | PeerTool], seed: int, key: Key) -> Tally:
    return run_trial(make, *key, seed)


def _days(seed: int, key: Key) -> Tally:
    return run_days(*key, seed)


def _show(what: str, tallies: dict[str, Tally], seed: int, columns: Sequence[str] = COLUMNS) -> None:
    total = with_all(tallies)[ALL]
    title = f"\n{what}: {total.runs:,} runs in {total.trials:,} trials, seed {seed}, Python {platform.python_version()}"
    print(table(title, {what: tallies}, dict(zip(columns, columns, strict=True))), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tools, scenarios = ["favsync", *PEERS], list(ALL_SCENARIOS)
    parser.add_argument("--runs", type=int, default=0, help="syncs of each tool with faults, over all scenarios")
    parser.add_argument("--tools", type=names(tools), default=tools[:1], help=f"of {', '.join(tools)}, with commas")
    parser.add_argument("--scenarios", type=names(scenarios), default=scenarios, help="separated by commas")
    parser.add_argument("--peers", type=Path, default=Path("build/peers-hostile"), help="where others are installed")
    parser.add_argument("--days", type=int, default=0, help="so many trials of days that pass for each wrong service")
    parser.add_argument("--quick", action="store_true", help=f"--runs {QUICK_RUNS} --days 1")
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

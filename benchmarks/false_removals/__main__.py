"""How many removals are false, and how many are missed, when the service misbehaves: favsync and other tools, same scenarios.

    python -m benchmarks.false_removals --runs 10000 --seed 1
    python -m benchmarks.false_removals --runs 200 --tools favsync,dlt,airbyte --peers FOLDER
    python -m benchmarks.false_removals --quick

FOLDER is a virtual environment with `benchmarks/false_removals/requirements.txt` installed. Ends with 1 if favsync removed one
favourite falsely, or if a quiet sync did not end at the truth. Not here: what a trial is (`trials`).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.false_removals.favsync import Favsync
from benchmarks.false_removals.others import Other, is_installed
from benchmarks.false_removals.trials import ALL_SCENARIOS, Tally, Tool, trial
from etl import __version__, logs
from etl.sandbox import Sandbox

PEERS = {"dlt": ("dlt_script.py", "dlt"), "airbyte": ("airbyte_script.py", "airbyte_cdk")}
VERSIONS = {"favsync": __version__, "dlt": "1.31.0, rest_api + scd2", "airbyte": "cdk 7.39.1, OffsetIncrement"}
ROUNDS = 4
RUNS_A_TRIAL = ROUNDS + 2
QUICK_RUNS = 450
COLUMNS = ("runs", "removals", "false", "missed", "late", "lacking", "held", "requests/run")


def main() -> int:
    """Measure, print one table a tool, and judge favsync."""
    options = _options()
    runs = QUICK_RUNS if options.quick else options.runs
    is_right = True
    for name in options.tools.split(","):
        make = _tool(name, options.peers)
        if make is None:
            continue
        trials = max(1, runs // RUNS_A_TRIAL // len(options.scenarios))
        tallies = {scenario: Tally() for scenario in options.scenarios}
        begun = time.monotonic()
        for scenario, tally in _played(make, options.scenarios, options.seed, trials, options.jobs):
            tallies[scenario].add(tally)
            for story in tally.stories if name == "favsync" else ():
                print(story, file=sys.stderr)
        print(_table(name, tallies, options.seed, time.monotonic() - begun), flush=True)
        if name == "favsync":
            is_right = not any(tally.false or tally.missed or tally.lacking for tally in tallies.values())
    return 0 if is_right else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.false_removals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--runs", type=int, default=2_000, help="syncs for each tool, over all scenarios (default: 2,000)"
    )
    parser.add_argument(
        "--tools", default="favsync", help="favsync, dlt, airbyte; separated by commas (default: favsync)"
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
    parser.add_argument("--quick", "--short", action="store_true", help=f"favsync only, {QUICK_RUNS} syncs")
    options = parser.parse_args()
    if unknown := [name for name in options.scenarios if name not in ALL_SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]!r}, only {', '.join(ALL_SCENARIOS)}")
    if unknown := [name for name in options.tools.split(",") if name not in ("favsync", *PEERS)]:
        parser.error(f"there is no tool {unknown[0]!r}, only favsync, {', '.join(PEERS)}")
    return options


def _tool(name: str, peers: Path) -> Callable[[Sandbox], Tool] | None:
    """Return what makes the tool; None, and a word, where it is not installed."""
    if name == "favsync":
        return Favsync
    script, package = PEERS[name]
    python = peers / "bin" / "python"
    if not is_installed(python, package):
        wanted = "benchmarks/false_removals/requirements.txt"
        print(f"{name}: not measured, as {peers} does not hold it (install {wanted} there)", file=sys.stderr)
        return None
    return partial(Other, python, script)


def _played(
    make: Callable[[Sandbox], Tool], scenarios: list[str], seed: int, trials: int, jobs: int
) -> Iterator[tuple[str, Tally]]:
    """Play all trials, in several processes; yield each one's counts."""
    orders = [(scenario, number) for number in range(trials) for scenario in scenarios]
    with ProcessPoolExecutor(jobs, initializer=logs.configure, initargs=("text", "error")) as pool:
        played = pool.map(_play, [make] * len(orders), [seed] * len(orders), orders)
        yield from zip((scenario for scenario, _ in orders), played, strict=True)


def _play(make: Callable[[Sandbox], Tool], seed: int, order: tuple[str, int]) -> Tally:
    scenario, number = order
    return trial(make, scenario, seed, number, ROUNDS)


def _table(name: str, tallies: dict[str, Tally], seed: int, seconds: float) -> str:
    """Return what came of it as a table in Markdown."""
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    title = f"{name} {VERSIONS[name]}: {total.runs:,} runs in {total.trials:,} trials, seed {seed}"
    machine = f"Python {platform.python_version()}, {os.cpu_count()} processors, {seconds:,.0f} s"
    lines = ["", f"{title}; {machine}", "", f"| scenario | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    lines += [_row(scenario, tally) for scenario, tally in tallies.items()]
    return "\n".join([*lines, _row("**all**", total)])


def _row(scenario: str, tally: Tally) -> str:
    cells = (tally.runs, tally.removals, tally.false, tally.missed, tally.late, tally.lacking, tally.held)
    return f"| {scenario} | {' | '.join(f'{cell:,}' for cell in cells)} | {tally.requests / max(tally.runs, 1):.1f} |"


if __name__ == "__main__":
    sys.exit(main())

"""Weeks under services that are consistently wrong: `python -m benchmarks.wrong_services --trials 100`. Prints a table.

Pure decisions without a database; `python -m benchmarks.hostile --days 3` drives the whole program.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import partial
from random import Random

from tests.support.lying_service import KINDS
from tests.support.lying_trial import Tally, Trial

COLUMNS = [each.name for each in fields(Tally) if each.name != "notes"]


def main() -> int:
    """Play the trials and print a row for each kind. Return 1 if a removal is false."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wrong_services", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="trials of each kind (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same trials (default: 1)")
    parser.add_argument("--shortest", type=float, default=1 / 6, help="hours of the shortest lie (default: 10 minutes)")
    parser.add_argument("--longest", type=float, default=23, help="hours of the longest lie (default: 23)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per processor)")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    options = parser.parse_args()
    tallies: dict[str, Tally] = defaultdict(Tally)
    orders = [(kind, number) for kind in options.kinds for number in range(options.trials)]
    play = partial(play_one, options.seed, options.shortest, options.longest)
    with ProcessPoolExecutor(options.jobs) as pool:
        for (kind, _), tally in zip(orders, pool.map(play, orders, chunksize=4), strict=True):
            tallies[kind].add(tally)
            tallies["all"].add(tally)
    print(f"{'kind':32}", *(f"{name:>10}" for name in COLUMNS))
    for kind in (*options.kinds, "all"):
        print(f"{kind:32}", *(f"{getattr(tallies[kind], name):>10,}" for name in COLUMNS))
    for note in tallies["all"].notes[:20]:
        print(note, file=sys.stderr)
    return 1 if tallies["all"].false else 0


def play_one(seed: int, shortest: float, longest: float, order: tuple[str, int]) -> Tally:
    """Play one trial."""
    kind, number = order
    share = Random(f"{seed} {kind} {number}").random()
    return Trial(kind, f"{seed} {number}", shortest + share * (longest - shortest)).play()


if __name__ == "__main__":
    sys.exit(main())

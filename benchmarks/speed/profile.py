"""Where a first load and an unchanged sync spend their time, as pyinstrument sees it from the first import to the end.

    python -m benchmarks.speed.profile --favourites 10000

Into SQLite, each in a process of its own; the trees go into ``docs/benchmarks.md``. A sampler takes time itself, and sees the main thread
alone: what the threads that read pages do shows as waiting for them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.speed.costs import PAGE, environment, replaced
from benchmarks.speed.measure import Database, Service

BEGIN, END = "<!-- profile: begin -->", "<!-- profile: end -->"
LEAST_SHARE = 0.02
PROGRAM = f"""
import gc, sys
gc.set_threshold(200_000, 20, 50)
from pyinstrument import Profiler
from pyinstrument.renderers import ConsoleRenderer
profiler = Profiler(interval=0.0005, async_mode="disabled")
profiler.start()
from etl.cli import main
code = main(["sync"])
profiler.stop()
options = {{"filter_threshold": {LEAST_SHARE}, "hide_regex": ".*importlib.*|.*/runpy.py"}}
renderer = ConsoleRenderer(unicode=True, color=False, show_all=False, time="percent_of_total", processor_options=options)
print(profiler.output(renderer))
sys.exit(code)
"""


def profiled(favourites: int) -> dict[str, str]:
    """Return the trees, by what was done."""
    service = Service(favourites)
    try:
        with tempfile.TemporaryDirectory(prefix="favsync-bench-") as folder:
            settings = environment(Path(folder), service, Database("sqlite", Path(folder), "").url)
            return {words: _tree(settings) for words in ("first load", "unchanged sync")}
    finally:
        service.stop()


def _tree(settings: dict[str, str]) -> str:
    """Return the tree of one run, without the head that names the program and the machine."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=settings, check=True, capture_output=True, text=True)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    start = next(n for n, line in enumerate(lines) if line[:1].isdigit())
    return "\n".join(line for line in lines[start:] if line and not line.startswith("To view this report"))


def main() -> None:
    """Profile both, and write them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.profile", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--favourites", type=int, default=10_000)
    trees = profiled(parser.parse_args().favourites)
    blocks = [f"<details><summary>{words}</summary>\n\n```\n{tree}\n```\n\n</details>" for words, tree in trees.items()]
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), BEGIN, END, "\n".join(blocks)), encoding="utf-8")


if __name__ == "__main__":
    main()

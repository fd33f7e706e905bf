"""Syncs of one tool in one process, each measured by itself, so that the start of the process is in none of them.

    … | python -m benchmarks.tools.repeated favsync|floor|floor-httpx

Each line of the input is the URL of a database to sync into. Each is answered by a line with the processor seconds and the wall-clock
seconds. The environment is that of `floor.py` or of ``favsync sync``.
"""

from __future__ import annotations

import io
import os
import sys
import time
from contextlib import ExitStack, redirect_stdout

from benchmarks.tools import floor


def favsync(url: str) -> None:
    """Run ``favsync sync``. SQLAlchemy compiles each statement once a process, though each call has an engine of its own.

    Raises: RuntimeError if it fails; its message is on stderr.
    """
    from etl import cli

    os.environ["FAVSYNC_DATABASE_URL"] = url
    with redirect_stdout(io.StringIO()):
        code = cli.main(["sync"])
    if code:
        raise RuntimeError(f"favsync sync ended with exit code {code}")


def main() -> None:
    """Sync into each database that is named."""
    tool = sys.argv[1]
    with ExitStack() as stack:
        if tool == "favsync":  # not in the process of a floor
            from tests.support.shared_statements import shared_statements

            stack.enter_context(shared_statements())
        for line in sys.stdin:
            url = line.strip()
            wall, cpu = time.perf_counter(), time.process_time()
            if tool == "favsync":
                favsync(url)
            else:
                floor.copy_list(url, tool == "floor-httpx")
            print(time.process_time() - cpu, time.perf_counter() - wall, flush=True)


if __name__ == "__main__":
    main()

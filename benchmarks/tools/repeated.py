"""Syncs of one tool in one process, each measured by itself, so that the start of the process is in none of them.

    … | python repeated.py favsync|floor|floor-httpx

Each line of the input is the URL of a database to sync into. Each is answered by a line with the processor seconds and the wall-clock
seconds. The environment is that of `floor.py` or of ``favsync sync``.
"""

from __future__ import annotations

import io
import os
import sys
import time
from contextlib import redirect_stdout

import floor


def favsync(url: str) -> None:
    """Run ``favsync sync``.

    Raises: RuntimeError if it fails; its message is on stderr.
    """
    from etl import cli  # not into the process of a floor

    os.environ["FAVSYNC_DATABASE_URL"] = url
    with redirect_stdout(io.StringIO()):
        code = cli.main(["sync"])
    if code:
        raise RuntimeError(f"favsync sync ended with exit code {code}")


def main() -> None:
    """Sync into each database that is named."""
    tool = sys.argv[1]
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

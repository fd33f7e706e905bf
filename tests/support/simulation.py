"""A scheduler in its own process that runs only when the test orders a step, on a clock that the test advances.

    python -m tests.support.simulation CLOCK_FILE

Reads one order a line ("tick" or "stop") and answers with one line. The settings come from the environment.
Nothing here waits for real time: a tick ends when no account is due and no run is in progress.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from etl import clock

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 3, 2, tzinfo=UTC)
READING_MICROSECONDS = 1_000
FOREVER = 1e6


class SharedClock:
    """A clock in a file, shared by processes. It moves by a millisecond a reading, and otherwise only by `advance`.

    Two events therefore never have the same instant, and their instants are in the order in which they happened.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        self._file = path.open("r+b")
        self._elapsed = mmap.mmap(self._file.fileno(), 8)
        self._lock = threading.Lock()

    def advance(self, microseconds: int) -> int:
        """Move the clock and return the microseconds since the start."""
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)  # the kernel releases it if the process is killed
            try:
                elapsed = int.from_bytes(self._elapsed[:8]) + microseconds
                self._elapsed[:8] = elapsed.to_bytes(8)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        return elapsed

    def now(self) -> datetime:
        """Return the instant, later than any returned before."""
        return START + timedelta(microseconds=self.advance(READING_MICROSECONDS))

    def monotonic(self) -> float:
        """Return the seconds since the start."""
        return self.advance(READING_MICROSECONDS) / 1e6

    def close(self) -> None:
        """Close the file."""
        self._elapsed.close()
        self._file.close()


class SchedulerProcess:
    """The test's handle of one scheduler process."""

    def __init__(self, clock_path: Path, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process: subprocess.Popen[str] = subprocess.Popen(
                [sys.executable, "-m", "tests.support.simulation", str(clock_path)],
                env=dict(environment),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.is_alive = True

    def tick(self) -> str:
        """Run one tick and all accounts that are due; return "leader", "standby", or "" if the process was killed."""
        return self._order("tick")

    def stop(self) -> str:
        """Stop as a signal would; return whether every run ended ("done")."""
        answer = self._order("stop")
        self.close()
        return answer

    def kill(self) -> None:
        """Kill the process and wait until it is gone. Any thread may call this, also while a tick is in progress."""
        self.is_alive = False
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill the process if it is alive, and close its pipes."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()

    def _order(self, order: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer or not self.is_alive, self._log.read_text()[-3000:]
        return answer


def main(clock_path: str) -> None:
    """Serve orders until stdin ends."""
    shared = SharedClock(Path(clock_path))
    clock.now, clock.monotonic = shared.now, shared.monotonic  # before other modules take them as defaults

    from etl import config, logs
    from etl.db.engine import open_engine
    from etl.scheduler.service import Service

    settings = config.load({}, dict(os.environ), None)
    logs.configure("text", "info")
    engine = open_engine(os.environ["FAVSYNC_DATABASE_URL"])
    service = Service(settings, engine, workers=4, grace_seconds=FOREVER)
    for line in sys.stdin:
        answer = _tick(service, engine, settings.schedule) if line.strip() == "tick" else _stop(service)
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    engine.dispose()


def _tick(service: Any, engine: Any, schedule: str) -> str:
    from etl.db.engine import read_transaction
    from etl.scheduler.queue import due

    while True:
        service.tick()
        service.wait(FOREVER)
        if not service.pulse.is_leader:
            return "standby"
        with read_transaction(engine) as connection:
            if not due(connection, schedule, clock.now(), busy=(), limit=1):
                return "leader"


def _stop(service: Any) -> str:
    return "done" if service.stop() else "abandoned"


if __name__ == "__main__":
    main(*sys.argv[1:])

"""``favsync`` in a process of its own whose clock runs faster.

    python tests/e2e/sped.py REAL_ORIGIN SPEED [ARGUMENT]...

All who are given the same origin and speed share one clock. Deadlines of single requests stay real: they guard the test.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

BEGINNING = datetime(2026, 3, 2, tzinfo=UTC)
TICK_SECONDS = 0.05


class Clock:
    """Time that begins at `BEGINNING` when the real clock shows ``origin``, and runs ``speed`` times as fast."""

    def __init__(self, origin: float, speed: float) -> None:
        self.origin = origin
        self.speed = speed

    def now(self) -> datetime:
        """Return the instant."""
        return BEGINNING + timedelta(seconds=(time.time() - self.origin) * self.speed)

    def monotonic(self) -> float:
        """Return seconds since the beginning."""
        return (time.time() - self.origin) * self.speed

    def wait(self, seconds: float) -> bool:
        """Wait so long by this clock."""
        time.sleep(seconds / self.speed)
        return False


def main(origin: str, speed: str, *arguments: str) -> int:
    """Run ``favsync`` with the arguments."""
    from etl import clock

    sped = Clock(float(origin), float(speed))
    clock.now = sped.now
    from etl.boomplay import http, waiting
    from etl.scheduler import service

    def timing_of_wire() -> Any:
        return waiting.Clock(now=sped.now, monotonic=sped.monotonic, wait=sped.wait)

    http.Clock = timing_of_wire  # type: ignore[assignment,misc]
    service.TICK_SECONDS = TICK_SECONDS
    from etl.cli import main as favsync

    return favsync(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

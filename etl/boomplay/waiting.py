"""Waiting that can be ended, and the clocks that tests replace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from random import SystemRandom

import msgspec

from etl import clock

NAP_SECONDS = 0.25


class CancelToken:
    """Says whether to stop: the caller's event, or our own end. Seen within a quarter of a second by all who wait."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()
        self._is_closed = False

    def set(self) -> None:
        """Make every wait end, now and later; the caller's event is left alone."""
        self._is_closed = True

    def is_set(self) -> bool:
        """Return whether no more work should be begun."""
        return self._is_closed or self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until halted; return whether halted."""
        end = clock.monotonic() + seconds
        while not self.is_set() and (left := end - clock.monotonic()) > 0:
            self._stop.wait(min(left, NAP_SECONDS))
        return self.is_set()


class Clock(msgspec.Struct, frozen=True):
    """Every source of time and chance in this package. ``jitter`` gives 0 to 1; ``wait`` None means `CancelToken.wait`."""

    now: Callable[[], datetime] = clock.now
    monotonic: Callable[[], float] = clock.monotonic
    jitter: Callable[[], float] = SystemRandom().random
    wait: Callable[[float], bool] | None = None

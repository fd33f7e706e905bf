"""Cancellation, and the sources of time and chance that tests replace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from random import SystemRandom

import msgspec

from etl import clock

POLL_SECONDS = 0.25


class CancelToken:
    """Cancellation flag of one client: the caller's event, or the client's own end. Waits notice it within 0.25 s."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()
        self._is_closed = False

    def set(self) -> None:
        """End every wait, now and later. The caller's event stays as it is: other clients share it."""
        self._is_closed = True

    def is_set(self) -> bool:
        """True if no more work should start."""
        return self._is_closed or self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for ``seconds`` or until cancelled; return True if cancelled."""
        end = clock.monotonic() + seconds
        while not self.is_set() and (left := end - clock.monotonic()) > 0:
            self._stop.wait(min(left, POLL_SECONDS))
        return self.is_set()


class Clock(msgspec.Struct, frozen=True):
    """Every source of time and chance in this package.

    ``jitter`` returns 0 to 1. ``wait`` returns True if the wait was cancelled; None: `CancelToken.wait`.
    """

    now: Callable[[], datetime] = clock.now
    monotonic: Callable[[], float] = clock.monotonic
    jitter: Callable[[], float] = SystemRandom().random
    wait: Callable[[float], bool] | None = None

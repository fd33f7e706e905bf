"""The sources of time and chance that tests replace, and the rate limit of an app id."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from random import SystemRandom
from typing import Protocol

import msgspec

from etl import clock


class Clock(msgspec.Struct, frozen=True):
    """Every source of time and chance in this package. ``jitter`` is 0 to 1; ``wait`` returns True if it was cancelled."""

    now: Callable[[], datetime] = lambda: clock.now()  # noqa: PLW0108 - a run is dated by the same function
    monotonic: Callable[[], float] = clock.monotonic
    jitter: Callable[[], float] = SystemRandom().random
    wait: Callable[[float], bool] | None = None


class SharedBudget(Protocol):
    """The turns of an app id that several processes share."""

    def take(self, turns: int) -> float:
        """Take the next ``turns`` and return the seconds until the first of them. Raises DatabaseError."""
        ...

    def pause(self, seconds: float) -> None:
        """Delay all turns of all processes. Raises DatabaseError."""
        ...


class RateLimiter:
    """Assigns turns to the requests of an app id; safe to share between threads. Instants are monotonic, in seconds.

    It keeps a window of the last turns: never more than the rate in any second, and no delay for a short list. It is our own
    because pyrate-limiter 4.5.1 waits in ``time.sleep``, and cannot pause every caller until an instant.

    With a ``budget``, the turns come from there: as many at once as this process uses in a twentieth of a second. Those that it
    does not use in time are lost, because late ones would be sent in the time of other processes.
    """

    def __init__(self, requests_per_second: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._paused_until = float("-inf")
        self._turns: deque[float] = deque()
        self._window_seconds = 0.0
        self._budget: SharedBudget | None = None
        self._reserved: deque[float] = deque()
        self.set_rate(requests_per_second)

    def share(self, budget: SharedBudget) -> None:
        """Take the turns from a budget of several processes from now on."""
        with self._lock:
            self._budget = budget

    def set_rate(self, requests_per_second: float) -> None:
        """Change the rate for all users of this limiter; 0 means no limit."""
        turns = max(1, int(requests_per_second))
        with self._lock:
            self._turns = deque(self._turns, maxlen=turns)
            self._window_seconds = turns / requests_per_second if requests_per_second > 0 else 0.0

    def take_turn(self, now: float) -> float:
        """Take the next turn and return its instant, at the earliest ``now``."""
        with self._lock:
            turn = max(now, self._paused_until)
            if self._budget is not None and self._window_seconds:
                return max(turn, self._shared_turn(self._budget, now))
            if len(self._turns) == self._turns.maxlen:
                turn = max(turn, self._turns[0] + self._window_seconds)
            self._turns.append(turn)
            return turn

    def _shared_turn(self, budget: SharedBudget, now: float) -> float:
        while self._reserved and self._reserved[0] < now - RESERVED_SECONDS:
            self._reserved.popleft()
        if not self._reserved:
            seconds_each = self._window_seconds / (self._turns.maxlen or 1)
            recent = sum(turn > now - RESERVED_SECONDS for turn in self._turns)
            count = min(max(recent, 1), MOST_RESERVED, int(RESERVED_SECONDS / seconds_each) or 1)
            first = now + budget.take(count)
            if first - now > PAUSE_FROM_SECONDS:  # another process was asked to wait
                self._paused_until = max(self._paused_until, first)
            self._reserved.extend(first + place * seconds_each for place in range(count))
        self._turns.append(now)
        return self._reserved.popleft()

    def pause(self, until: float) -> None:
        """Delay all turns to this instant: a request to slow down holds for the whole app id."""
        with self._lock:
            self._paused_until = max(self._paused_until, until)
            self._reserved.clear()

    def seconds_to(self, turn: float, now: float) -> float:
        """Return the wait for a turn taken earlier, including pauses that began since; 0 if it is due."""
        return max(turn, self._paused_until, now) - now

    def paused_seconds(self, now: float) -> float:
        """Return the rest of a pause, 0 if there is none."""
        return max(self._paused_until - now, 0.0)


RESERVED_SECONDS = 0.05
MOST_RESERVED = 50
PAUSE_FROM_SECONDS = 60.0
"""A longer wait for a turn is not the queue before it: the service asked another process to wait."""
_limiters: dict[tuple[str, str], RateLimiter] = {}


def limiter_for(origin: str, app_id: str, requests_per_second: float) -> RateLimiter:
    """Return the one limiter of this app id at this service; it lives as long as the process, and has the newest rate."""
    limiter = _limiters.setdefault((origin, app_id), RateLimiter(requests_per_second))
    limiter.set_rate(requests_per_second)
    return limiter


def forget_limiters() -> None:
    """Forget all limiters and their pauses."""
    _limiters.clear()

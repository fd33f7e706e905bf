"""Whose turn it is: one limit for all requests of one app id in this process.

A window of the last turns: never more than ``requests_per_second`` in any second, and a short list is not slowed at
all. Our own, because pyrate-limiter 4.5.1 waits in ``time.sleep`` (a SIGTERM would wait with it), adds 50 ms to every
wait, cannot pause everybody until an instant, keeps a daemon thread for each limiter, and costs 66 ms of import and 10
µs a turn (here 1 µs) [measured].

Invariant: instants are readings of one monotonic clock, in seconds.
"""

from __future__ import annotations

import threading
from collections import deque


class RateLimiter:
    """Gives out turns; safe to share between threads."""

    def __init__(self, requests_per_second: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._paused_until = float("-inf")
        self._turns: deque[float] = deque()
        self._window_seconds = 0.0
        self.set_rate(requests_per_second)

    def set_rate(self, requests_per_second: float) -> None:
        """Change the rate for all who share this limiter; 0 means no limit."""
        turns = max(1, int(requests_per_second))
        with self._lock:
            self._turns = deque(self._turns, maxlen=turns)
            self._window_seconds = turns / requests_per_second if requests_per_second > 0 else 0.0

    def take_turn(self, now: float) -> float:
        """Take the next turn and return when it is, perhaps now."""
        with self._lock:
            turn = max(now, self._paused_until)
            if len(self._turns) == self._turns.maxlen:
                turn = max(turn, self._turns[0] + self._window_seconds)
            self._turns.append(turn)
            return turn

    def pause(self, until: float) -> None:
        """Let nobody go before this instant: one who was told to slow down speaks for all."""
        with self._lock:
            self._paused_until = max(self._paused_until, until)

    def seconds_to(self, turn: float, now: float) -> float:
        """Return how long to wait for a turn that was taken, with the pauses that have come since; 0 when it is due."""
        return max(turn, self._paused_until, now) - now

    def paused_seconds(self, now: float) -> float:
        """Return how much of a pause is left."""
        return max(self._paused_until - now, 0.0)


_limiters: dict[tuple[str, str], RateLimiter] = {}
_limiters_lock = threading.Lock()


def limiter_for(origin: str, app_id: str, requests_per_second: float) -> RateLimiter:
    """Return the one limiter of this app id at this service; the newest rate counts.

    Kept until the process ends: a pause outlives the client that was told to pause.
    """
    with _limiters_lock:
        limiter = _limiters.setdefault((origin, app_id), RateLimiter(requests_per_second))
    limiter.set_rate(requests_per_second)
    return limiter

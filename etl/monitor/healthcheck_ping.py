"""Telling a dead man's switch that runs start and end, in the manner of healthchecks.io.

The address plus ``/start`` when work begins, the address itself when it went well, plus ``/fail`` when it did not. With
``{account}`` in it, each account has a switch of its own; without, one switch stands for all: it is told of success only while no
account fails, and where the work is a round that ends, not before its end. A round in which every account was another run's says
nothing at all: that other run may hang.

Invariants: a ping never fails or delays a run; its address, which is a secret, is in no message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import quote

from etl import __version__, clock, logs
from etl.monitor.outbox import TIMEOUT_SECONDS, Outbox, post

BETWEEN_SECONDS = 30.0
PLACEHOLDER = "{account}"


class HealthcheckPinger:
    """Sends pings from a thread of its own, and drops those that would pile up. Close it to send the last ones."""

    def __init__(self, url: str, send: Callable[[str, str], None] | None = None, *, is_round: bool = False) -> None:
        self._url = url.rstrip("/")
        self._is_shared = PLACEHOLDER not in url
        self._is_round = is_round
        self._send = send or _send
        self._failing: dict[str, str] = {}
        self._has_ended = self._has_left = False
        self._sent: tuple[bool, float] | None = None
        self._lock = threading.Lock()
        self._outbox = Outbox[tuple[str, str]](
            "favsync-ping",
            self._deliver,
            trouble="the dead man's switch cannot be reached",
            full="a ping was dropped: the switch answers too slowly",
        )

    def started(self, account: str) -> None:
        """Tell that the account's run begins; a shared switch is told of the service's beginning alone."""
        if not self._is_shared:
            self._put(account, "/start", "")

    def service_started(self) -> None:
        """Tell that the service begins."""
        if self._is_shared:
            self._put("", "/start", f"favsync {__version__}")

    def ended(self, account: str, reason: str | None) -> None:
        """Tell how the account's run went; ``reason`` says why it went wrong, None that it did not."""
        if not self._is_shared:
            self._put(account, "/fail" if reason else "", reason or "")
            return
        with self._lock:
            self._has_ended = True
            self._failing.pop(account, None)
            if reason:
                self._failing[account] = reason
            if self._is_round:
                return
            is_well, now = not self._failing, clock.monotonic()
            if self._sent is not None and self._sent[0] == is_well and now - self._sent[1] < BETWEEN_SECONDS:
                return
            self._sent = (is_well, now)
        self._tell_all()

    def left(self) -> None:
        """Note that the work was left to another run, which is at it."""
        self._has_left = True

    def still_failing(self, account: str, reason: str) -> None:
        """Note, for a shared switch, that an account which had no turn in this round failed when it had one."""
        with self._lock:
            self._failing.setdefault(account, reason)

    def close(self, seconds: float = TIMEOUT_SECONDS) -> None:
        """Send what waits, at most so long; a round ends with its verdict."""
        is_known = self._has_ended or bool(self._failing) or not self._has_left
        if self._is_round and self._is_shared and is_known:
            self._tell_all()
        self._outbox.close(seconds)

    def _tell_all(self) -> None:
        with self._lock:
            words = "\n".join(f"{name}: {why}" for name, why in sorted(self._failing.items())[:50])
        self._put("", "/fail" if words else "", words)

    def _put(self, account: str, ending: str, words: str) -> None:
        url = self._url.replace(PLACEHOLDER, quote(account, safe="")) + ending
        self._outbox.put((url, logs.masked(words)))

    def _deliver(self, ping: tuple[str, str]) -> None:
        self._send(*ping)


def _send(url: str, words: str) -> None:
    post(url, words.encode())

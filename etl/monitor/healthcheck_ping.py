"""Pings to a dead man's switch with the API of healthchecks.io, which raises an alarm when they stop.

A ping is a POST to ``URL/start`` when work starts, to ``URL`` after success and to ``URL/fail`` after a failure. If the URL
contains ``{account}``, each account has a check of its own. Otherwise all accounts share one check, and success means that no
account is failing. One-shot commands report to a shared check once, when they end; if other processes ran all of their accounts,
they report nothing, because those runs may hang.

Invariants: a ping never fails or delays a run; no message contains the URL, which is a secret.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from etl import __version__, clock, logs
from etl.monitor.outbox import Outbox, post

REPEAT_SECONDS: Final = 30.0
"""A shared check receives the same result again after this time at the earliest."""
PLACEHOLDER: Final = "{account}"
MAX_LISTED: Final = 50


class HealthcheckPinger:
    """Sends pings from a background thread. ``is_round``: the work is one round of runs, as in `favsync sync`."""

    def __init__(self, url: str, send: Callable[[str, str], None] | None = None, *, is_round: bool = False) -> None:
        self._url = url.rstrip("/")
        self._is_shared = PLACEHOLDER not in url
        self._is_round = is_round
        self._failing: dict[str, str] = {}
        self._has_ended = self._has_left = False
        self._last: tuple[bool, float] | None = None
        self._lock = threading.Lock()
        deliver = send or (lambda url, text: post(url, text.encode()))
        self._outbox = Outbox[tuple[str, str]](
            "favsync-ping",
            lambda ping: deliver(*ping),
            failed="healthcheck ping failed",
            dropped="healthcheck ping dropped: the queue is full",
        )

    def service_started(self) -> None:
        """Report to a shared check that the process has started."""
        if self._is_shared:
            self._put("", "/start", f"favsync {__version__}")

    def started(self, account: str) -> None:
        """Report to the account's own check that its run has started."""
        if not self._is_shared:
            self._put(account, "/start", "")

    def ended(self, account: str, reason: str | None) -> None:
        """Report how the account's run ended. ``reason``: why it failed, None for success."""
        if not self._is_shared:
            self._put(account, "/fail" if reason else "", reason or "")
            return
        with self._lock:
            self._has_ended = True
            self._failing.pop(account, None)
            if reason:
                self._failing[account] = reason
            is_success, now = not self._failing, clock.monotonic()
            if self._is_round:
                return
            if self._last is not None and self._last[0] == is_success and now - self._last[1] < REPEAT_SECONDS:
                return
            self._last = (is_success, now)
        self._put_result()

    def left(self) -> None:
        """Note that another process runs the account."""
        self._has_left = True

    def still_failing(self, account: str, reason: str) -> None:
        """Note that an account which this round does not sync failed when it was last synced."""
        with self._lock:
            self._failing.setdefault(account, reason)

    def close(self) -> None:
        """Report the result of a round, and send what is queued."""
        has_result = self._has_ended or bool(self._failing) or not self._has_left
        if self._is_round and self._is_shared and has_result:
            self._put_result()
        self._outbox.close()

    def _put_result(self) -> None:
        with self._lock:
            failing = sorted(self._failing.items())
        text = "\n".join(f"{name}: {reason}" for name, reason in failing[:MAX_LISTED])
        self._put("", "/fail" if failing else "", text)

    def _put(self, account: str, ending: str, text: str) -> None:
        url = self._url.replace(PLACEHOLDER, quote(account, safe="")) + ending
        self._outbox.put((url, logs.masked(text)))

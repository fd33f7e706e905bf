"""What to do after an attempt that failed. Pure: no I/O, no clock, no chance.

| what happened                                      | verdict                                                       |
|----------------------------------------------------|---------------------------------------------------------------|
| no connection, time-out, reset, cut body, 408, 5xx | `Retry`, then `GiveUp` (`etl.errors.ApiUnreachable`)          |
| 429, or a ``code`` known to mean it                | `Retry` for all requests of the app id, then `Postpone`           |
| ``Retry-After`` beyond ``park_after_seconds``      | `Postpone` at once: wait outside the run                          |
| 401, or a ``code`` known to mean it                | `Renew` once, then `GiveUp` (`etl.errors.CredentialsError`)   |
| 200 without JSON (a proxy's page, an empty body)   | `Retry` twice, then `GiveUp` (`etl.errors.PayloadError`)      |
| any other status or ``code``, a redirect elsewhere | `GiveUp` (`etl.errors.ApiRefused`)                            |

Waiting is full-jitter exponential backoff (Brooker, "Exponential Backoff And Jitter"). ``Retry-After`` is honoured, and
the backoff is its floor: ``Retry-After: 0`` must not burn all tries at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from math import isfinite

import msgspec

TRANSIENT_STATUSES = frozenset({408, 500, 502, 503, 504})
THROTTLED_STATUS = 429
TOKEN_STATUS = 401
LONGEST_WAIT_SECONDS = 30 * 86400.0


class FailureKind(Enum):
    """How far an attempt came."""

    NETWORK = auto()
    UNTRUSTED = auto()
    GARBLED = auto()
    UNREADABLE = auto()
    REDIRECTED = auto()
    ANSWER = auto()


class FailureClass(Enum):
    """What a failure means for those who wait for an answer."""

    TRANSIENT = auto()
    THROTTLED = auto()
    GARBLED = auto()
    TOKEN = auto()
    DOWN = auto()
    UNREADABLE = auto()
    REFUSED = auto()


_KIND_MEANINGS = {
    FailureKind.NETWORK: FailureClass.TRANSIENT,
    FailureKind.UNTRUSTED: FailureClass.DOWN,
    FailureKind.GARBLED: FailureClass.GARBLED,
    FailureKind.UNREADABLE: FailureClass.UNREADABLE,
    FailureKind.REDIRECTED: FailureClass.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that gave no usable answer. ``message`` is one line; ``retry_after`` the header as received."""

    kind: FailureKind
    message: str
    status: int | None = None
    code: int | None = None
    retry_after: str | None = field(default=None, repr=False)


class Retry(msgspec.Struct, frozen=True):
    """Try again after so many seconds; ``is_shared``: and let every request of this app id wait as long."""

    after_seconds: float
    is_shared: bool = False


class Renew(msgspec.Struct, frozen=True):
    """Get another token, then try again at once."""


class Postpone(msgspec.Struct, frozen=True):
    """End the run; the service is not to be asked before this instant (UTC)."""

    until: datetime


class GiveUp(msgspec.Struct, frozen=True):
    """Trying again will not help, or did not."""


Verdict = Retry | Renew | Postpone | GiveUp


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient to be. ``token_codes``, ``throttled_codes``: numbers in ``code`` that say so; none documented."""

    max_retries: int = 5
    max_garbled_retries: int = 2
    base_seconds: float = 0.5
    cap_seconds: float = 30.0
    park_after_seconds: float = 60.0
    token_codes: frozenset[int] = frozenset()
    throttled_codes: frozenset[int] = frozenset()

    def verdict(self, failure: Failure, *, tries: int, may_renew: bool, now: datetime, jitter: float) -> Verdict:
        """Return what to do after ``tries`` attempts, the last of which failed so. ``jitter`` is from 0 to 1."""
        meaning = self.meaning(failure)
        if meaning is FailureClass.TOKEN and may_renew:
            return Renew()
        if meaning in (FailureClass.TOKEN, FailureClass.DOWN, FailureClass.UNREADABLE, FailureClass.REFUSED):
            return GiveUp()
        asked = retry_after_seconds(failure.retry_after, now)
        if asked is not None and asked > self.park_after_seconds:
            return Postpone(now + timedelta(seconds=asked))
        if tries > self.max_retries or (meaning is FailureClass.GARBLED and tries > self.max_garbled_retries):
            return self._end(meaning, now)
        wait = max(asked or 0.0, self.backoff_seconds(tries, jitter))
        return Retry(wait, is_shared=meaning is FailureClass.THROTTLED or asked is not None)

    def meaning(self, failure: Failure) -> FailureClass:
        """Return what the failure means. A configured ``code`` counts for more than the HTTP status around it."""
        if failure.kind is not FailureKind.ANSWER:
            return _KIND_MEANINGS[failure.kind]
        if failure.code in self.token_codes or failure.status == TOKEN_STATUS:
            return FailureClass.TOKEN
        if failure.code in self.throttled_codes or failure.status == THROTTLED_STATUS:
            return FailureClass.THROTTLED
        return _status_meaning(failure.status or 0)

    def backoff_seconds(self, tries: int, jitter: float) -> float:
        """Return the wait after ``tries`` attempts, anywhere between nothing and the doubling bound."""
        doublings = min(tries - 1, 60)
        return jitter * min(self.cap_seconds, self.base_seconds * 2.0**doublings)

    def _end(self, meaning: FailureClass, now: datetime) -> Verdict:
        if meaning is FailureClass.THROTTLED:
            return Postpone(now + timedelta(seconds=self.park_after_seconds))
        return GiveUp()


def retry_after_seconds(retry_after: str | None, now: datetime) -> float | None:
    """Return how long ``Retry-After`` asks to wait, at least 0; None where it is absent or unreadable.

    Seconds, also with a fraction, or an HTTP date (RFC 9110, 10.2.3). Cut at 30 days, since dates end somewhere.
    """
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _seconds_until(retry_after, now)
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if isfinite(seconds) else None


def _seconds_until(http_date: str, now: datetime) -> float:
    try:
        instant = parsedate_to_datetime(http_date)
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return (aware - now).total_seconds()
    except (ValueError, OverflowError, IndexError, TypeError):
        return float("nan")


def _status_meaning(status: int) -> FailureClass:
    if status in TRANSIENT_STATUSES:
        return FailureClass.TRANSIENT
    return FailureClass.DOWN if status >= 500 else FailureClass.REFUSED

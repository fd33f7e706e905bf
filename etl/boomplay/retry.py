"""Decides what to do after a failed attempt, and which error a failure becomes. Pure: no I/O, no clock, no chance.

| what happened                                       | decision                                                    |
|-----------------------------------------------------|-------------------------------------------------------------|
| no connection, time-out, reset, cut body, 408, 5xx  | `Retry`, then `GiveUp` (`ApiUnreachable`)                   |
| 429                                                 | `Retry` for all requests of the app id, then `Postpone`     |
| ``Retry-After`` beyond ``park_after_seconds``       | `Postpone` at once: the wait happens outside the run        |
| 401, or a ``code`` configured as a bad token        | `Renew` once, then `GiveUp` (`CredentialsError`)            |
| 200 without JSON (a proxy's page, an empty body)    | `Retry` twice, then `GiveUp` (`PayloadError`)               |
| any other status or ``code``, a redirect elsewhere  | `GiveUp` (`ApiRefused`)                                     |

Waits are full-jitter exponential backoff (Brooker, "Exponential Backoff And Jitter"). ``Retry-After`` is honoured, and the
backoff is its floor: ``Retry-After: 0`` must not use up all attempts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from math import isfinite

import msgspec

from etl.errors import ApiRefused, ApiUnreachable, CredentialsError, FavsyncError, PayloadError, RateLimited

TRANSIENT_STATUSES = frozenset({408, 500, 502, 503, 504})
LONGEST_WAIT_SECONDS = 30 * 86400.0


class FailureClass(Enum):
    """What a failure means. The value is the remedy in its error."""

    TRANSIENT = "check BOOMPLAY_API_URL and the network (`favsync doctor` tests both), then try again later"
    THROTTLED = "wait until then; if it goes on for days, ask Boomplay whether the app id is blocked"
    GARBLED = "try again later; if it stays, a proxy answers in the service's place"  # no JSON, or a cut body
    TOKEN = "get another: `favsync accounts login NAME`, `favsync accounts set NAME --token`, or BOOMPLAY_ACCESS_TOKEN"  # noqa: S105
    DOWN = "check BOOMPLAY_API_URL and the machine's CA certificates"  # another attempt within the run will not help
    UNREADABLE = "try again later; if it stays, the service has changed"  # JSON of another shape, or too large
    REFUSED = "check BOOMPLAY_API_URL and BOOMPLAY_APP_ID, and what the app may do"


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without a usable answer. If ``cause`` is None, status and code decide. ``retry_after``: as received."""

    message: str
    cause: FailureClass | None = None
    status: int | None = None
    code: int | None = None
    retry_after: str | None = field(default=None, repr=False)


class Retry(msgspec.Struct, frozen=True):
    """Try again after a wait in seconds. ``is_shared``: every request of this app id waits as long."""

    after_seconds: float
    is_shared: bool = False


class Renew(msgspec.Struct, frozen=True):
    """Get another token, then try again at once."""


class Postpone(msgspec.Struct, frozen=True):
    """End the run; send nothing to the service before this instant (UTC)."""

    until: datetime

    def error(self, message: str, status: int | None = 429) -> RateLimited:
        """Return the error that names the instant."""
        message = f"{message}; next try at {self.until:%Y-%m-%d %H:%M:%S} UTC"
        return RateLimited(message, retry_at=self.until, remedy=FailureClass.THROTTLED.value, status=status)


class GiveUp(msgspec.Struct, frozen=True):
    """Report the failure: another attempt will not help, or did not."""


Decision = Retry | Renew | Postpone | GiveUp


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the retries. ``token_codes``: values of ``code`` that mean a bad token; Boomplay documents none."""

    max_retries: int = 5
    max_garbled_retries: int = 2
    base_seconds: float = 0.5
    cap_seconds: float = 30.0
    park_after_seconds: float = 60.0
    token_codes: frozenset[int] = frozenset()

    def decide(self, failure: Failure, *, tries: int, may_renew: bool, now: datetime, jitter: float) -> Decision:
        """Return what to do after ``tries`` attempts, of which the last failed. ``jitter`` is from 0 to 1."""
        meaning = self.classify(failure)
        if meaning is FailureClass.TOKEN and may_renew:
            return Renew()
        if meaning in (FailureClass.TOKEN, FailureClass.DOWN, FailureClass.UNREADABLE, FailureClass.REFUSED):
            return GiveUp()
        asked = retry_after_seconds(failure.retry_after, now)
        if asked is not None and asked > self.park_after_seconds:
            return Postpone(now + timedelta(seconds=asked))
        if tries > self.max_retries or (meaning is FailureClass.GARBLED and tries > self.max_garbled_retries):
            is_throttled = meaning is FailureClass.THROTTLED
            return Postpone(now + timedelta(seconds=self.park_after_seconds)) if is_throttled else GiveUp()
        wait = max(asked or 0.0, self.backoff_seconds(tries, jitter))
        return Retry(wait, is_shared=meaning is FailureClass.THROTTLED or asked is not None)

    def classify(self, failure: Failure) -> FailureClass:
        """Return what the failure means. A configured ``code`` takes precedence over the HTTP status around it."""
        if failure.cause is not None:
            return failure.cause
        if failure.code in self.token_codes or failure.status == 401:
            return FailureClass.TOKEN
        if failure.status == 429:
            return FailureClass.THROTTLED
        if failure.status in TRANSIENT_STATUSES:
            return FailureClass.TRANSIENT
        return FailureClass.DOWN if (failure.status or 0) >= 500 else FailureClass.REFUSED

    def backoff_seconds(self, tries: int, jitter: float) -> float:
        """Return the wait after ``tries`` attempts: a share of a bound that doubles up to the cap."""
        doublings = min(tries - 1, 60)  # 2.0 ** 1024 overflows
        return jitter * min(self.cap_seconds, self.base_seconds * 2.0**doublings)

    def error(self, failure: Failure, message: str) -> FavsyncError:
        """Return the error for a failure without further attempts."""
        meaning = self.classify(failure)
        if meaning is FailureClass.TOKEN:
            return CredentialsError(message, remedy=meaning.value)
        if meaning in (FailureClass.TRANSIENT, FailureClass.DOWN):
            return ApiUnreachable(message, remedy=meaning.value, status=failure.status)
        if meaning in (FailureClass.GARBLED, FailureClass.UNREADABLE):
            return PayloadError(message, remedy=meaning.value, status=failure.status)
        return ApiRefused(message, remedy=meaning.value, status=failure.status, code=failure.code)


def retry_after_seconds(retry_after: str | None, now: datetime) -> float | None:
    """Return the seconds of ``Retry-After`` (RFC 9110, 10.2.3), from 0 to 30 days; None if it is absent or unreadable."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        date = http_date(retry_after)
        seconds = float("nan") if date is None else (date - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if isfinite(seconds) else None


@lru_cache(maxsize=16)  # the answers of one second have the same date
def http_date(text: str | None) -> datetime | None:
    """Return the instant (UTC) of an HTTP date; None if it is absent or unreadable."""
    try:
        instant = parsedate_to_datetime(text or "")
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None

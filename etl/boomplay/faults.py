"""Which error a failure becomes, and its remedy. Pure.

Invariant: an error is made of the failure's message, which holds no secret, and of nothing else.
"""

from __future__ import annotations

from datetime import datetime

from etl.boomplay.retry import Failure, Meaning
from etl.errors import ApiRefused, ApiUnreachable, CredentialsError, FavsyncError, PayloadError, RateLimited

REMEDIES = {
    Meaning.TOKEN: "get another: `favsync accounts login NAME`, `favsync accounts set NAME --token`, or BOOMPLAY_ACCESS_TOKEN",
    Meaning.TRANSIENT: "check the network, then try again later",
    Meaning.DOWN: "check BOOMPLAY_API_URL and the machine's CA certificates",
    Meaning.GARBLED: "try again later; if it stays, a proxy answers in the service's place",
    Meaning.UNREADABLE: "try again later; if it stays, the service has changed",
    Meaning.REFUSED: "check BOOMPLAY_API_URL and BOOMPLAY_APP_ID, and what the app may do",
}
_BLOCKED = "wait until then; if it goes on for days, ask Boomplay whether the app id is blocked"


def error_for(failure: Failure, meaning: Meaning, message: str) -> FavsyncError:
    """Return the error for a failure that was given up."""
    remedy = REMEDIES[meaning]
    if meaning is Meaning.TOKEN:
        return CredentialsError(message, remedy=remedy)
    if meaning in (Meaning.TRANSIENT, Meaning.DOWN):
        return ApiUnreachable(message, remedy=remedy, status=failure.status)
    if meaning in (Meaning.GARBLED, Meaning.UNREADABLE):
        return PayloadError(message, remedy=remedy, status=failure.status)
    return ApiRefused(message, remedy=remedy, status=failure.status, code=failure.code)


def parked(message: str, until: datetime, status: int | None = 429) -> RateLimited:
    """Return the error that says when the service may be asked again."""
    when = f"{until:%Y-%m-%d %H:%M:%S} UTC"
    return RateLimited(f"{message}; next try at {when}", retry_at=until, remedy=_BLOCKED, status=status)

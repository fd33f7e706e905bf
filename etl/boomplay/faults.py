"""Which error a failure becomes, and its remedy. Pure.

Invariant: an error is made of the failure's message, which holds no secret, and of nothing else.
"""

from __future__ import annotations

from datetime import datetime

from etl.boomplay.retry import Failure, FailureClass
from etl.errors import ApiRefused, ApiUnreachable, CredentialsError, FavsyncError, PayloadError, RateLimited

REMEDIES = {
    FailureClass.TOKEN: "get another: `favsync accounts login NAME`, `favsync accounts set NAME --token`, "
    "or BOOMPLAY_ACCESS_TOKEN",
    FailureClass.TRANSIENT: "check the network, then try again later",
    FailureClass.DOWN: "check BOOMPLAY_API_URL and the machine's CA certificates",
    FailureClass.GARBLED: "try again later; if it stays, a proxy answers in the service's place",
    FailureClass.UNREADABLE: "try again later; if it stays, the service has changed",
    FailureClass.REFUSED: "check BOOMPLAY_API_URL and BOOMPLAY_APP_ID, and what the app may do",
}
_BLOCKED = "wait until then; if it goes on for days, ask Boomplay whether the app id is blocked"


def to_exception(failure: Failure, meaning: FailureClass, message: str) -> FavsyncError:
    """Return the error for a failure that was given up."""
    remedy = REMEDIES[meaning]
    if meaning is FailureClass.TOKEN:
        return CredentialsError(message, remedy=remedy)
    if meaning in (FailureClass.TRANSIENT, FailureClass.DOWN):
        return ApiUnreachable(message, remedy=remedy, status=failure.status)
    if meaning in (FailureClass.GARBLED, FailureClass.UNREADABLE):
        return PayloadError(message, remedy=remedy, status=failure.status)
    return ApiRefused(message, remedy=remedy, status=failure.status, code=failure.code)


def postponed(message: str, until: datetime, status: int | None = 429) -> RateLimited:
    """Return the error that says when the service may be asked again."""
    when = f"{until:%Y-%m-%d %H:%M:%S} UTC"
    return RateLimited(f"{message}; next try at {when}", retry_at=until, remedy=_BLOCKED, status=status)

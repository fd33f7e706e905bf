"""The error tree.

The class of an error is the operator's next step, and carries the exit code (docs/settings.md)::

    FavsyncError                  70  a bug, if raised bare
    +-- UsageError                 2  change the command
    |   +-- SettingsError          2  change a setting
    +-- ApiError                   3  wait, or ask the service
    |   +-- ApiUnreachable         3  the network, or the service is down
    |   |   +-- Stopped            3  nothing, a signal ended the run (the command itself exits with 130)
    |   +-- ApiRefused             3  the service refused the request
    |   +-- RateLimited            3  the service asks for a later attempt
    |   +-- PayloadError           3  the response differs from the documentation
    +-- CredentialsError           4  renew a token
    |   +-- WrongUser              4  the token belongs to another user
    +-- DatabaseError              5  repair or reach the database
    |   +-- SchemaOutdated         5  run `favsync db upgrade`
    +-- NotDelivered               3  check the receiver of the digest
    +-- RunInProgress             75  wait for the other run

``str(error)`` is one line: what happened and where. ``remedy`` is one line: what to do. Neither contains a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


SHORTEST_PART = 3  # shorter words are not looked for within names


class FavsyncError(Exception):
    """A failure that favsync recognises."""

    exit_code = 70

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(FavsyncError):
    """The command cannot be carried out as given."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is missing or has an unusable value."""


class ApiError(FavsyncError):
    """Boomplay's API returned no usable response."""

    exit_code = 3

    def __init__(self, message: str, *, remedy: str = "", status: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


class ApiUnreachable(ApiError):
    """No connection, a time-out, a broken response or a server error, after all retries."""


class Stopped(ApiUnreachable):
    """A signal ended the run before there was an answer."""


class ApiRefused(ApiError):
    """The service refused: an HTTP 4xx, or ``code`` other than 0."""

    def __init__(self, message: str, *, remedy: str = "", status: int | None = None, code: int | None = None) -> None:
        super().__init__(message, remedy=remedy, status=status)
        self.code = code


class RateLimited(ApiError):
    """The service asks for a longer wait than a run allows. ``retry_at`` (UTC): the earliest next attempt."""

    def __init__(self, message: str, *, retry_at: datetime, remedy: str = "", status: int | None = 429) -> None:
        super().__init__(message, remedy=remedy, status=status)
        self.retry_at = retry_at


class PayloadError(ApiError):
    """The response has not the documented shape: HTML, truncated or foreign JSON, too large."""


class CredentialsError(FavsyncError):
    """The token is missing, or the service does not accept it."""

    exit_code = 4


class WrongUser(CredentialsError):
    """The token is valid but belongs to another Boomplay user than the account's data."""


class DatabaseError(FavsyncError):
    """The database cannot be reached, read or written."""

    exit_code = 5


class SchemaOutdated(DatabaseError):
    """The database's schema is not the one that this favsync writes."""


class NotDelivered(FavsyncError):
    """The webhook did not accept a digest; the next digest repeats its content."""

    exit_code = 3


class RunInProgress(FavsyncError):
    """Another run holds the lock of this account."""

    exit_code = 75


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """Return "did you mean X or Y? " with a trailing blank, or nothing if no name is near ``given``."""
    import difflib  # a tenth of the start of `favsync --help`

    by_lower = {name.lower(): name for name in names}
    wanted = given.lower()
    containing = sorted((name for name in by_lower if len(wanted) >= SHORTEST_PART and wanted in name), key=len)
    close = difflib.get_close_matches(wanted, by_lower, n=2)
    near = [by_lower[name] for name in dict.fromkeys([*close, *containing])][:2]
    return f"did you mean {' or '.join(near)}? " if near else ""


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun, for messages: ``1 run``, ``1,200 tracks``. ``many``: a plural that is not ``one`` and s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"

"""The whole error tree.

Errors are sorted by what the operator does next, and each carries its exit code (docs/settings.md)::

    FavsyncError                  70  a bug, if raised bare
    +-- UsageError                 2  change the command
    |   +-- SettingsError          2  change a setting
    +-- ApiError                   3  wait, or ask the service
    |   +-- ApiUnreachable         3  the network, or the service is down
    |   +-- ApiRefused             3  the service answered no
    |   +-- RateLimited            3  the service named a later time
    |   +-- PayloadError           3  the answer was not what the documentation says
    +-- CredentialsError           4  renew a token
    |   +-- WrongUser              4  the token belongs to somebody else
    +-- DatabaseError              5  mend the database
    |   +-- SchemaOutdated         5  run `favsync db upgrade`
    +-- NotDelivered               3  look at who should have taken a digest
    +-- RunInProgress             75  wait for the other run

Invariants: ``str(error)`` is one line that names what went wrong and where; ``remedy`` is one line that says what to do;
neither ever holds a token or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class FavsyncError(Exception):
    """Something that favsync noticed and can name."""

    exit_code = 70

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(FavsyncError):
    """The command cannot be carried out as it was given."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is missing or has a value that cannot be used."""


class ApiError(FavsyncError):
    """Boomplay's API gave no usable answer."""

    exit_code = 3

    def __init__(self, message: str, *, remedy: str = "", status: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


class ApiUnreachable(ApiError):
    """No connection, a time-out, a broken answer, or a server error, and retries did not help."""


class ApiRefused(ApiError):
    """The service understood and said no: an HTTP 4xx, or ``code`` other than 0."""

    def __init__(self, message: str, *, remedy: str = "", status: int | None = None, code: int | None = None) -> None:
        super().__init__(message, remedy=remedy, status=status)
        self.code = code


class RateLimited(ApiError):
    """The service asks to wait longer than a run should; ``retry_at`` (UTC) says until when."""

    def __init__(self, message: str, *, retry_at: datetime, remedy: str = "", status: int | None = 429) -> None:
        super().__init__(message, remedy=remedy, status=status)
        self.retry_at = retry_at


class PayloadError(ApiError):
    """The answer was not the documented shape: HTML, truncated or foreign JSON, too large."""


class CredentialsError(FavsyncError):
    """The service does not accept the token, or there is none."""

    exit_code = 4


class WrongUser(CredentialsError):
    """The token is valid but belongs to another Boomplay user than the account was filled from."""


class DatabaseError(FavsyncError):
    """The database cannot be reached, read or written."""

    exit_code = 5


class SchemaOutdated(DatabaseError):
    """The database's schema is not the one that this favsync writes."""


class NotDelivered(FavsyncError):
    """The webhook did not take a digest; it will be told with the next one."""

    exit_code = 3


class RunInProgress(FavsyncError):
    """Another run holds this account."""

    exit_code = 75

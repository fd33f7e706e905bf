"""The rows of ``tokens``: where an account's token is, and its state.

| state    | meaning                                                                                    |
|----------|--------------------------------------------------------------------------------------------|
| valid    | not refused                                                                                |
| expiring | not refused, but it expires within a day or has expired, and it cannot be renewed          |
| suspect  | refused once; services also refuse good tokens, so it is tried again                       |
| dead     | refused again after `CONFIRM_AFTER`, or once after it expired: a person must replace it    |

A dead token is not deleted: if the service accepts it again, it is valid again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select

from etl.db.tables import accounts, tokens

OPEN_COLUMNS = (
    "account_id", "place", "updated_at", "is_renewable", "state", "reason", "suspect_since", "expires_at",
)  # fmt: skip
CONFIRM_AFTER = timedelta(minutes=5)
EXPIRING_WITHIN = timedelta(days=1)


class TokenLocation(StrEnum):
    """Where a token is stored."""

    DATABASE = "database"
    ENVIRONMENT = "environment"
    FILE = "file"


class TokenStatus(StrEnum):
    """The stored state of a token."""

    VALID = "valid"
    SUSPECT = "suspect"
    DEAD = "dead"


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """One account's token. ``secret``: encrypted, for tokens in the database. ``reference``: the variable or the file.

    ``fingerprint`` identifies the token of the environment or of a file that the row describes. If that place holds another
    token, the row does not apply to it.
    """

    account_id: int
    place: TokenLocation
    updated_at: datetime
    reference: str | None = None
    secret: bytes | None = None
    fingerprint: bytes | None = None
    is_renewable: bool = False
    state: TokenStatus = TokenStatus.VALID
    reason: str | None = None
    suspect_since: datetime | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"TokenRow(account_id={self.account_id}, place={self.place}, state={self.state})"

    @classmethod
    def joined(cls, row: Row[Any]) -> TokenRow | None:
        """Return the token in a row with the columns of `joined_token`, None if the account has none."""
        values = {name: getattr(row, f"token_{name}") for name in cls.__struct_fields__}
        return None if values["account_id"] is None else msgspec.convert(values, cls)

    def is_same_token(self, other: TokenRow | None) -> bool:
        """True if both rows describe one token."""
        names = ("place", "reference", "secret", "fingerprint")
        return other is not None and all(getattr(self, name) == getattr(other, name) for name in names)


def accepted(row: TokenRow, now: datetime) -> TokenRow:
    """Return the row after the service accepted the token."""
    return replace(row, state=TokenStatus.VALID, reason=None, suspect_since=None, updated_at=now)


def refused(row: TokenRow, reason: str, now: datetime, *, is_widespread: bool = False) -> TokenRow:
    """Return the row after the service refused the token. ``is_widespread``: it refuses the tokens of most accounts now."""
    suspect_since = row.suspect_since or now
    is_expired = row.expires_at is not None and row.expires_at <= now
    is_confirmed = now - suspect_since >= CONFIRM_AFTER and not is_widespread
    is_dead = row.state is TokenStatus.DEAD or is_expired or is_confirmed
    state = TokenStatus.DEAD if is_dead else TokenStatus.SUSPECT
    return replace(row, state=state, reason=reason, suspect_since=suspect_since, updated_at=now)


def displayed_status(row: TokenRow, now: datetime) -> str:
    """Return the state that people see: one of the table above."""
    is_ending = row.expires_at is not None and row.expires_at - now <= EXPIRING_WITHIN
    if row.state is TokenStatus.VALID and is_ending and not row.is_renewable:
        return "expiring"
    return str(row.state)


def joined_token() -> list[ColumnElement[Any]]:
    """Return the columns of ``tokens`` for a statement that joins it; `TokenRow.joined` reads them."""
    return [tokens.c[name].label(f"token_{name}") for name in TokenRow.__struct_fields__]


def token_row(connection: Connection, account_id: int) -> TokenRow | None:
    """Return the account's row, None if there is none."""
    return token_rows(connection, tokens.c.account_id == account_id).get(account_id)


def token_rows(
    connection: Connection, *conditions: ColumnElement[bool], columns: Sequence[str] = TokenRow.__struct_fields__
) -> dict[int, TokenRow]:
    """Return the rows that meet the conditions, by account, with these columns."""
    found = connection.execute(select(*tokens.c[tuple(columns)]).where(*conditions))
    named = (dict(zip(columns, row, strict=True)) for row in found)
    return {row["account_id"]: msgspec.convert(row, TokenRow) for row in named}


def token_states(connection: Connection, account_ids: Sequence[int] | None = None) -> dict[int, TokenRow]:
    """Return the rows of these accounts, or all, without their secret columns, as the role of reports may read them.

    deploy/grants.sql has the rights of that role.
    """
    conditions = [] if account_ids is None else [tokens.c.account_id.in_(account_ids)]
    return token_rows(connection, *conditions, columns=OPEN_COLUMNS)


def put_token_row(connection: Connection, row: TokenRow) -> None:
    """Replace the account's row."""
    delete_token_row(connection, row.account_id)
    connection.execute(insert(tokens).values(**asdict(row)))


def delete_token_row(connection: Connection, account_id: int) -> None:
    """Delete the account's row."""
    connection.execute(delete(tokens).where(tokens.c.account_id == account_id))


def account_id_of(connection: Connection, name: str) -> int | None:
    """Return the id of the account ``name``, None if there is none."""
    return connection.execute(select(accounts.c.account_id).where(accounts.c.name == name)).scalar()

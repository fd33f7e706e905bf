"""The rows of ``tokens``: where an account's token is and what is known of it.

Invariant: a row replaces the one before it whole, in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, delete, insert, select

from etl.db.tables import accounts, tokens


class TokenLocation(StrEnum):
    """Where a token is kept."""

    DATABASE = "database"
    ENVIRONMENT = "environment"
    FILE = "file"


class TokenStatus(StrEnum):
    """What the service last said of a token."""

    VALID = "valid"
    SUSPECT = "suspect"
    DEAD = "dead"


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """One account's token. ``secret``: encrypted, where the place is the database; ``reference``: where else it is.

    ``fingerprint`` tells which token of the environment or of a file the row speaks of; with another one there, the row is void.
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


def token_row(connection: Connection, account_id: int) -> TokenRow | None:
    """Return the account's row, None where there is none."""
    row = connection.execute(select(tokens).where(tokens.c.account_id == account_id)).first()
    return None if row is None else _record(cast(Mapping[str, Any], row._mapping))


def token_rows(connection: Connection) -> dict[int, TokenRow]:
    """Return every row, by account."""
    return {
        row.account_id: _record(cast(Mapping[str, Any], row._mapping)) for row in connection.execute(select(tokens))
    }


def put_token_row(connection: Connection, row: TokenRow) -> None:
    """Write the row in place of the account's former one."""
    connection.execute(delete(tokens).where(tokens.c.account_id == row.account_id))
    connection.execute(insert(tokens).values(**msgspec.structs.asdict(row)))


def delete_token_row(connection: Connection, account_id: int) -> None:
    """Forget the account's token."""
    connection.execute(delete(tokens).where(tokens.c.account_id == account_id))


def account_id_of(connection: Connection, name: str) -> int | None:
    """Return the id of the account ``name``, None where there is none."""
    return connection.execute(select(accounts.c.account_id).where(accounts.c.name == name)).scalar()


def _record(values: Mapping[str, Any]) -> TokenRow:
    fields = dict(values)
    fields["place"], fields["state"] = TokenLocation(fields["place"]), TokenStatus(fields["state"])
    for name in ("secret", "fingerprint"):
        fields[name] = None if fields[name] is None else bytes(fields[name])
    return TokenRow(**fields)

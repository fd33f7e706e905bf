"""Which tables are exported, and what their columns hold.

Invariant: what is not in `TABLES` never leaves. Tokens, even encrypted, are not; a test makes whoever adds a table decide.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary
from sqlalchemy.types import TypeEngine

from etl.db.tables import metadata
from etl.db.types import Instant, Json

TABLES: Final = (
    "accounts", "albums", "artists", "favourites", "genres", "market_set_members", "market_sets", "markets", "raw_blocks",
    "raw_items", "rejects", "runs", "schedules", "snapshots", "track_artists", "track_genres", "track_versions", "tracks",
)  # fmt: skip
PRIVATE: Final = ("digests", "tokens", "walk_pages")
"""Secrets, and notes of work that is under way."""


def columns_of(name: str) -> list[tuple[str, str]]:
    """Return the columns of a table with the kind of what they hold."""
    return [(column.name, _kind(column.type)) for column in metadata.tables[name].columns]


def query_of(name: str) -> str:
    """Return the statement that reads a table, in the order of its key."""
    table = metadata.tables[name]
    columns = ", ".join(column.name for column in table.columns)
    return f"SELECT {columns} FROM {name} ORDER BY {', '.join(column.name for column in table.primary_key)}"  # noqa: S608


def _kind(type_: TypeEngine[object]) -> str:
    return next((kind for of, kind in _KINDS.items() if isinstance(type_, of)), "text")


_KINDS = {
    Json: "json",
    Instant: "instant",
    Boolean: "boolean",
    LargeBinary: "binary",
    BigInteger: "integer",
    Integer: "integer",
}

"""Column types that both engines share.

PostgreSQL's own types are imported where its dialect asks for them: on SQLite that saves a tenth of the start.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine


def instant_text(instant: datetime) -> str:
    """Return ``instant`` as SQLite holds it: ISO 8601, UTC, microseconds, ``Z``, so that text sorts as time does."""
    if instant.tzinfo is None:
        raise ValueError("a naive datetime is no instant")
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz`` on PostgreSQL, text ending in ``Z`` on SQLite."""

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(String(27))
        from sqlalchemy.dialects.postgresql import TIMESTAMP

        return dialect.type_descriptor(TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive instants, and write UTC."""
        if value is None:
            return None
        written = instant_text(value)
        return value if dialect.name == "postgresql" else written

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read an aware UTC instant."""
        if value is None:
            return None
        return instant_from(value) if isinstance(value, str) else value.astimezone(UTC)


@lru_cache(maxsize=16_384)  # the rows of one run all hold the same one
def instant_from(value: str) -> datetime:
    """Return the instant that `instant_text` wrote."""
    return datetime.fromisoformat(value).astimezone(UTC)


class Json(TypeDecorator[Any]):
    """JSON: ``jsonb`` on PostgreSQL, text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))


Key = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit key; SQLite numbers rows by itself only where the type is spelt INTEGER."""

Small = Integer()

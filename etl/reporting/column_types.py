"""What a view gives, as one type on both engines: instants, days, booleans, numbers.

A driver hands over what its database stores: SQLite has text for an instant and 0 or 1 for a boolean, PostgreSQL has a
Decimal for a sum. What a column means is told by its name (the house's rule: instants end in ``_at``, booleans begin with
``is_``), so no view needs a table of types beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

INSTANTS: Final = frozenset({"valid_from", "valid_to", "added_after", "removed_after", "not_before", "since"})
DAYS: Final = frozenset({"day", "week", "month"})
FLAGS: Final = frozenset({"proven"})


def column_converters(columns: Sequence[str]) -> list[Callable[[Any], Any]]:
    """Return for each of ``columns`` the function that reads what a driver gives."""
    return [_reader(name) for name in columns]


def _reader(name: str) -> Callable[[Any], Any]:
    if is_instant(name):
        return _instant
    if name in DAYS:
        return _day
    if name.startswith("is_") or name in FLAGS:
        return _flag
    return _number


def is_instant(name: str) -> bool:
    """Say whether the column ``name`` holds instants."""
    return name.endswith("_at") or name in INSTANTS


def is_time(name: str) -> bool:
    """Say whether the column ``name`` holds instants or days."""
    return is_instant(name) or name in DAYS


def instant_text(instant: datetime) -> str:
    """Return ``instant`` as SQLite holds it, so that text sorts as time does."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _number(value: Any) -> Any:
    """Return a Decimal as the int or float that SQLite would give; everything else as it is."""
    if not isinstance(value, Decimal):
        return value
    exponent = value.as_tuple().exponent
    return float(value) if isinstance(exponent, int) and exponent < 0 else int(value)

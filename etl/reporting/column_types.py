"""Types of a view's columns, the same on both engines.

A driver returns what its database stores: SQLite returns text for an instant and 0 or 1 for a boolean, PostgreSQL a Decimal for a
sum. The name of a column says what it holds: instants end in ``_at`` and booleans begin with ``is_``, apart from the names below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

INSTANTS: Final = frozenset(
    {"valid_from", "valid_to", "added_after", "removed_after", "not_before", "since", "missing_since", "until"}
)
DAYS: Final = frozenset({"day", "week", "month", "cohort"})
FLAGS: Final = frozenset({"proven", "looked"})


def is_instant(name: str) -> bool:
    """True if the column ``name`` holds instants."""
    return name.endswith("_at") or name in INSTANTS


def is_time(name: str) -> bool:
    """True if the column ``name`` holds instants or days."""
    return is_instant(name) or name in DAYS


def column_converters(columns: Sequence[str]) -> list[Callable[[Any], Any]]:
    """Return for each of ``columns`` the function that converts a driver's value."""
    by_kind = {"instant": _instant, "day": _day, "boolean": _boolean}
    return [by_kind.get(_kind_by_name(name), _number) for name in columns]


def column_kinds(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the kind of each column: instant, day, boolean, integer, number or text.

    ``rows`` hold converted values. A column without a value is text unless its name says otherwise, and so is one of mixed types.
    """
    types: list[set[type]] = [set() for _ in columns]
    for row in rows:
        for found, value in zip(types, row, strict=True):
            found.add(type(value))
    return [_kind_by_name(name) or _kind_by_types(found) for name, found in zip(columns, types, strict=True)]


def _kind_by_name(name: str) -> str:
    if is_instant(name):
        return "instant"
    if name in DAYS:
        return "day"
    return "boolean" if name.startswith("is_") or name in FLAGS else ""


def _kind_by_types(types: set[type]) -> str:
    values = types - {type(None)}
    if values and values <= {int, float}:
        return "number" if float in values else "integer"
    return "text"


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _boolean(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _number(value: Any) -> Any:
    """Return a Decimal as the int or float that SQLite would return, and other values unchanged."""
    if not isinstance(value, Decimal):
        return value
    exponent = value.as_tuple().exponent
    return float(value) if isinstance(exponent, int) and exponent < 0 else int(value)

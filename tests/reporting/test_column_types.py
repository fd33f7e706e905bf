"""Values of drivers are converted to the same types on both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from etl.reporting.column_types import column_converters, column_kinds, is_instant

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "given", "value"),
    [
        ("changed_at", "2026-03-01T12:00:00.000005Z", NOON),
        ("changed_at", NOON.astimezone(timezone(timedelta(hours=3))), NOON),
        ("valid_to", None, None),
        ("day", "2026-03-01", date(2026, 3, 1)),
        ("day", date(2026, 3, 1), date(2026, 3, 1)),
        ("is_current", 1, True),
        ("is_current", False, False),
        ("proven", 0, False),
        ("proven", None, None),
        ("share", Decimal("1.0000"), 1.0),
        ("total_seconds", Decimal("12"), 12),
        ("title", "2026-03-01", "2026-03-01"),
    ],
)
def test_a_column_is_converted_by_its_name(column: str, given: object, value: object) -> None:
    (read,) = column_converters([column])
    assert read(given) == value
    assert type(read(given)) is type(value)


def test_instants_are_recognised_by_name() -> None:
    assert [
        name for name in ("first_seen_at", "added_after", "not_before", "since", "day", "format") if is_instant(name)
    ] == [
        "first_seen_at",
        "added_after",
        "not_before",
        "since",
    ]


def test_kinds_come_from_names_and_then_from_all_values() -> None:
    rows = [(NOON, 1, 1, None, 1), (None, 2, 2.5, None, "x")]
    assert column_kinds(["seen_at", "whole", "part", "nothing", "mixed"], rows) == [
        "instant", "integer", "number", "text", "text",
    ]  # fmt: skip
    assert column_kinds(["day", "proven", "title"], []) == ["day", "boolean", "text"]

"""Instants as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from etl.cli.time_input import instant
from etl.errors import UsageError

NOW = datetime(2026, 3, 31, 14, 5, 9, 123, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-03-31T14:05:09.000123+00:00"),
        ("today", "2026-03-31T00:00:00+00:00"),
        ("Yesterday", "2026-03-30T00:00:00+00:00"),
        ("2025-11-03", "2025-11-03T00:00:00+00:00"),
        ("2025-11-03T14:30", "2025-11-03T14:30:00+00:00"),
        (" 2025-11-03 14:30:05 ", "2025-11-03T14:30:05+00:00"),
        ("2025-11-03T14:30:00Z", "2025-11-03T14:30:00+00:00"),
        ("2025-11-03t14:30:00.5z", "2025-11-03T14:30:00.500000+00:00"),
        ("2025-11-03 14:30 UTC", "2025-11-03T14:30:00+00:00"),
        ("2025-11-03T00:30:00+01:00", "2025-11-02T23:30:00+00:00"),
        ("2025-11-03T14:05:09.000000Z", "2025-11-03T14:05:09+00:00"),
        ("3 months ago", "2025-12-31T14:05:09.000123+00:00"),
        ("1 month ago", "2026-02-28T14:05:09.000123+00:00"),
        ("a month ago", "2026-02-28T14:05:09.000123+00:00"),
        ("2 years ago", "2024-03-31T14:05:09.000123+00:00"),
        ("one week ago", "2026-03-24T14:05:09.000123+00:00"),
        ("10 days  ago", "2026-03-21T14:05:09.000123+00:00"),
        ("an hour ago", "2026-03-31T13:05:09.000123+00:00"),
        ("90 minutes ago", "2026-03-31T12:35:09.000123+00:00"),
        ("1 second ago", "2026-03-31T14:05:08.000123+00:00"),
        ("three months ago", "2025-12-31T14:05:09.000123+00:00"),
        ("twelve hours ago", "2026-03-31T02:05:09.000123+00:00"),
        ("last week", "2026-03-24T14:05:09.000123+00:00"),
        ("Last month", "2026-02-28T14:05:09.000123+00:00"),
        ("2025-11", "2025-11-01T00:00:00+00:00"),
        ("30d ago", "2026-03-01T14:05:09.000123+00:00"),
        ("2W ago", "2026-03-17T14:05:09.000123+00:00"),
        ("0 days ago", "2026-03-31T14:05:09.000123+00:00"),
    ],
)
def test_what_is_accepted(text: str, expected: str) -> None:
    assert instant(text, NOW).isoformat() == expected
    assert instant(text, NOW).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "tomorrow", "3 moons ago", "thirteen days ago", "last day", "6m ago", "next week", "2025-13", "-3 days ago", "3 months", "03.11.2025", "11/03/2025", "2025-13-01", "2025-02-30",
        "2025", "14:30", "2025-W45-1", "999999 years ago", "999999 weeks ago", "99999 months ago", "٣ days ago",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2025-11-03T14:30:00 Europe/Paris", "1e5 days ago", "\x1b[2J",
    ],
)  # fmt: skip
def test_what_is_not_a_time_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        instant(text, NOW)
    assert "yesterday" in caught.value.remedy
    assert "UTC" in caught.value.remedy


def test_a_time_without_offset_is_utc_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert instant("2025-11-03").isoformat() == "2025-11-03T00:00:00+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.datetimes(timezones=st.timezones()).filter(lambda at: 1 < at.year < 9999))
def test_what_favsync_prints_it_reads(at: datetime) -> None:
    printed = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    assert instant(printed, NOW) == at.astimezone(UTC)
    assert instant(f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z".rjust(20, "0"), NOW) == at.astimezone(UTC).replace(
        microsecond=0
    )


def test_now_is_the_clocks() -> None:
    before = datetime.now(UTC)
    assert before <= instant("now") <= datetime.now(UTC)


def test_an_option_can_be_an_instant() -> None:
    @click.command()
    @click.option("--since", type=instant, default="2025-11-03")
    def show(since: datetime) -> None:
        click.echo(since.isoformat())

    assert CliRunner().invoke(show, []).output == "2025-11-03T00:00:00+00:00\n"
    assert CliRunner().invoke(show, ["--since", "2025-11-04T00:00+01:00"]).output == "2025-11-03T23:00:00+00:00\n"
    assert isinstance(CliRunner().invoke(show, ["--since", "soon"]).exception, UsageError)

"""Schedules as people write them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import UsageError
from etl.scheduler.schedule import CRON_SPREAD, parse, spread

MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


def fires(text: str, days: int, start: datetime = MONDAY) -> list[datetime]:
    """Return the bare fire times, without the account's own place behind them."""
    found, at = [], start
    schedule = parse(text)
    while (at := schedule._fire(at)) <= start + timedelta(days=days):
        found.append(at)
    return found


def weekdays(text: str) -> set[str]:
    return {f"{each:%a}" for each in fires(text, 7)}


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("every 15m", timedelta(minutes=15)),
        ("every 1h", timedelta(hours=1)),
        ("every 1d", timedelta(days=1)),
        ("every 2w", timedelta(weeks=2)),
        ("every 3 hours", timedelta(hours=3)),
        (" every  90 minutes ", timedelta(minutes=90)),
    ],
)
def test_a_period_comes_again_and_again(text: str, period: timedelta) -> None:
    schedule = parse(text)
    first = schedule.next_after(MONDAY, 7)
    assert MONDAY < first <= MONDAY + period
    assert schedule.next_after(first, 7) - first == period == schedule.gap(MONDAY)


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", {"Sun"}),
        ("7", {"Sun"}),
        ("1", {"Mon"}),
        ("sun", {"Sun"}),
        ("1-5", {"Mon", "Tue", "Wed", "Thu", "Fri"}),
        ("6,0", {"Sat", "Sun"}),
        ("5-7", {"Fri", "Sat", "Sun"}),
        ("fri-sun", {"Fri", "Sat", "Sun"}),
        ("*/2", {"Sun", "Tue", "Thu", "Sat"}),
        ("1-6/2", {"Mon", "Wed", "Fri"}),
        ("4/1", {"Thu", "Fri", "Sat"}),
        ("*", {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}),
    ],
)
def test_weekdays_are_crons_not_apschedulers(field: str, days: set[str]) -> None:
    assert weekdays(f"0 3 * * {field}") == days


def test_the_fields_are_read_in_the_zone_that_is_named() -> None:
    assert fires("0 3 * * 1 Africa/Lagos", 7) == [datetime(2026, 11, 30, 2, tzinfo=UTC)]
    assert fires("0 3 * * 1", 7) == [datetime(2026, 11, 30, 3, tzinfo=UTC)]


def test_a_daily_time_stays_at_its_hour_when_the_clocks_change() -> None:
    hours = {each.hour for each in fires("30 12 * * * Europe/Berlin", 4, datetime(2026, 3, 27, tzinfo=UTC))}
    assert hours == {11, 10}


def test_day_of_month_and_weekday_are_either_or_as_in_cron() -> None:
    found = fires("0 0 1 * 1", 9, datetime(2026, 11, 29, 12, tzinfo=UTC))
    assert [f"{each:%a %d}" for each in found] == ["Mon 30", "Tue 01", "Mon 07"]


def test_a_weekday_with_any_day_of_month_is_that_weekday_alone() -> None:
    assert weekdays("0 0 */1 * 1") == {"Mon"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "number and one of m, h, d, w"),
        ("every day", "number and one of m, h, d, w"),
        ("every 0m", "from 1 minute to 31 days"),
        ("every 32d", "from 1 minute to 31 days"),
        ("hourly", "1 word;"),
        ("61 * * * *", "61"),
        ("* * * *", "4 words"),
        ("0 3 * * 8", "no weekday"),
        ("0 3 * * 5-2", "backwards"),
        ("0 3 * * 1/0", "no step"),
        ("0 3 ? * 1", "no field of cron"),
        ("0 3 * * 1 Mars/Olympus", "no time zone"),
        ("0 3 * * 1 ../../etc/passwd", "no time zone"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_fault_and_what_is_accepted(text: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as refused:
        parse(text)
    assert "every 15m" in refused.value.remedy
    assert "\n" not in str(refused.value)


def test_a_thousand_accounts_of_one_schedule_are_spread_over_its_period() -> None:
    schedule = parse("every 1h")
    minutes = Counter(schedule.next_after(MONDAY, seed).minute for seed in range(1, 1001))
    assert len(minutes) == 60
    assert max(minutes.values()) < 40


def test_a_thousand_accounts_of_one_cron_time_are_spread_over_two_minutes_behind_it() -> None:
    schedule = parse("0 3 * * *")
    late = [schedule.next_after(MONDAY, seed) - datetime(2026, 11, 24, 3, tzinfo=UTC) for seed in range(1, 1001)]
    assert min(late) >= timedelta(0)
    assert max(late) < CRON_SPREAD
    assert len(set(late)) > 100


@given(
    st.sampled_from(["every 7m", "every 1h", "every 3d", "*/5 * * * *", "0 3 * * 1 Africa/Lagos", "0 0 1 * 5"]),
    st.integers(0, 2**40),
    st.datetimes(datetime(2024, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone is beside it
)
def test_the_next_turn_is_later_and_the_same_whenever_it_is_worked_out(text: str, seed: int, after: datetime) -> None:
    schedule = parse(text)
    following = schedule.next_after(after, seed)
    assert following > after
    between = after + (following - after) / 2
    assert schedule.next_after(between, seed) == following


def test_a_share_is_fixed_for_each_account() -> None:
    assert spread(5, timedelta(hours=1)) == spread(5, timedelta(hours=1)) != spread(6, timedelta(hours=1))

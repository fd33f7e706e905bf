"""Schedules: what they accept, when they run, and what clock changes do to them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from etl.errors import UsageError
from etl.scheduler.schedule import CRON_SPREAD, parse, spread

MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


def fires(text: str, days: int, start: datetime = MONDAY) -> list[datetime]:
    """Return the times at which a cron schedule matches, without an account's offset."""
    return list(takewhile(lambda at: at <= start + timedelta(days=days), parse(text).fires(start)))


def expected_fires(fields: list[str], zone: ZoneInfo, start: datetime, days: int) -> list[datetime]:
    """Return what `fires` must return, found by a read of every minute in UTC.

    ``fields`` hold numbers, lists, ranges and steps; day of month or weekday is ``*``.
    """
    minutes, hours, month_days, weekdays = (
        values(text, *bounds) for text, bounds in zip(fields, ((0, 59), (0, 23), (1, 31), (0, 7)), strict=True)
    )
    follows_wall_clock = len(hours) < 24

    def matches(local: datetime) -> bool:
        is_day = local.day in month_days and not weekdays.isdisjoint({local.isoweekday(), local.isoweekday() % 7})
        return local.minute in minutes and local.hour in hours and is_day

    found = []
    for at, local, is_repeated, skipped in minutes_of(zone, start, days):
        is_counted = not (follows_wall_clock and is_repeated)
        is_moved = follows_wall_clock and any(map(matches, skipped))
        if is_moved or (is_counted and matches(local)):
            found.append(at)
    return found


@lru_cache
def minutes_of(zone: ZoneInfo, start: datetime, days: int) -> list[tuple[datetime, datetime, bool, list[datetime]]]:
    """Return every minute after ``start``: UTC, local time, whether that repeats, and the local minutes skipped before."""
    found, previous = [], start.astimezone(zone).replace(tzinfo=None)
    for count in range(1, days * 24 * 60 + 1):
        at = start + timedelta(minutes=count)
        aware = at.astimezone(zone)
        local = aware.replace(tzinfo=None)
        gap = max(1, int((local - previous) / timedelta(minutes=1)))
        found.append((at, local, bool(aware.fold), [previous + timedelta(minutes=each) for each in range(1, gap)]))
        previous = local
    return found


def values(text: str, low: int, high: int) -> set[int]:
    """Return the numbers that a cron field of numbers, ranges and steps describes."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last) if dash else high if step else int(first))
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    """Generate cron fields from ``low`` to ``high``."""
    numbers = st.integers(low, high)
    ranges = st.sets(numbers, min_size=2, max_size=2).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.tuples(st.one_of(st.just("*"), ranges), st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    lists = st.lists(st.one_of(numbers.map(str), ranges), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), numbers.map(str), lists, steps)


CLOCK_CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 5, tzinfo=UTC)),  # at midnight
    ("America/Santiago", datetime(2026, 9, 6, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 24, tzinfo=UTC)),  # at midnight
    ("Africa/Cairo", datetime(2026, 10, 30, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, tzinfo=UTC)),  # for Ramadan
    ("Africa/Casablanca", datetime(2026, 3, 22, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),  # by half an hour
    ("Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),  # a whole day is skipped
    ("Africa/Lagos", datetime(2026, 3, 29, tzinfo=UTC)),  # never
]


@given(st.sampled_from(CLOCK_CHANGES), fields(0, 59), fields(0, 23), fields(1, 31), fields(0, 6), st.booleans())
@example(CLOCK_CHANGES[0], "0", "0", "*", "1", False)
@example(CLOCK_CHANGES[0], "*/15", "2", "*", "*", False)
@example(CLOCK_CHANGES[1], "30", "2", "*", "*", False)
@example(CLOCK_CHANGES[1], "0", "*/2", "*", "*", False)
@example(CLOCK_CHANGES[5], "30", "0", "*", "*", False)
def test_no_run_is_skipped_or_doubled_at_clock_changes(change, minute, hour, day, weekday, by_day) -> None:
    (zone, around), days = change, 3
    day, weekday = (day, "*") if by_day else ("*", weekday)
    if zone in ("Australia/Lord_Howe", "Pacific/Apia"):
        # For schedules of every hour, CronSim differs from a read of every minute in two ways: it may run once in the half hour
        # that repeats on Lord Howe, and it runs once, right afterwards, for the day that Apia skipped.
        assume(len(values(hour, 0, 23)) < 24)
    start = around - timedelta(days=1)
    wanted = expected_fires([minute, hour, day, weekday], ZoneInfo(zone), start, days)
    assert fires(f"{minute} {hour} {day} * {weekday} {zone}", days, start) == wanted


def test_a_weekly_schedule_runs_every_week_of_a_year() -> None:
    found = fires("0 0 * * 1 Europe/Berlin", 364, datetime(2026, 1, 1, tzinfo=UTC))
    assert len(found) == 52
    assert {f"{at.astimezone(ZoneInfo('Europe/Berlin')):%a %H:%M}" for at in found} == {"Mon 00:00"}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("@hourly", "2026-11-23 13:00"),
        ("hourly", "2026-11-23 13:00"),
        ("@daily", "2026-11-24 00:00"),
        ("Daily", "2026-11-24 00:00"),
        ("@midnight", "2026-11-24 00:00"),
        ("daily Africa/Lagos", "2026-11-23 23:00"),
        ("weekly", "2026-11-29 00:00"),
        ("@monthly", "2026-12-01 00:00"),
        ("@yearly", "2027-01-01 00:00"),
        ("@annually", "2027-01-01 00:00"),
    ],
)
def test_names_mean_what_they_mean_in_cron(text: str, first: str) -> None:
    assert f"{next(parse(text).fires(MONDAY)):%Y-%m-%d %H:%M}" == first


@pytest.mark.parametrize("text", ["every 1h", "0,1 3 * * *", "*/5 * * * *", "0 0 1 * * Europe/Berlin"])
def test_no_account_runs_later_than_the_bound(text: str) -> None:
    schedule = parse(text)
    latest = schedule.latest_after(MONDAY)
    assert all(MONDAY < schedule.next_after(MONDAY, seed) <= latest for seed in range(300))


def test_two_runs_a_minute_apart_stay_two_runs() -> None:
    schedule, at = parse("0,1 3 * * *"), MONDAY
    for _ in range(2):
        at = schedule.next_after(at, 3)
    assert f"{at:%d %H:%M}" == "24 03:01"
    assert schedule.next_after(at, 3).day == 25


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
def test_a_period_repeats(text: str, period: timedelta) -> None:
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
        ("4/1", {"Thu", "Fri", "Sat", "Sun"}),
        ("mon-sun/6", {"Mon", "Sun"}),
        ("*", {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}),
    ],
)
def test_weekdays_count_from_sunday_as_in_cron(field: str, days: set[str]) -> None:
    assert weekdays(f"0 3 * * {field}") == days


def test_cron_fields_use_the_named_zone() -> None:
    assert fires("0 3 * * 1 Africa/Lagos", 7) == [datetime(2026, 11, 30, 2, tzinfo=UTC)]
    assert fires("0 3 * * 1", 7) == [datetime(2026, 11, 30, 3, tzinfo=UTC)]


def test_a_daily_time_keeps_its_hour_across_clock_changes() -> None:
    hours = {each.hour for each in fires("30 12 * * * Europe/Berlin", 4, datetime(2026, 3, 27, tzinfo=UTC))}
    assert hours == {11, 10}


def test_day_of_month_or_weekday_matches_as_in_cron() -> None:
    found = fires("0 0 1 * 1", 9, datetime(2026, 11, 29, 12, tzinfo=UTC))
    assert [f"{each:%a %d}" for each in found] == ["Mon 30", "Tue 01", "Mon 07"]


def test_a_starred_day_of_month_leaves_the_weekday_alone() -> None:
    assert weekdays("0 0 */1 * 1") == {"Mon"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "number and one of m, h, d, w"),
        ("   ", "number and one of m, h, d, w"),
        ("@reboot", "1 word;"),
        ("fortnightly", "1 word;"),
        ("daily Mars/Olympus", "no time zone"),
        ("every day", "number and one of m, h, d, w"),
        ("every 0m", "from 1 minute to 31 days"),
        ("every 32d", "from 1 minute to 31 days"),
        ("61 * * * *", "its minute is not valid"),
        ("* * * *", "4 words"),
        ("0 3 * * 8", "its day-of-week is not valid"),
        ("0 3 * * 5-2", "its day-of-week"),
        ("0 3 * * 1/0", "its day-of-week"),
        ("0 3 ? * 1", "not a cron field"),
        ("0 3 * * 1 Mars/Olympus", "no time zone"),
        ("0 3 * * 1 ../../etc/passwd", "no time zone"),
        ("0 0 30 2 *", "its day-of-month is not valid"),
    ],
)
def test_an_invalid_schedule_is_refused_with_reason_and_forms(text: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as refused:
        parse(text)
    assert "every 15m" in refused.value.remedy
    assert "\n" not in str(refused.value)


def test_accounts_are_spread_over_the_period() -> None:
    schedule = parse("every 1h")
    minutes = Counter(schedule.next_after(MONDAY, seed).minute for seed in range(1, 1001))
    assert len(minutes) == 60
    assert max(minutes.values()) < 40


def test_accounts_are_spread_over_two_minutes_after_cron() -> None:
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
def test_the_next_run_is_later_and_does_not_depend_on_when_asked(text: str, seed: int, after: datetime) -> None:
    schedule = parse(text)
    following = schedule.next_after(after, seed)
    assert following > after
    between = after + (following - after) / 2
    assert schedule.next_after(between, seed) == following


def test_an_offset_is_fixed_for_each_account() -> None:
    assert spread(5, timedelta(hours=1)) == spread(5, timedelta(hours=1)) != spread(6, timedelta(hours=1))

"""The next run, by the last outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from etl.scheduler.next_run import RunOutcome, failure_delay, look_delay, next_run, repeat_delay
from etl.scheduler.schedule import parse

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOURLY = parse("every 1h")
FAILED = RunOutcome()


def test_a_proven_run_follows_the_schedule_and_resets_failures() -> None:
    run = next_run(HOURLY, 3, RunOutcome(is_proven=True), 9, NOW)
    assert (run.next_run_at, run.failures_in_a_row) == (HOURLY.next_after(NOW, 3), 0)


def test_failures_back_off_exponentially() -> None:
    delays = [failure_delay(timedelta(hours=1), n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 100)]
    assert [delay / timedelta(minutes=1) for delay in delays] == [5, 10, 20, 40, 80, 160, 320, 480, 480]


@pytest.mark.parametrize(
    ("period", "longest"), [("every 1m", 8), ("every 15m", 120), ("every 1d", 1440), ("every 7d", 1440)]
)
def test_the_longest_delay_is_eight_periods_or_a_day(period: str, longest: int) -> None:
    assert failure_delay(parse(period).gap(NOW), 50) == timedelta(minutes=longest)


def test_accounts_that_fail_together_retry_apart() -> None:
    runs = {next_run(HOURLY, seed, FAILED, 3, NOW).next_run_at for seed in range(100)}
    assert len(runs) > 50
    assert all(timedelta(minutes=40) <= at - NOW <= timedelta(minutes=48) for at in runs)


def test_no_account_returns_before_the_service_allows_it() -> None:
    retry_at = NOW + timedelta(hours=20)
    run = next_run(HOURLY, 3, RunOutcome(retry_at=retry_at), 0, NOW)
    assert retry_at <= run.next_run_at <= retry_at + timedelta(minutes=1)
    assert run.parked_until == retry_at
    assert run.failures_in_a_row == 1


def test_a_short_requested_wait_does_not_shorten_the_back_off() -> None:
    run = next_run(HOURLY, 3, RunOutcome(retry_at=NOW + timedelta(seconds=1)), 5, NOW)
    assert run.next_run_at >= NOW + timedelta(minutes=160)


def test_a_busy_account_is_not_a_failure() -> None:
    run = next_run(HOURLY, 3, RunOutcome(is_busy=True), 2, NOW)
    assert (run.next_run_at, run.failures_in_a_row) == (NOW + timedelta(minutes=1), 2)


def test_a_dead_token_waits_for_its_schedule() -> None:
    assert next_run(HOURLY, 3, RunOutcome(is_dead=True), 4, NOW).next_run_at == HOURLY.next_after(NOW, 3)


def hours_to_next(schedule: str, outcome: RunOutcome, failures: int = 0) -> float:
    return (next_run(parse(schedule), 3, outcome, failures, NOW).next_run_at - NOW) / timedelta(hours=1)


def waiting(hours: float, **more: bool) -> RunOutcome:
    return RunOutcome(look_within=look_delay(timedelta(hours=hours), 1), **more)


@pytest.mark.parametrize(
    ("grace", "missing", "hours"), [(48, 1, 12), (48, 0, None), (48, -1, None), (1, 7, 0.25), (0, 3, None)]
)
def test_looks_are_a_quarter_of_the_grace_apart(grace: int, missing: int, hours: float | None) -> None:
    assert look_delay(timedelta(hours=grace), missing) == (None if hours is None else timedelta(hours=hours))


@pytest.mark.parametrize(("schedule", "grace", "hours"), [("every 7d", 48, 12), ("@weekly", 24, 6), ("@daily", 4, 1)])
def test_missing_favourites_bring_the_next_look_forward(schedule: str, grace: int, hours: float) -> None:
    assert hours_to_next(schedule, waiting(grace, is_proven=True)) == hours


@pytest.mark.parametrize("schedule", ["every 1m", "every 1h", "every 1d", "*/5 * * * *", "0 3 * * *", "@weekly"])
@pytest.mark.parametrize("outcome", [waiting(48, is_proven=True), waiting(480, is_stored=True)])
def test_a_look_is_never_later_than_the_schedule(schedule: str, outcome: RunOutcome) -> None:
    for failures in range(6):
        assert next_run(parse(schedule), 3, outcome, failures, NOW).next_run_at <= parse(schedule).next_after(NOW, 3)


@pytest.mark.parametrize(("failures", "minutes"), [(1, 30), (2, 90), (3, 270), (4, 810), (5, 1440), (1000, 1440)])
def test_a_partial_look_is_repeated_three_times_later(failures: int, minutes: int) -> None:
    assert repeat_delay(failures) == timedelta(minutes=minutes)


@pytest.mark.parametrize(("failures", "hours"), [(0, 0.5), (1, 1.5), (2, 4.5), (3, 12), (50, 12)])
def test_partial_looks_stay_within_a_quarter_of_the_grace(failures: int, hours: float) -> None:
    assert hours_to_next("every 7d", waiting(48, is_stored=True), failures) == hours


def test_a_failed_run_backs_off_though_favourites_are_missing() -> None:
    assert next_run(HOURLY, 3, waiting(48), 3, NOW) == next_run(HOURLY, 3, FAILED, 3, NOW)


def test_a_partial_run_without_missing_favourites_backs_off() -> None:
    assert next_run(HOURLY, 3, RunOutcome(is_stored=True), 3, NOW) == next_run(HOURLY, 3, FAILED, 3, NOW)

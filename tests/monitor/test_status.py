"""When an account is stale, and the exit code of all accounts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from etl.accounts.token_rows import TokenLocation, TokenRow, TokenStatus
from etl.monitor.overview import summed
from etl.monitor.status import FUTURE_TOLERANCE, AccountRows, AccountStatus, status_of
from etl.scheduler.schedule import SLACK, parse

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def status(max_age: timedelta | None = None, now: datetime = NOW, **more: object) -> AccountStatus:
    proven_at = more.pop("last_proven_at", NOW - HOUR / 2)
    held = more.pop("held", 0)
    token_row = more.pop("token", None)
    account = {
        "account_id": 1, "name": "ada", "enabled": True, "schedule": None, "created_at": NOW - 90 * 24 * HOUR,
        "scheduled_at": None, "failures": 0, "unproven": 0, "missing": 0, "missing_since": None, "blocked_since": None, "next_run_at": None, "parked_until": None,
    }  # fmt: skip
    run = {
        "run_id": 9, "started_at": NOW, "observed_at": proven_at, "favourites": 5, "rejected": 0, "requests": 3, "reason": None,
        "held": held, "outcome": "held" if held else "unchanged", "decision": None,
    }  # fmt: skip
    last = SimpleNamespace(**run)
    blocked = SimpleNamespace(**run | {"proven": True, "proves_absence": False}) if "blocked_since" in more else None
    rows = AccountRows(SimpleNamespace(**account | more), last if proven_at else None, last, blocked, token_row)  # type: ignore[arg-type]
    return status_of(rows, "every 1h", max_age, now)


def token(state: TokenStatus) -> TokenRow:
    return TokenRow(account_id=1, place=TokenLocation.FILE, reference="x", state=state, updated_at=NOW)


def test_an_account_is_stale_after_two_missed_runs() -> None:
    plan, proven = parse("every 1h"), NOW - HOUR / 2
    second = plan.next_after(plan.next_after(proven, 1), 1) + SLACK
    assert status(now=second).freshness == "fresh"
    assert status(now=second + timedelta(seconds=1)).freshness == "stale"


def test_a_weekly_account_is_not_stale_after_a_day() -> None:
    assert status(schedule="0 3 * * 1", last_proven_at=NOW - 30 * HOUR).freshness == "fresh"
    assert status(schedule="0 3 * * 1", last_proven_at=NOW - 15 * 24 * HOUR).freshness == "stale"


def test_a_given_age_overrides_the_schedule() -> None:
    assert status(max_age=timedelta(minutes=29)).is_stale
    assert not status(max_age=timedelta(minutes=31)).is_stale


def test_a_last_read_in_the_future_is_stale() -> None:
    assert not status(last_proven_at=NOW + FUTURE_TOLERANCE).is_stale
    for ahead in (FUTURE_TOLERANCE + timedelta(seconds=1), HOUR, 366 * 24 * HOUR):
        for max_age in (None, HOUR):
            found = status(max_age, last_proven_at=NOW + ahead)
            assert (found.freshness, found.is_stale, found.exit_code) == ("stale", True, 3)
    assert not status(last_proven_at=NOW + HOUR, enabled=False).is_stale


def test_an_account_without_a_sync_ages_from_its_creation() -> None:
    new = status(last_proven_at=None, created_at=NOW)
    assert (new.freshness, new.is_stale, new.age_seconds) == ("never synced", False, None)
    assert status(last_proven_at=None).is_stale


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, 0),
        ({"held": 3}, 7),
        ({"held": 3, "last_proven_at": NOW - 9 * HOUR}, 3),
        ({"last_proven_at": None}, 3),
        ({"token": token(TokenStatus.SUSPECT)}, 0),
        ({"token": token(TokenStatus.DEAD), "last_proven_at": NOW - 9 * HOUR}, 4),
        ({"token": token(TokenStatus.DEAD), "enabled": False}, 0),
        ({"last_proven_at": NOW - 9 * HOUR, "enabled": False}, 0),
    ],
)
def test_the_exit_code_follows_token_freshness_and_holds(facts: dict[str, object], code: int) -> None:
    assert status(**facts).exit_code == code


def test_the_worst_account_decides_the_exit_code() -> None:
    held, stale, dead = status(held=1), status(last_proven_at=None), status(token=token(TokenStatus.DEAD))
    assert summed([status(), held]).summary.exit_code == 7
    assert summed([held, stale]).summary.exit_code == 3
    assert summed([held, dead, stale]).summary.exit_code == 4
    assert summed([]).summary.exit_code == 0

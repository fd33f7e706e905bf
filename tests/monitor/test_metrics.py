"""Metrics, and the HTTP endpoints."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etl import clock
from etl.errors import DatabaseError, UsageError
from etl.monitor.http import Answers, address, serving
from etl.monitor.metrics import CACHE_SECONDS, Metrics, write_text_file
from etl.monitor.overview import CalendarStatus, Overview, Summary, summed
from etl.scheduler.service import FinishedRun, ServiceStatus
from etl.sync import RunResult
from tests.monitor.test_status import NOW, status

BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)


def samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        f"{sample.name}{sorted(sample.labels.items())}" if sample.labels else sample.name: sample.value
        for family in families
        for sample in family.samples
    }


def test_the_age_of_the_last_proven_sync_has_an_account_label() -> None:
    found = samples(Metrics(lambda: summed([status(held=4), status(name="ben", last_proven_at=None)])))
    assert found["favsync_age_of_last_proven_sync_seconds[('account', 'ada')]"] == 1800
    assert "favsync_age_of_last_proven_sync_seconds[('account', 'ben')]" not in found
    assert found["favsync_stale[('account', 'ben')]"] == 1
    assert found["favsync_held_removals[('account', 'ada')]"] == 4
    assert (found["favsync_accounts"], found["favsync_accounts_stale"], found["favsync_up"]) == (2, 1, 1)


def test_missing_and_blocked_removals_have_an_account_label() -> None:
    blocked = status(name="ben", missing=3, missing_since=NOW, blocked_since=NOW - timedelta(hours=2))
    found = samples(Metrics(lambda: summed([status(), blocked])))
    assert found["favsync_missing_favourites[('account', 'ada')]"] == 0
    assert found["favsync_missing_favourites[('account', 'ben')]"] == 3
    assert found["favsync_removals_blocked_seconds[('account', 'ada')]"] == 0
    assert found["favsync_removals_blocked_seconds[('account', 'ben')]"] == 7200


def test_without_the_single_accounts_there_are_only_sums() -> None:
    found = samples(Metrics(lambda: Overview(Summary(11, held=2, oldest_proven_seconds=600))))
    assert not [name for name in found if "account'" in name]
    assert found["favsync_oldest_proven_sync_seconds"] == 600
    assert (found["favsync_accounts"], found["favsync_accounts_held"]) == (11, 2)


def test_runs_are_counted_as_they_end() -> None:
    metrics = Metrics(lambda: summed([]), lambda: ServiceStatus(True, 7.5, 2, 0.0))
    report = RunResult(
        "ada",
        "schedule",
        BEGUN,
        outcome="succeeded",
        added=3,
        removed=1,
        retries=2,
        finished_at=BEGUN + timedelta(seconds=4),
    )
    metrics.count(FinishedRun(report, {"200": 9, "429": 1}))
    metrics.count(FinishedRun(RunResult("ben", "schedule", BEGUN, outcome="failed")))
    found = samples(metrics)
    assert found["favsync_runs_total[('outcome', 'succeeded')]"] == 1
    assert found["favsync_runs_total[('outcome', 'failed')]"] == 1
    assert found["favsync_runs_total[('outcome', 'held')]"] == 0
    assert found["favsync_requests_total[('status', '429')]"] == 1
    assert found["favsync_favourite_changes_total[('change', 'added')]"] == 3
    assert (found["favsync_retries_total"], found["favsync_run_seconds_sum"]) == (2, 4)
    assert (found["favsync_scheduler_lag_seconds"], found["favsync_scheduler_leader"]) == (7.5, 1)


def test_a_disabled_account_is_not_counted() -> None:
    assert samples(Metrics(lambda: summed([status(enabled=False)])))["favsync_accounts"] == 0


def test_an_unreadable_database_is_reported_as_down() -> None:
    def ask():
        raise DatabaseError("gone")

    found = samples(Metrics(ask))
    assert found["favsync_up"] == 0
    assert "favsync_accounts" not in found


def test_the_database_is_read_once_for_many_scrapes(monkeypatch) -> None:
    now, asked = [100.0], []
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    metrics = Metrics(lambda: asked.append(1) or summed([]))
    for _ in range(5):
        metrics.text()
    assert len(asked) == 1
    now[0] += CACHE_SECONDS + 1
    metrics.text()
    assert len(asked) == 2


def test_the_text_file_is_readable_by_the_collector(tmp_path) -> None:
    file = tmp_path / "favsync.prom"
    write_text_file(Metrics(lambda: summed([status()])), file)
    assert b"favsync_age_of_last_proven_sync_seconds" in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(UsageError, match="cannot be written"):
        write_text_file(Metrics(lambda: summed([])), tmp_path / "nowhere" / "x.prom")


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_readiness_and_metrics_are_served(monkeypatch) -> None:
    monkeypatch.setattr(clock, "monotonic", lambda: 1_000.0)
    pulses, down = [ServiceStatus(True, 0.0, 0, 1_000.0)], []

    def require_database():
        if down:
            raise DatabaseError("postgresql://me:secret@db is gone")

    answers = Answers(Metrics(lambda: summed([]), lambda: pulses[0]), lambda: pulses[0], require_database)
    with serving("127.0.0.1:0", answers) as url:
        assert get(f"{url}/healthz") == (200, "ok\n")
        assert get(f"{url}/readyz") == (200, "ready: it syncs\n")
        assert "favsync_up 1.0" in get(f"{url}/metrics?x=1")[1]
        assert get(f"{url}/")[0] == 404
        with urllib.request.urlopen(urllib.request.Request(f"{url}/healthz", method="HEAD")) as answer:
            assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, "3", b"")
        pulses[0] = ServiceStatus(False, 0.0, 0, 1_000.0 - 61)
        down.append(1)
        assert get(f"{url}/healthz")[0] == 503
        status_code, words = get(f"{url}/readyz")
        assert (status_code, "secret" in words) == (503, False)


def test_an_address_without_a_host_is_loopback() -> None:
    assert address("9108") == ("127.0.0.1", 9108)
    assert address("0.0.0.0:9108") == ("0.0.0.0", 9108)
    assert address("[::1]:0") == ("::1", 0)
    for wrong in ("", "host", "host:x", "host:70000"):
        with pytest.raises(UsageError, match="not an address"):
            address(wrong)


def test_an_address_in_use_is_refused() -> None:
    answers = Answers(Metrics(lambda: summed([])), ServiceStatus, lambda: None)
    with (
        serving("127.0.0.1:0", answers) as url,
        pytest.raises(UsageError, match="cannot listen on"),
        serving(url.removeprefix("http://"), answers),
    ):
        pass


def test_what_is_due_and_the_budget_are_gauges():
    status = CalendarStatus(3, 42.0, 2, ((10.0, 1.5), (5.0, 0.0)))
    found = samples(Metrics(lambda: summed([]), calendar=lambda: status))
    assert {name: found[f"favsync_{name}"] for name in ("due", "due_oldest_seconds", "in_work")} == {
        "due": 3,
        "due_oldest_seconds": 42,
        "in_work": 2,
    }
    assert (found["favsync_budget_requests_per_second"], found["favsync_budget_wait_seconds"]) == (10, 1.5)


def test_a_calendar_that_cannot_be_read_has_no_gauges():
    def fail():
        raise DatabaseError("gone")

    assert "favsync_due" not in samples(Metrics(lambda: summed([]), calendar=fail))

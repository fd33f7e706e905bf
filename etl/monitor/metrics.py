"""Prometheus metrics.

Counters count runs as they end. Gauges are read from the database when metrics are collected, at most every `CACHE_SECONDS`. With
many accounts, only sums and maxima are reported, because a label per account is expensive (`etl.monitor.overview`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from etl import __version__, clock
from etl.errors import FavsyncError, UsageError
from etl.model.records import Outcome
from etl.monitor.overview import CalendarStatus, Overview
from etl.monitor.status import DISABLED, AccountStatus
from etl.scheduler.service import FinishedRun, ServiceStatus

CACHE_SECONDS = 5.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

Ask = Callable[[], Overview]

# Gauges with a label for the account: name, help, value.
ACCOUNT_GAUGES: tuple[tuple[str, str, Callable[[AccountStatus], float | None]], ...] = (
    ("age_of_last_proven_sync_seconds", "Seconds since the list was last read and proven.", lambda a: a.age_seconds),
    ("favourites", "Open favourites after the last run.", lambda a: a.favourites),
    ("held_removals", "Removals that wait for `favsync runs approve`.", lambda a: a.held),
    ("missing_favourites", "Favourites that are missing from the list, not recorded as removed.", lambda a: a.missing),
    (
        "removals_blocked_seconds",
        "Time without a run that could record removals.",
        lambda a: a.removals_blocked_seconds,
    ),
    ("rejected_items", "Unreadable items in the last proven list.", lambda a: a.rejected),
    ("failures_in_a_row", "Runs since the last proven one.", lambda a: a.failures_in_a_row),
    ("stale", "1 if the last proven sync is older than the schedule allows.", lambda a: float(a.is_stale)),
    ("token_dead", "1 if the token must be renewed by a person.", lambda a: float(a.token == "dead")),  # noqa: S105 - a state
    ("token_suspect", "1 if the token was refused once.", lambda a: float(a.token == "suspect")),  # noqa: S105
)

# Gauges of all accounts together: name, help, field of the summary.
SUMMARY_GAUGES = (
    ("accounts", "Enabled accounts.", "accounts"),
    ("accounts_stale", "Accounts that are stale.", "stale"),
    ("accounts_held", "Accounts with held removals.", "held"),
    ("accounts_token_dead", "Accounts whose token is dead.", "token_dead"),
    ("accounts_blocked", "Accounts of which no removal can be recorded.", "blocked"),
    ("oldest_proven_sync_seconds", "The oldest age of a last proven sync.", "oldest_proven_seconds"),
)


class Metrics:
    """The metrics of a process.

    ``ask`` returns the overview of the accounts, ``pulse`` the scheduler's, where there is one, ``calendar`` what is due.
    """

    def __init__(
        self,
        ask: Ask,
        pulse: Callable[[], ServiceStatus] | None = None,
        *,
        calendar: Callable[[], CalendarStatus] | None = None,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry(auto_describe=False)  # registering must not read the database
        registry.register(StatusCollector(ask, pulse))
        if calendar is not None:
            registry.register(CalendarCollector(calendar))
        if pulse is None:
            return
        self._runs = Counter("favsync_runs", "Runs that ended.", ["outcome"], registry=registry)
        self._seconds = Histogram("favsync_run_seconds", "Duration of runs.", buckets=BUCKETS, registry=registry)
        self._requests = Counter("favsync_requests", "Requests sent, by HTTP status.", ["status"], registry=registry)
        self._retries = Counter("favsync_retries", "Requests sent again after a failure.", registry=registry)
        self._changes = Counter(
            "favsync_favourite_changes", "Favourites added and removed.", ["change"], registry=registry
        )
        for outcome in Outcome:  # a series that starts at 1 would hide its first failure from rate() and increase()
            self._runs.labels(str(outcome))

    def count(self, finished: FinishedRun) -> None:
        """Count a run that ended."""
        result = finished.report
        self._runs.labels(str(result.outcome)).inc()
        if result.finished_at is not None:
            self._seconds.observe(max((result.finished_at - result.started_at).total_seconds(), 0.0))
        for status, count in finished.requests_by_status.items():
            self._requests.labels(status).inc(count)
        self._retries.inc(result.retries)
        self._changes.labels("added").inc(result.added)
        self._changes.labels("removed").inc(result.removed)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class StatusCollector(Collector):
    """Collects the gauges. The accounts' status is cached for a few seconds."""

    def __init__(self, ask: Ask, pulse: Callable[[], ServiceStatus] | None) -> None:
        self._ask = ask
        self._pulse = pulse
        self._lock = threading.Lock()
        self._cached: Overview | None = None
        self._cached_at = float("-inf")

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges. If the database cannot be read, yield that, without the accounts."""
        overview = self._overview()
        yield _gauge("favsync_up", "1 if the database could be read.", float(overview is not None))
        version = GaugeMetricFamily("favsync_build", "The version that runs.", labels=["version"])
        version.add_metric([__version__], 1.0)
        yield version
        if self._pulse is not None:
            pulse = self._pulse()
            yield _gauge(
                "favsync_scheduler_leader", "1 if this process syncs, 0 if it is on standby.", float(pulse.is_leader)
            )
            yield _gauge("favsync_scheduler_lag_seconds", "Longest time that an account is overdue.", pulse.lag_seconds)
            yield _gauge("favsync_runs_under_way", "Runs under way.", float(pulse.running))
        if overview is None:
            return
        for name, about, field in SUMMARY_GAUGES:
            yield _gauge(f"favsync_{name}", about, getattr(overview.summary, field))
        if overview.accounts is not None:
            enabled = [each for each in overview.accounts if each.freshness != DISABLED]
            for name, about, value in ACCOUNT_GAUGES:
                family = GaugeMetricFamily(f"favsync_{name}", about, labels=["account"])
                for account in enabled:
                    number = value(account)
                    if number is not None:
                        family.add_metric([account.account], number)
                yield family

    def _overview(self) -> Overview | None:
        with self._lock:
            if clock.monotonic() - self._cached_at > CACHE_SECONDS:
                try:
                    self._cached = self._ask()
                except FavsyncError:
                    self._cached = None
                self._cached_at = clock.monotonic()
            return self._cached


class CalendarCollector(Collector):
    """Collects what is due and how full the budgets are: a few statements by indexes, at each scrape."""

    def __init__(self, ask: Callable[[], CalendarStatus]) -> None:
        self._ask = ask

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; none if the database cannot be read, which ``favsync_up`` reports."""
        try:
            status = self._ask()
        except FavsyncError:
            return
        yield _gauge("favsync_due", "Accounts that are due and wait for a run.", status.due)
        yield _gauge(
            "favsync_due_oldest_seconds", "Time for which the first due account waits.", status.oldest_due_seconds
        )
        yield _gauge("favsync_in_work", "Accounts that workers have claimed.", status.in_work)
        rate, wait = (
            (max(values, default=0.0) for values in zip(*status.budgets, strict=True)) if status.budgets else (0.0, 0.0)
        )
        yield _gauge("favsync_budget_requests_per_second", "Requests a second that the app id may send.", rate)
        yield _gauge("favsync_budget_wait_seconds", "Wait for the next free request of the budget.", wait)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def write_text_file(metrics: Metrics, path: Path) -> None:
    """Write the metrics for node_exporter's text-file collector, as a whole or not at all.

    Raises: UsageError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(metrics.text())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}", remedy="choose another place") from None

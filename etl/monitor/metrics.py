"""The numbers that Prometheus collects.

What happened since the start counts up from the runs as they end; how things stand is read from the database when somebody asks,
and again after `CACHE_SECONDS` at the earliest. With more accounts than ``account_limit`` the series per account are left out,
and the sums and the oldest age, which are always there, must do: an account is a label, and labels cost.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from etl import __version__, clock
from etl.errors import FavsyncError, UsageError
from etl.model.records import Outcome
from etl.monitor.status import AccountStatus
from etl.scheduler.service import FinishedRun, ServiceStatus

CACHE_SECONDS = 5.0
ACCOUNT_LIMIT = 1_000
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

Ask = Callable[[], Sequence[AccountStatus]]
Value = Callable[[AccountStatus], float | None]

GAUGES: tuple[tuple[str, str, Value], ...] = (
    ("age_of_last_proven_sync_seconds", "Seconds since the list was last read and proven.", lambda a: a.age_seconds),
    ("favourites", "Open favourites after the last run.", lambda a: a.favourites),
    ("held_removals", "Removals that wait for `favsync runs approve`.", lambda a: a.held),
    ("rejected_items", "Unreadable items in the last proven list.", lambda a: a.rejected),
    ("failures_in_a_row", "Runs since the last proven one.", lambda a: a.failures_in_a_row),
    ("stale", "1 where the last proven sync is older than its schedule allows.", lambda a: float(a.is_stale)),
    ("token_dead", "1 where the token needs a person.", lambda a: float(a.token == "dead")),  # noqa: S105 - a state
    ("token_suspect", "1 where the token was refused once.", lambda a: float(a.token == "suspect")),  # noqa: S105
)


class Metrics:
    """A registry of its own. ``ask`` gives the accounts' status, ``pulse`` the scheduler's, where there is one."""

    def __init__(
        self, ask: Ask, pulse: Callable[[], ServiceStatus] | None = None, *, account_limit: int = ACCOUNT_LIMIT
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(AccountMetrics(ask, pulse, account_limit))
        if pulse is not None:
            self._runs = Counter("favsync_runs", "Runs that ended.", ["outcome"], registry=self._registry)
            self._seconds = Histogram(
                "favsync_run_seconds", "How long runs took.", buckets=BUCKETS, registry=self._registry
            )
            self._requests = Counter(
                "favsync_requests", "Requests sent, by HTTP status.", ["status"], registry=self._registry
            )
            self._retries = Counter("favsync_retries", "Requests sent again after a failure.", registry=self._registry)
            self._changes = Counter(
                "favsync_favourite_changes", "Favourites added and removed.", ["change"], registry=self._registry
            )
            for outcome in Outcome:  # a series that begins at 1 hides its first failure from rate() and increase()
                self._runs.labels(str(outcome))

    def count(self, ran: FinishedRun) -> None:
        """Count a run that ended."""
        report = ran.report
        self._runs.labels(str(report.outcome)).inc()
        if report.finished_at is not None:
            self._seconds.observe(max((report.finished_at - report.started_at).total_seconds(), 0.0))
        for status, count in ran.requests_by_status.items():
            self._requests.labels(status).inc(count)
        self._retries.inc(report.retries)
        self._changes.labels("added").inc(report.added)
        self._changes.labels("removed").inc(report.removed)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)


class AccountMetrics(Collector):
    """How things stand, read when somebody asks; the answer is kept for a few seconds."""

    def __init__(self, ask: Ask, pulse: Callable[[], ServiceStatus] | None, account_limit: int) -> None:
        self._ask = ask
        self._pulse = pulse
        self._account_limit = account_limit
        self._lock = threading.Lock()
        self._known: Sequence[AccountStatus] | None = None
        self._asked_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: registering must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; without a database, that it cannot be asked."""
        accounts = self._accounts()
        yield _gauge("favsync_up", "1 where the database could be asked.", float(accounts is not None))
        version = GaugeMetricFamily("favsync_build", "The version that runs.", labels=["version"])
        version.add_metric([__version__], 1.0)
        yield version
        if self._pulse is not None:
            yield from _scheduler(self._pulse())
        if accounts is not None:
            yield from _sums(accounts)
            if len(accounts) <= self._account_limit:
                yield from _each(accounts)

    def _accounts(self) -> Sequence[AccountStatus] | None:
        with self._lock:
            if clock.monotonic() - self._asked_at > CACHE_SECONDS:
                self._known = None
                with suppress(FavsyncError):
                    self._known = [each for each in self._ask() if each.freshness != "disabled"]
                self._asked_at = clock.monotonic()
            return self._known


def write_text_file(metrics: Metrics, path: Path) -> None:
    """Write the numbers for node_exporter's text-file collector, whole or not at all.

    Raises: UsageError.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(metrics.text())
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", remedy="choose another place") from None


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _scheduler(pulse: ServiceStatus) -> Iterator[Metric]:
    yield _gauge(
        "favsync_scheduler_leader", "1 where this process syncs, 0 where it stands by.", float(pulse.is_leader)
    )
    yield _gauge("favsync_scheduler_lag_seconds", "How long the account that waits longest is due.", pulse.lag_seconds)
    yield _gauge("favsync_runs_under_way", "Runs under way.", float(pulse.running))


def _sums(accounts: Sequence[AccountStatus]) -> Iterator[Metric]:
    oldest = max((each.age_seconds for each in accounts if each.age_seconds is not None), default=0.0)
    yield _gauge("favsync_accounts", "Enabled accounts.", len(accounts))
    yield _gauge("favsync_accounts_stale", "Accounts that are stale.", sum(each.is_stale for each in accounts))
    yield _gauge("favsync_accounts_held", "Accounts with held removals.", sum(each.held > 0 for each in accounts))
    dead = sum(each.token == "dead" for each in accounts)  # noqa: S105 - a state
    yield _gauge("favsync_accounts_token_dead", "Accounts whose token is dead.", dead)
    yield _gauge("favsync_oldest_proven_sync_seconds", "The oldest age of a last proven sync.", oldest)


def _each(accounts: Sequence[AccountStatus]) -> Iterator[Metric]:
    for name, words, value in GAUGES:
        family = GaugeMetricFamily(f"favsync_{name}", words, labels=["account"])
        for account in accounts:
            number = value(account)
            if number is not None:
                family.add_metric([account.account], number)
        yield family

"""A run's report in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etl.model.result import RunResult

FIELDS = (
    "account",
    "run_id",
    "trigger",
    "outcome",
    "reason",
    "proven",
    "favourites",
    "added",
    "removed",
    "held",
    "changed",
    "rejected",
    "pages",
    "requests",
    "retries",
    "started_at",
    "observed_at",
    "finished_at",
)
SHOWN_IDS = 12


def report_fields(report: RunResult) -> dict[str, Any]:
    """Return the report as `favsync sync --json` prints it; instants are datetimes still."""
    fields: dict[str, Any] = {name: getattr(report, name) for name in FIELDS}
    fields["outcome"] = str(report.outcome)
    fields["trigger"] = str(report.trigger)
    if report.retry_at is not None:
        fields["retry_at"] = report.retry_at
    if report.error is not None:
        fields["remedy"] = report.remedy
    if report.plan is not None:
        fields["plan"] = report.plan
    return fields


def report_line(report: RunResult) -> str:
    """Return the report as one line."""
    if report.error is not None:
        return f"{report.account}: failed: {report.reason}"  # which says until when, where the service asked to wait
    verb = "would end as " if report.plan is not None else ""
    counts = [f"{report.favourites:,} favourites"]
    counts += [
        f"{count:,} {word}"
        for count, word in (
            (report.added, "added"),
            (report.removed, "removed"),
            (report.held, "held"),
            (report.changed, "changed"),
            (report.rejected, "unreadable"),
        )
        if count
    ]
    seconds = (report.finished_at - report.started_at).total_seconds() if report.finished_at else 0.0
    cost = f"{report.requests:,} requests, {seconds:.1f} s"
    line = f"{report.account}: {verb}{report.outcome}: {', '.join(counts)} ({cost})"
    return f"{line}; {report.reason}" if report.reason else line


def plan_lines(report: RunResult) -> Iterator[str]:
    """Yield what a plan would write, one line a kind of change."""
    for kind, ids in (report.plan or {}).items():
        if ids:
            more = f" … and {len(ids) - SHOWN_IDS:,} more (--json lists all)" if len(ids) > SHOWN_IDS else ""
            yield f"  {kind}: {', '.join(map(str, ids[:SHOWN_IDS]))}{more}"
    if report.plan is not None:
        yield "  nothing was written"

"""The result of a run as lines for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etl.model.result import RunResult

FIELDS = (
    "account", "run_id", "trigger", "outcome", "reason", "proven", "favourites", "added", "removed", "held", "missing",
    "changed", "rejected", "pages", "requests", "retries", "started_at", "observed_at", "finished_at",
)  # fmt: skip
SHOWN_IDS = 12


def report_fields(report: RunResult) -> dict[str, Any]:
    """Return the report as `favsync sync --json` prints it; instants are datetimes still."""
    fields: dict[str, Any] = {name: getattr(report, name) for name in FIELDS}
    fields |= {"outcome": str(report.outcome), "trigger": str(report.trigger)}
    if report.retry_at is not None:
        fields["retry_at"] = report.retry_at
    if report.error is not None:
        fields["remedy"] = report.remedy
    if report.plan is not None:
        fields["plan"] = report.plan
    return fields


def sentences(reason: str | None) -> Iterator[str]:
    """Yield the reason of a run, indented, one sentence a line."""
    yield from (f"  {sentence}" for sentence in (reason or "").split("; ") if sentence)


def report_lines(report: RunResult) -> Iterator[str]:
    """Yield the outcome with its counts, the reasons, and what a plan would write."""
    if report.error is not None:
        yield f"{report.account}: failed: {report.reason}"  # which says until when, where the service asked to wait
        return
    counts = {
        "added": report.added,
        "removed": report.removed,
        "held": report.held,
        "missing": report.missing,
        "changed": report.changed,
        "unreadable": report.rejected,
    }
    shown = [f"{report.favourites:,} favourites", *(f"{count:,} {word}" for word, count in counts.items() if count)]
    seconds = (report.finished_at - report.started_at).total_seconds() if report.finished_at else 0.0
    verb = "would end as " if report.plan is not None else ""
    cost = f"{report.requests:,} requests, {seconds:.1f} s"
    yield f"{report.account}: {verb}{report.outcome}: {', '.join(shown)} ({cost})"
    yield from sentences(report.reason)
    for kind, ids in (report.plan or {}).items():
        if ids:
            yield f"  {kind}: {len(ids):,}"
        yield from (
            f"    {track_id}  {(report.titles or {}).get(track_id, '')}".rstrip() for track_id in ids[:SHOWN_IDS]
        )
        if len(ids) > SHOWN_IDS:
            yield f"    … and {len(ids) - SHOWN_IDS:,} more (--json lists all)"
    if report.plan is not None:
        yield "  nothing was written"

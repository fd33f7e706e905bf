"""The list of runs, and everything about one run."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from etl.db.bulk import select_in
from etl.db.tables import accounts, favourites, rejects, runs, tracks
from etl.load import raw
from etl.load.runs import find_run
from etl.model.records import Trigger
from etl.replay.review import held_intervals

LIST_COLUMNS = (
    "run_id", "account", "trigger", "outcome", "started_at", "favourites", "added", "removed", "held", "missing", "rejected",
    "reason",
)  # fmt: skip
INTERNAL_COLUMNS = ("account_id", "snapshot_id", "holder")


def list_runs(
    connection: Connection, *, account: str | None = None, outcome: str | None = None, limit: int = 20
) -> list[tuple[Any, ...]]:
    """Return the newest runs first, in the columns `LIST_COLUMNS`."""
    columns = [accounts.c.name if name == "account" else runs.c[name] for name in LIST_COLUMNS]
    query = select(*columns).select_from(runs.join(accounts)).order_by(runs.c.run_id.desc()).limit(limit)
    if account is not None:
        query = query.where(accounts.c.name == account)
    if outcome is not None:
        query = query.where(runs.c.outcome == outcome)
    return [tuple(row) for row in connection.execute(query)]


def run_details(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return the columns of a run, the favourites that it added, removed, holds or found missing, and its unreadable items.

    Raises: UsageError, for an unknown run.
    """
    run = find_run(connection, run_id)
    details = {name: value for name, value in run._mapping.items() if name not in INTERNAL_COLUMNS}
    details["account"] = run.account
    is_import = run.trigger == Trigger.BACKFILL and not run.requests  # its end is the time of the import
    took = run.finished_at - run.started_at if run.finished_at and not is_import else None
    details["duration_seconds"] = took.total_seconds() if took else None
    details["added_tracks"] = _favourites(connection, favourites.c.added_run_id == run_id)
    details["removed_tracks"] = _favourites(connection, favourites.c.removed_run_id == run_id)
    details["missing_tracks"] = _missing(connection, run) if run.missing else []
    details["evidence"] = json.loads(run.evidence) if run.evidence else {}
    held = [interval.track_id for interval in held_intervals(connection, run)] if run.snapshot_id else []
    titles = {row[0]: row[1] for row in select_in(connection, "track_id, title", tracks, "track_id", held)}
    details["held_tracks"] = [{"track_id": track_id, "title": titles.get(track_id)} for track_id in held]
    details["rejects"] = _rejects(connection, run)
    return details


def _favourites(connection: Connection, condition: ColumnElement[bool]) -> list[dict[str, Any]]:
    columns = favourites.c["valid_from", "added_after", "valid_to", "removed_after", "missing_since", "removal_reason"]
    query = select(favourites.c.track_id, tracks.c.title, *columns).join(tracks).where(condition)
    return [dict(row) for row in connection.execute(query.order_by(favourites.c.favourite_id)).mappings()]


def _missing(connection: Connection, run: Any) -> list[dict[str, Any]]:
    """Return the favourites that were missing after the run and did not come back since, removed later or not."""
    later = select(runs.c.run_id).where(runs.c.account_id == run.account_id, runs.c.observed_at > run.observed_at)
    return _favourites(
        connection,
        (favourites.c.account_id == run.account_id)
        & (func.coalesce(favourites.c.missing_since, favourites.c.valid_to) <= run.observed_at)
        & (favourites.c.removed_run_id.is_(None) | favourites.c.removed_run_id.in_(later)),
    )


def _rejects(connection: Connection, run: Any) -> list[dict[str, Any]]:
    """Return the unreadable items of the run's list. Rows of ``rejects`` exist only for the run that saw an item first."""
    query = select(rejects).where(rejects.c.run_id == run.run_id).order_by(rejects.c.position)
    found = [dict(row) for row in connection.execute(query).mappings()]
    if run.snapshot_id is None or len(found) == (run.rejected or 0):
        return found
    known = select(rejects.c.body, rejects.c.reason).join(runs).where(runs.c.account_id == run.account_id)
    reasons = {row.body: row.reason for row in connection.execute(known)}
    items = raw.items_of(connection, run.snapshot_id)
    unreadable = {position: item for position, item in enumerate(items) if not item.is_readable}
    bodies = raw.bodies_of(connection, [item.raw_item_id for item in unreadable.values()])
    listed = []
    for position, item in unreadable.items():
        body = bodies.get(item.raw_item_id, b"").decode("utf-8", "replace").replace("\x00", "\ufffd")
        reason = reasons.get(body, "unreadable")
        listed.append(
            {"run_id": run.run_id, "position": position, "track_id": item.track_id, "reason": reason, "body": body}
        )
    return listed

"""Runs as people ask for them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from etl.db.tables import accounts, favourites, rejects, runs, tracks
from etl.load import raw
from etl.load.runs import find_run
from etl.replay.review import held_intervals

LIST_COLUMNS = (
    "run_id", "account", "trigger", "outcome", "started_at", "favourites", "added", "removed", "held", "rejected", "reason",
)  # fmt: skip


def list_runs(
    connection: Connection, *, account: str | None = None, outcome: str | None = None, limit: int = 20
) -> list[tuple[Any, ...]]:
    """Return the newest runs first, in the columns `LIST_COLUMNS`."""
    own = [runs.c[name] for name in LIST_COLUMNS if name != "account"]
    query = select(own[0], accounts.c.name, *own[1:]).join(accounts).order_by(runs.c.run_id.desc()).limit(limit)
    if account is not None:
        query = query.where(accounts.c.name == account)
    if outcome is not None:
        query = query.where(runs.c.outcome == outcome)
    return [tuple(row) for row in connection.execute(query)]


def run_details(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return everything about a run: its row, what it added, removed and holds, and its unreadable items.

    Raises: UsageError, where there is no such run.
    """
    row = find_run(connection, run_id)
    details = {
        name: value for name, value in row._mapping.items() if name not in ("account_id", "snapshot_id", "holder")
    }
    details["account"] = row.account
    details["duration_seconds"] = (row.finished_at - row.started_at).total_seconds() if row.finished_at else None
    details["added_tracks"] = _tracks_of(connection, favourites.c.added_run_id == run_id)
    details["removed_tracks"] = _tracks_of(connection, favourites.c.removed_run_id == run_id)
    held = [interval.track_id for interval in held_intervals(connection, row)] if row.snapshot_id else []
    titles = _titles(connection, held)
    details["held_tracks"] = [{"track_id": track_id, "title": titles.get(track_id)} for track_id in held]
    details["rejects"] = _rejects(connection, row)
    return details


def _tracks_of(connection: Connection, condition: Any) -> list[dict[str, Any]]:
    query = (
        select(
            favourites.c.track_id,
            tracks.c.title,
            *favourites.c["valid_from", "added_after", "valid_to", "removed_after"],
        )
        .join(tracks, tracks.c.track_id == favourites.c.track_id)
        .where(condition)
        .order_by(favourites.c.favourite_id)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def _titles(connection: Connection, track_ids: list[int]) -> dict[int, str | None]:
    from etl.db.bulk import select_in

    return {row[0]: row[1] for row in select_in(connection, "track_id, title", tracks, "track_id", track_ids)}


def _rejects(connection: Connection, row: Any) -> list[dict[str, Any]]:
    """Return the unreadable items of the list that the run saw; the reason stands with the run that saw each first."""
    own = connection.execute(select(rejects).where(rejects.c.run_id == row.run_id).order_by(rejects.c.position))
    found = [dict(each._mapping) for each in own]
    if row.snapshot_id is None or len(found) == (row.rejected or 0):
        return found
    reasons = dict(
        connection.execute(
            select(rejects.c.body, rejects.c.reason).join(runs).where(runs.c.account_id == row.account_id)
        ).all()
    )
    items = raw.items_of(connection, row.snapshot_id)
    bad = {n: item for n, item in enumerate(items) if not item.is_readable}
    bodies = raw.bodies_of(connection, [item.raw_item_id for item in bad.values()])
    listed = []
    for position, item in bad.items():
        body = bodies.get(item.raw_item_id, b"").decode("utf-8", "replace").replace("\x00", "\ufffd")
        reason = reasons.get(body, "unreadable")
        listed.append(
            {"run_id": row.run_id, "position": position, "track_id": item.track_id, "reason": reason, "body": body}
        )
    return listed

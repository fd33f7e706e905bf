"""Taking a run out of the history, and putting it back.

A retracted run stays on record, with its list; the history is folded as if it had never been. So it is with the run in the
middle of others as with the newest one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from etl.db import bulk
from etl.db.tables import runs
from etl.errors import UsageError
from etl.load.runs import find_run
from etl.model.threshold import RemovalThreshold
from etl.replay.favourites import FavouriteDiff, replay_favourites
from etl.replay.import_snapshots import touched_tracks
from etl.replay.track_events import accounts_with_tracks
from etl.replay.tracks import replay_tracks


@dataclass(frozen=True, slots=True)
class Retraction:
    """What taking a run out, or putting it back, did to the history. ``tracks``: how many tracks' facts became others."""

    run_id: int
    account: str
    retracted_at: datetime | None
    difference: FavouriteDiff = field(default_factory=FavouriteDiff)
    tracks: int = 0


def retract(connection: Connection, run_id: int, now: datetime, brake: RemovalThreshold) -> Retraction:
    """Fold the history of the run's account as if the run had never been; the caller holds the account.

    Raises: UsageError, where there is no such run, it brought no observation, or it is retracted already.
    """
    bulk.lock_track_tables(connection)
    row = find_run(connection, run_id)
    _require_observation(row)
    if row.retracted_at is not None:
        raise UsageError(
            f"run {run_id} was retracted already, on {row.retracted_at:%Y-%m-%d %H:%M:%S} UTC",
            remedy=f"`favsync runs retract {run_id} --undo` brings it back",
        )
    return _refolded(connection, row, now, brake)


def restore(connection: Connection, run_id: int, brake: RemovalThreshold) -> Retraction:
    """Undo `retract`.

    Raises: UsageError, where there is no such run, or it is not retracted.
    """
    bulk.lock_track_tables(connection)
    row = find_run(connection, run_id)
    _require_observation(row)
    if row.retracted_at is None:
        raise UsageError(f"run {run_id} is not retracted", remedy=f"`favsync runs show {run_id}` shows it")
    return _refolded(connection, row, None, brake)


def _require_observation(row: Any) -> None:
    if row.snapshot_id is None or row.outcome is None:
        state = row.outcome or "in progress"
        raise UsageError(
            f"run {row.run_id} brought no observation that could be retracted: it is {state}",
            remedy="`favsync runs list` shows the others",
        )


def _refolded(connection: Connection, row: Any, retracted_at: datetime | None, brake: RemovalThreshold) -> Retraction:
    this = runs.c.run_id == row.run_id
    connection.execute(update(runs).where(this).values(retracted_at=retracted_at))
    difference = replay_favourites(connection, row.account_id, brake)
    touched = touched_tracks(connection, row.account_id, [row.run_id])
    facts = replay_tracks(connection, touched, accounts=accounts_with_tracks(connection, touched))
    words = difference.words or "no interval changed"
    before = (row.reason or "").split("retracted", 1)[0].removesuffix("; ")
    told = "; ".join(part for part in (before, f"retracted{'' if retracted_at else ' and put back'}: {words}") if part)
    connection.execute(update(runs).where(this).values(reason=told))
    return Retraction(row.run_id, row.account, retracted_at, difference, len({*facts.tracks, *facts.surplus}))

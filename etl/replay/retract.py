"""Takes a run out of the history, and restores it.

A retracted run stays on record with its list. The history is replayed without it, wherever it lies in time.
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
from etl.model.records import RemovalThreshold
from etl.replay.account import replay_account
from etl.replay.favourites import FavouriteDiff


@dataclass(frozen=True, slots=True)
class Retraction:
    """How a retraction, or its undo, changed the history. ``tracks``: the number of tracks with other attributes."""

    run_id: int
    account: str
    retracted_at: datetime | None
    difference: FavouriteDiff = field(default_factory=FavouriteDiff)
    tracks: int = 0


def retract(connection: Connection, run_id: int, now: datetime, threshold: RemovalThreshold) -> Retraction:
    """Replay the history of the run's account without the run. The caller holds the account.

    Raises: UsageError, if there is no such run, it stored no snapshot, or it is retracted already.
    """
    row = _observation(connection, run_id)
    if row.retracted_at is not None:
        raise UsageError(
            f"run {run_id} was retracted already, on {row.retracted_at:%Y-%m-%d %H:%M:%S} UTC",
            remedy=f"`favsync runs retract {run_id} --undo` brings it back",
        )
    return _replayed(connection, row, now, threshold)


def restore(connection: Connection, run_id: int, threshold: RemovalThreshold) -> Retraction:
    """Undo `retract`.

    Raises: UsageError, if there is no such run, or it is not retracted.
    """
    row = _observation(connection, run_id)
    if row.retracted_at is None:
        raise UsageError(f"run {run_id} is not retracted", remedy=f"`favsync runs show {run_id}` shows it")
    return _replayed(connection, row, None, threshold)


def _observation(connection: Connection, run_id: int) -> Any:
    """Lock the tracks, and return the run, which must have stored a snapshot."""
    bulk.lock_track_tables(connection)
    row = find_run(connection, run_id)
    if row.snapshot_id is None or row.outcome is None:
        state = row.outcome or "in progress"
        raise UsageError(
            f"run {run_id} stored no snapshot that could be retracted: it is {state}",
            remedy="`favsync runs list` shows the others",
        )
    return row


def _replayed(
    connection: Connection, row: Any, retracted_at: datetime | None, threshold: RemovalThreshold
) -> Retraction:
    this = runs.c.run_id == row.run_id
    connection.execute(update(runs).where(this).values(retracted_at=retracted_at))
    replayed = replay_account(connection, row.account_id, [row.run_id], threshold)
    difference, facts = replayed.favourites, replayed.tracks
    words = difference.words or "no interval changed"
    before = (row.reason or "").split("retracted", 1)[0].removesuffix("; ")
    reason = "; ".join(filter(None, (before, f"retracted{'' if retracted_at else ' and restored'}: {words}")))
    connection.execute(update(runs).where(this).values(reason=reason))
    return Retraction(row.run_id, row.account, retracted_at, difference, len({*facts.tracks, *facts.surplus}))

"""Folding an account's observations again, and comparing with what is stored.

It writes only what differs, and says what that was; a check says it without writing. Used by `favsync rebuild`, by runs that
bring an older observation, by decisions on a held run, and by retracting one. `replay_tracks` does the same for tracks' facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from etl.db import bulk
from etl.db.tables import favourites, runs, tracks
from etl.load.baseline import interval_of, is_observation
from etl.load.favourites import insert_intervals, interval_rows
from etl.model.outcomes import outcome_of
from etl.model.records import FavouriteChanges, FavouriteInterval, Outcome
from etl.model.threshold import RemovalThreshold
from etl.replay.snapshots import snapshot_refs
from etl.transform.favourite_history import History, replay_sorted

__all__ = ["FavouriteDiff", "diff_favourites", "replay_favourites"]

Place = tuple[int, datetime]
COUNTS = ("favourites", "added", "removed", "held", "outcome")


class FavouriteDiff(msgspec.Struct, frozen=True):
    """Where what is stored and what the observations tell differ: intervals by what has to be done to them.

    ``unequal``: as they should be. ``runs``: runs whose counts or outcome differ.
    """

    missing: tuple[FavouriteInterval, ...] = ()
    surplus: tuple[FavouriteInterval, ...] = ()
    unequal: tuple[FavouriteInterval, ...] = ()
    runs: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is any difference."""
        return bool(self.missing or self.surplus or self.unequal or self.runs)

    @property
    def words(self) -> str:
        """The difference to the intervals in a few words, empty where there is none."""
        parts = ((self.missing, "new"), (self.surplus, "gone"), (self.unequal, "with other bounds"))
        return ", ".join(f"{len(each):,} {word}" for each, word in parts if each)


def diff_favourites(connection: Connection, account_id: int, brake: RemovalThreshold) -> tuple[FavouriteDiff, History]:
    """Fold the account's observations and compare with the intervals, and the counts of runs, that are stored."""
    told = replay_sorted(snapshot_refs(connection, account_id), brake)
    rows = connection.execute(select(favourites).where(favourites.c.account_id == account_id))
    stored = {_place(interval): interval for interval in map(interval_of, rows)}
    wanted = {_place(interval): interval for interval in told.intervals}
    difference = FavouriteDiff(
        missing=tuple(interval for place, interval in wanted.items() if place not in stored),
        surplus=tuple(interval for place, interval in stored.items() if place not in wanted),
        unequal=tuple(i for place, i in wanted.items() if place in stored and stored[place] != i),
        runs=tuple(row[0] for row in _miscounted(connection, account_id, told.by_run)),
    )
    return difference, told


def _place(interval: FavouriteInterval) -> Place:
    return interval.track_id, interval.valid_from


def replay_favourites(connection: Connection, account_id: int, brake: RemovalThreshold) -> FavouriteDiff:
    """Make the account's intervals, and the counts of its runs, what its observations tell."""
    difference, told = diff_favourites(connection, account_id, brake)
    numbers = _numbers(connection, account_id) if difference.unequal else {}
    at = bulk.instants(connection)
    key = ("account_id", "track_id", "valid_from")
    redone = (*difference.surplus, *difference.unequal)
    bulk.delete_rows(connection, favourites, key, [(account_id, i.track_id, at(i.valid_from)) for i in redone])
    bulk.insert(
        connection,
        tracks,
        ("track_id", "first_seen_at"),
        [(i.track_id, at(i.valid_from)) for i in _first_of_each(difference.missing)],
        key=("track_id",),
    )
    _recount(connection, account_id, told.by_run)
    kept = [(numbers[_place(interval)], interval) for interval in difference.unequal]
    bulk.insert(connection, favourites, *interval_rows(connection, account_id, kept))
    insert_intervals(connection, account_id, difference.missing)
    return difference


def _numbers(connection: Connection, account_id: int) -> dict[Place, int]:
    columns = favourites.c["track_id", "valid_from", "favourite_id"]
    rows = connection.execute(select(*columns).where(favourites.c.account_id == account_id))
    return {(row.track_id, row.valid_from): row.favourite_id for row in rows}


def _first_of_each(intervals: Sequence[FavouriteInterval]) -> Iterator[FavouriteInterval]:
    seen: set[int] = set()
    for interval in sorted(intervals, key=lambda i: i.valid_from):
        if interval.track_id not in seen:
            seen.add(interval.track_id)
            yield interval


def _miscounted(connection: Connection, account_id: int, by_run: Mapping[int, FavouriteChanges]) -> list[bulk.Row]:
    """Return (run, `COUNTS`, reason) as they should be, of the runs whose counts or outcome are not what the fold says."""
    query = select(runs).where(runs.c.account_id == account_id, is_observation).order_by(runs.c.run_id)
    found = []
    for row in connection.execute(query).all():
        change = by_run[row.run_id]
        counts = (change.favourites, len(change.opened), len(change.closed), len(change.held))
        outcome = outcome_of(proven=row.proven, change=change, changed=row.changed, decision=row.decision)
        if (row.favourites, row.added, row.removed, row.held, row.outcome) != (*counts, outcome):
            found.append((row.run_id, *counts, outcome, _reason(row, change, outcome)))
    return found


def _reason(row: Any, change: FavouriteChanges, outcome: Outcome) -> str | None:
    """Return what the run's row should say of a hold that the fold has put on or taken off."""
    if outcome is Outcome.HELD and (row.outcome != Outcome.HELD or row.held != len(change.held)):
        return f"{len(change.held)} removals wait for `favsync runs approve {row.run_id}`"
    if row.outcome == Outcome.HELD and outcome is not Outcome.HELD and row.decision is None:
        return f"the {row.held} removals that were held are none any more, since the account's history was folded again"
    reason: str | None = row.reason
    return reason


def _recount(connection: Connection, account_id: int, by_run: Mapping[int, FavouriteChanges]) -> None:
    """Bring the counts and outcomes of runs in line with what the fold says that they did."""
    bulk.update(connection, runs, ("run_id",), (*COUNTS, "reason"), _miscounted(connection, account_id, by_run))

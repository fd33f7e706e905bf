"""Replays an account's favourites from its stored snapshots, and compares the result with the tables.

Only differences are written. Used by `favsync rebuild`, imports, reviews and retractions. `replay.tracks` does the same for
the attributes of tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from etl.db import bulk
from etl.db.tables import favourites, runs, tracks
from etl.errors import counted
from etl.load.baseline import interval_of, is_observation
from etl.load.favourites import insert_intervals, interval_rows, write_memory
from etl.model.records import FavouriteChanges, FavouriteInterval, Outcome, RemovalThreshold
from etl.model.result import outcome_of
from etl.replay.snapshots import snapshot_refs
from etl.transform.favourite_history import History, replay_sorted

__all__ = ["FavouriteDiff", "diff_favourites", "replay_favourites"]

Place = tuple[int, datetime]
COUNTS = ("favourites", "added", "removed", "held", "missing", "outcome")


class FavouriteDiff(msgspec.Struct, frozen=True):
    """Differences between the stored history and the replayed one.

    ``missing``: intervals to insert. ``surplus``: intervals to delete. ``unequal``: intervals to correct, in their correct form.
    ``runs``: runs whose counts or outcome differ.
    """

    missing: tuple[FavouriteInterval, ...] = ()
    surplus: tuple[FavouriteInterval, ...] = ()
    unequal: tuple[FavouriteInterval, ...] = ()
    runs: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """True if there is any difference."""
        return bool(self.missing or self.surplus or self.unequal or self.runs)

    @property
    def words(self) -> str:
        """The changed intervals in a few words; empty if there are none."""
        parts = ((self.missing, "new"), (self.surplus, "gone"), (self.unequal, "with other bounds"))
        return ", ".join(f"{len(each):,} {word}" for each, word in parts if each)


def diff_favourites(
    connection: Connection, account_id: int, threshold: RemovalThreshold
) -> tuple[FavouriteDiff, History]:
    """Replay the account's snapshots and compare with the stored intervals and run counts."""
    replayed = replay_sorted(snapshot_refs(connection, account_id), threshold)
    rows = connection.execute(select(favourites).where(favourites.c.account_id == account_id))
    stored = {_place(interval): interval for interval in map(interval_of, rows)}
    wanted = {_place(interval): interval for interval in replayed.intervals}
    difference = FavouriteDiff(
        missing=tuple(interval for place, interval in wanted.items() if place not in stored),
        surplus=tuple(interval for place, interval in stored.items() if place not in wanted),
        unequal=tuple(i for place, i in wanted.items() if place in stored and stored[place] != i),
        runs=tuple(row[0] for row in _miscounted(connection, account_id, replayed.by_run)),
    )
    return difference, replayed


def _place(interval: FavouriteInterval) -> Place:
    return interval.track_id, interval.valid_from


def replay_favourites(connection: Connection, account_id: int, threshold: RemovalThreshold) -> FavouriteDiff:
    """Replay the account's snapshots and correct its intervals, run counts and memory."""
    difference, replayed = diff_favourites(connection, account_id, threshold)
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
    _recount(connection, account_id, replayed.by_run)
    kept = [(numbers[_place(interval)], interval) for interval in difference.unequal]
    bulk.insert(connection, favourites, *interval_rows(connection, account_id, kept))
    insert_intervals(connection, account_id, difference.missing)
    write_memory(connection, account_id, replayed.state.memory)
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
    """Return (run, `COUNTS`, reason) in the correct form, of the runs whose counts or outcome differ from the replay."""
    query = select(runs).where(runs.c.account_id == account_id, is_observation).order_by(runs.c.run_id)
    found = []
    for row in connection.execute(query).all():
        change = by_run[row.run_id]
        counts = (change.favourites, len(change.opened), len(change.closed), len(change.held), change.missing)
        outcome = outcome_of(
            proves_absence=row.proves_absence, change=change, changed=row.changed, decision=row.decision
        )
        if (row.favourites, row.added, row.removed, row.held, row.missing, row.outcome) != (*counts, outcome):
            found.append((row.run_id, *counts, outcome, _reason(row, change, outcome)))
    return found


def _reason(row: Any, change: FavouriteChanges, outcome: Outcome) -> str | None:
    """Return the reason of a run, corrected if the replay starts or ends a hold."""
    if outcome is Outcome.HELD and (row.outcome != Outcome.HELD or row.held != len(change.held)):
        removals = counted(len(change.held), "removal waits", "removals wait")
        return f"{removals} for `favsync runs approve {row.run_id}`"
    if row.outcome == Outcome.HELD and outcome is not Outcome.HELD and row.decision is None:
        return f"the {row.held} held removals no longer wait: the account's history was replayed"
    reason: str | None = row.reason
    return reason


def _recount(connection: Connection, account_id: int, by_run: Mapping[int, FavouriteChanges]) -> None:
    """Correct the counts and outcomes of runs."""
    bulk.update(connection, runs, ("run_id",), (*COUNTS, "reason"), _miscounted(connection, account_id, by_run))

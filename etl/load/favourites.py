"""Writes favourite intervals and rejects, in the caller's transaction. Makes no decisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection, func, select

from etl.db import bulk
from etl.db.tables import favourites, rejects, removal_memory
from etl.model.records import FavouriteChanges, FavouriteInterval, Reject, RemovalMemory

PART = 5_000
END_COLUMNS = ("valid_to", "removed_after", "removed_run_id", "last_seen_at", "missing_since", "removal_reason")


def write_changes(
    connection: Connection, account_id: int, change: FavouriteChanges, before: RemovalMemory | None = None
) -> None:
    """Write the intervals that open, close or change, and the memory if it is not ``before``.

    The run that they cite exists already; if it closes one, it is proven.
    """
    at = bulk.instants(connection)
    key = ("account_id", "track_id", "valid_from")
    closed = [
        (
            *(account_id, i.track_id, at(i.valid_from)),
            *(at(i.valid_to), at(i.removed_after), i.removed_run_id, None, None, i.removal_reason),
        )
        for i in change.closed
    ]
    bulk.update(connection, favourites, key, END_COLUMNS, closed)
    marked = [
        (account_id, i.track_id, at(i.valid_from), at(i.last_seen_at), at(i.missing_since)) for i in change.marked
    ]
    bulk.update(connection, favourites, key, ("last_seen_at", "missing_since"), marked)
    insert_intervals(connection, account_id, change.opened)
    if change.memory != before:
        write_memory(connection, account_id, change.memory)


def write_memory(connection: Connection, account_id: int, memory: RemovalMemory) -> None:
    """Store what the account's snapshots say about later removals."""
    row = (account_id, msgspec.json.encode(memory).decode())
    columns = ("account_id", "memory")
    bulk.insert(connection, removal_memory, columns, [row], key=("account_id",), update=("memory",))


def insert_intervals(connection: Connection, account_id: int, intervals: Sequence[FavouriteInterval]) -> None:
    """Insert intervals, numbered after the account's last one, in the order of tracks that most indexes have."""
    if not intervals:
        return
    last = select(func.coalesce(func.max(favourites.c.favourite_id), 0)).where(favourites.c.account_id == account_id)
    first = connection.execute(last).scalar_one() + 1
    numbered = sorted(enumerate(intervals, start=first), key=lambda each: each[1].track_id)
    for start in range(0, len(numbered), PART):
        part = numbered[start : start + PART]
        bulk.insert(connection, favourites, *interval_rows(connection, account_id, part))


def interval_rows(
    connection: Connection, account_id: int, numbered: Collection[tuple[int, FavouriteInterval]]
) -> tuple[Sequence[str], list[bulk.Row]]:
    """Return columns of ``favourites`` and the rows of intervals, each given with its ``favourite_id``.

    The columns that only an interval with an end or a missing favourite has are left out if there is none.
    """
    at = bulk.instants(connection)
    columns = ("account_id", "favourite_id", "track_id", "valid_from", "added_after", "added_run_id")
    rows: list[bulk.Row] = [
        (account_id, number, i.track_id, at(i.valid_from), at(i.added_after), i.added_run_id) for number, i in numbered
    ]
    if not any(i.valid_to or i.last_seen_at or i.missing_since for _, i in numbered):
        return columns, rows
    ends = [
        (
            at(i.valid_to),
            at(i.removed_after),
            i.removed_run_id,
            at(i.last_seen_at),
            at(i.missing_since),
            i.removal_reason,
        )
        for _, i in numbered
    ]
    return (*columns, *END_COLUMNS), [row + end for row, end in zip(rows, ends, strict=True)]


def write_rejects(connection: Connection, run_id: int, found: Sequence[Reject]) -> None:
    """Write the items that are new in the run and could not be read."""
    rows = [(run_id, r.position, r.track_id, r.reason, _printable(r.body)) for r in found]
    bulk.insert(connection, rejects, ("run_id", "position", "track_id", "reason", "body"), rows)


def _printable(body: bytes) -> str:
    """Return the body as text that both engines accept; the exact bytes are in ``raw_blocks``."""
    return body.decode("utf-8", "replace").replace("\x00", "\ufffd")

"""Writing membership and rejects, in the caller's transaction. It does not think: `etl.transform` decided what to write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, func, select

from etl.db import bulk
from etl.db.tables import favourites, rejects
from etl.model.records import FavouriteChanges, FavouriteInterval, Reject

PART = 5_000


def write_changes(connection: Connection, account_id: int, change: FavouriteChanges) -> None:
    """Write the intervals that open, end or change; the run that they cite is there and, where it closes one, proven."""
    at = bulk.instants(connection)
    key = ("account_id", "track_id", "valid_from")

    def keyed(interval: FavouriteInterval, *values: object) -> bulk.Row:
        return (account_id, interval.track_id, at(interval.valid_from), *values)

    bulk.update(
        connection,
        favourites,
        key,
        ("valid_to", "removed_after", "removed_run_id", "last_seen_at"),
        [keyed(i, at(i.valid_to), at(i.removed_after), i.removed_run_id, None) for i in change.closed],
    )
    marks = [keyed(interval, at(interval.last_seen_at)) for interval in change.marked]
    bulk.update(connection, favourites, key, ("last_seen_at",), marks)
    insert_intervals(connection, account_id, change.opened)


def insert_intervals(connection: Connection, account_id: int, intervals: Sequence[FavouriteInterval]) -> None:
    """Insert intervals, numbered on from the account's last one, in order of tracks, as all indexes but one are."""
    if not intervals:
        return
    last = select(func.coalesce(func.max(favourites.c.favourite_id), 0)).where(favourites.c.account_id == account_id)
    first = connection.execute(last).scalar_one() + 1
    numbered = sorted(enumerate(intervals, start=first), key=lambda each: each[1].track_id)
    for start in range(0, len(numbered), PART):
        part = numbered[start : start + PART]
        bulk.insert(connection, favourites, *interval_rows(connection, account_id, part))


def interval_rows(
    connection: Connection, account_id: int, numbered: Iterable[tuple[int, FavouriteInterval]]
) -> tuple[Sequence[str], list[bulk.Row]]:
    """Return the columns of ``favourites`` and the rows of intervals, each with its ``favourite_id``."""
    at = bulk.instants(connection)
    columns = (
        "account_id", "favourite_id", "track_id", "valid_from", "valid_to", "added_after", "removed_after",
        "added_run_id", "removed_run_id", "last_seen_at",
    )  # fmt: skip
    rows = [
        (
            account_id,
            number,
            i.track_id,
            at(i.valid_from),
            at(i.valid_to),
            at(i.added_after),
            at(i.removed_after),
            i.added_run_id,
            i.removed_run_id,
            at(i.last_seen_at),
        )
        for number, i in numbered
    ]
    return columns, rows


def write_rejects(connection: Connection, run_id: int, found: Sequence[Reject]) -> None:
    """Write the items that the run saw for the first time and could not read."""
    rows = [(run_id, r.position, r.track_id, r.reason, _printable(r.body)) for r in found]
    bulk.insert(connection, rejects, ("run_id", "position", "track_id", "reason", "body"), rows)


def _printable(body: bytes) -> str:
    """Return the body as text that both engines hold; the exact bytes are in ``raw_items``."""
    return body.decode("utf-8", "replace").replace("\x00", "\ufffd")

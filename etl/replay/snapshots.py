"""Reads stored snapshots in order of time, one at a time.

A thousand snapshots of one list share nearly all of their items, so the track of an item is looked up once, and a list that
equals the one before is not unpacked again. Only the current list is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, select

from etl.db import bulk
from etl.db.tables import raw_items, runs, snapshots
from etl.load.baseline import is_observation
from etl.load.runs import snapshot_ref
from etl.model.encoding import unpack_ids
from etl.model.records import SnapshotRef


class SnapshotReader:
    """The lists behind snapshots: raw items in order, and the tracks that they are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tracks: dict[int, int | None] = {}
        self._last: tuple[int, list[int]] | None = None

    def items(self, snapshot_id: int) -> list[int]:
        """Return the ids of the raw items of a snapshot, in list order."""
        if self._last is None or self._last[0] != snapshot_id:
            query = select(snapshots.c["items"]).where(snapshots.c.snapshot_id == snapshot_id)
            self._last = (snapshot_id, unpack_ids(self._connection.execute(query).scalar_one()))
        return self._last[1]

    def track_of(self, raw_item_ids: Iterable[int]) -> dict[int, int | None]:
        """Return a mapping that has the track of each of these raw items, None where no id could be read."""
        missing = set(raw_item_ids).difference(self._tracks)
        if missing:
            rows = bulk.select_in(self._connection, "raw_item_id, track_id", raw_items, "raw_item_id", missing)
            self._tracks.update((row[0], row[1]) for row in rows)
        return self._tracks

    def present(self, snapshot_id: int) -> tuple[int, ...]:
        """Return the tracks of a snapshot, in list order."""
        items = self.items(snapshot_id)
        tracks = self.track_of(items)
        return tuple(track_id for track_id in map(tracks.__getitem__, items) if track_id is not None)


def snapshot_refs(
    connection: Connection, account_id: int, lists: SnapshotReader | None = None
) -> Iterator[SnapshotRef]:
    """Yield every observation of the account that counts, oldest first, with the tracks that it saw."""
    lists = lists or SnapshotReader(connection)
    order = (runs.c.observed_at, runs.c.run_id)
    query = select(runs).where(runs.c.account_id == account_id, is_observation).order_by(*order)
    last: tuple[int, tuple[int, ...]] | None = None
    for row in connection.execute(query).all():
        if last is None or last[0] != row.snapshot_id:
            last = (row.snapshot_id, lists.present(row.snapshot_id))
        yield snapshot_ref(row, last[1])

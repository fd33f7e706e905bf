"""Track events: which item was new to which account, and when.

If the bodies of items are not kept (``FAVSYNC_KEEP_RAW``, ``favsync prune --raw-older-than``), an item has the attributes of
the version that was valid when it was seen: the stored values stay, and nothing is invented.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from etl.db import bulk
from etl.db.tables import favourites, runs
from etl.load.baseline import is_observation
from etl.load.raw import bodies_of, raw_items_by_id
from etl.load.stored_tracks import StoredVersion
from etl.model.records import Item, Track
from etl.replay.snapshots import SnapshotReader
from etl.transform.normalise import InvalidItem, normalise

BATCH = 5_000
Sighting = tuple[datetime, int]


class TrackEvents(msgspec.Struct):
    """For each track its new items, as (time, raw item), in order of time; and when it was first seen."""

    by_track: dict[int, list[Sighting]] = msgspec.field(default_factory=dict)
    first_seen: dict[int, datetime] = msgspec.field(default_factory=dict)

    def batches(self) -> Iterator[dict[int, list[Sighting]]]:
        """Yield the tracks a few thousand at a time, grouped by when their items were stored."""
        ordered = sorted(self.by_track.items(), key=lambda each: each[1][0][1])
        for start in range(0, len(ordered), BATCH):
            yield dict(ordered[start : start + BATCH])


def track_events(
    connection: Connection, only: Collection[int] | None = None, accounts: Collection[int] | None = None
) -> TrackEvents:
    """Go through every observation, in order of time, and note each item that its account had not before.

    ``only``: the tracks that are wanted; None is all. ``accounts``: the only ones that can have seen them; None is all.
    """
    before: dict[int, tuple[int, frozenset[int]]] = {}
    lists = SnapshotReader(connection)
    found = TrackEvents()
    wanted = None if only is None else frozenset(only)
    for account_id, observed_at, snapshot_id in _observations(connection, accounts):
        had_snapshot, had = before.get(account_id, (0, frozenset()))
        if had_snapshot == snapshot_id:
            continue
        items = lists.items(snapshot_id)
        has = frozenset(items)
        new_items = [item for item in items if item not in had] if had != has else []
        tracks = lists.track_of(new_items)
        for raw_item_id in new_items:
            track_id = tracks[raw_item_id]
            if track_id is not None and (wanted is None or track_id in wanted):
                found.by_track.setdefault(track_id, []).append((observed_at, raw_item_id))
                found.first_seen.setdefault(track_id, observed_at)
        before[account_id] = (snapshot_id, has)
    return found


def accounts_with_tracks(connection: Connection, track_ids: Collection[int]) -> set[int]:
    """Return the accounts that ever had one of these tracks as a favourite. No other list can have held it."""
    rows = bulk.select_in(connection, "DISTINCT account_id", favourites, "track_id", track_ids)
    return {row[0] for row in rows}


def _observations(connection: Connection, accounts: Collection[int] | None) -> Iterator[tuple[int, datetime, int]]:
    """Yield account, instant and snapshot of each observation, in order of time."""
    query = select(runs.c.account_id, runs.c.observed_at, runs.c.snapshot_id, runs.c.run_id).where(is_observation)
    if accounts is None:
        found = list(connection.execute(query))
    else:
        ids = sorted(accounts)
        parts = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
        found = [row for part in parts for row in connection.execute(query.where(runs.c.account_id.in_(part)))]
    for row in sorted(found, key=lambda row: (row.observed_at, row.run_id)):
        yield row.account_id, row.observed_at, row.snapshot_id


class DecodedItems(msgspec.Struct):
    """Raw items decoded again: their tracks, items whose readability changed, and items without a body."""

    tracks: dict[int, Track] = msgspec.field(default_factory=dict)
    turned: dict[int, bool] = msgspec.field(default_factory=dict)
    bodiless: set[int] = msgspec.field(default_factory=set)


def decode_items(connection: Connection, ids: Collection[int], given: Mapping[int, Track]) -> DecodedItems:
    """Normalise stored items again. ``given``: tracks that the caller has at hand, by raw item."""
    bodies = bodies_of(connection, ids)
    found = DecodedItems()
    for stored in raw_items_by_id(connection, ids):
        body = bodies.get(stored.raw_item_id)
        if body is None and stored.raw_item_id in given:
            found.tracks[stored.raw_item_id] = given[stored.raw_item_id]
        elif body is None:
            if stored.is_readable:
                found.bodiless.add(stored.raw_item_id)
        else:
            track = _read(Item(body, stored.digest, stored.track_id))
            if track is not None:
                found.tracks[stored.raw_item_id] = track
            if (track is not None) != stored.is_readable:
                found.turned[stored.raw_item_id] = track is not None
    return found


def _read(item: Item) -> Track | None:
    try:
        return normalise(item)
    except InvalidItem:
        return None


def attributes_at_sightings(
    sightings: Sequence[Sighting], readings: DecodedItems, stored: Sequence[StoredVersion]
) -> list[tuple[datetime, Track]]:
    """Return the track's attributes at each sighting; the stored version of that time for an item without a body."""
    starts = [version.valid_from for version in stored]
    known: dict[int, Track] = {}
    shown = []
    for instant, raw_item_id in sightings:
        track = readings.tracks.get(raw_item_id) or known.get(raw_item_id)
        if track is None and raw_item_id in readings.bodiless:
            place = bisect_right(starts, instant) - 1
            in_force = stored[place] if place >= 0 else None
            if in_force is not None and (in_force.valid_to is None or instant < in_force.valid_to):
                track = known[raw_item_id] = in_force.track
        if track is not None:
            shown.append((instant, track))
    return shown

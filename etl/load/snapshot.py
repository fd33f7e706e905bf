"""Writes the items of one snapshot: raw items, tracks and the list, in the caller's transaction.

Syncs, backfills and imports use the same path. Each batch stores its raw items before its tracks; all batches belong to one
transaction. `etl.sync` writes the run and the favourites afterwards, and `tracks.mark_sighted` last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from etl.db import bulk
from etl.db.tables import raw_items
from etl.load import raw
from etl.load.tracks import upsert_tracks
from etl.model.records import Reject, Track
from etl.transform.delta import BATCH, Delta, normalise_batches


class LoadResult(msgspec.Struct):
    """What was written. ``changed``: tracks with new attributes. ``late``: tracks whose versions need a replay.

    ``sighted``, ``earlier``: tracks for `tracks.mark_sighted`. ``rejects``: new items that could not be read.
    ``unstored``: tracks by raw item, if their bodies are not kept.
    """

    snapshot_id: int = 0
    changed: int = 0
    late: list[int] = msgspec.field(default_factory=list)
    sighted: list[int] = msgspec.field(default_factory=list)
    earlier: list[int] = msgspec.field(default_factory=list)
    rejects: list[Reject] = msgspec.field(default_factory=list)
    unstored: dict[int, Track] = msgspec.field(default_factory=dict)


def load_delta(
    connection: Connection,
    delta: Delta,
    known_ids: Sequence[int],
    *,
    keep_bodies: bool,
    tracks_at: datetime | None,
) -> LoadResult:
    """Store the new items of a list, their tracks and the list itself.

    ``known_ids``: the ids of the items that are not in the delta, in list order. ``tracks_at``: when the list was observed; None
    leaves the tracks to a replay, which needs the normalised ones if no bodies are kept.
    """
    done = LoadResult()
    is_alone = len(delta.positions) > BATCH
    if is_alone:
        bulk.lock_track_tables(connection)
    # Ids follow the order of the list, while batches follow the order of track ids.
    ids = [0] * len(delta.items)  # 0: an item that is known
    new_ids = bulk.new_keys(connection, raw_items, len(delta.positions))
    for position, raw_item_id in zip(sorted(delta.positions), new_ids, strict=True):
        ids[position] = raw_item_id
    for batch in normalise_batches(delta):
        unreadable = {delta.items[reject.position].digest for reject in batch.rejects}
        numbered = {delta.items[position].digest: ids[position] for position in batch.positions}
        stored = raw.store_items(
            connection, batch.items, unreadable, numbered, keep_bodies=keep_bodies, is_alone=is_alone
        )
        for position in batch.positions:
            ids[position] = stored[delta.items[position].digest]
        done.rejects += batch.rejects
        if tracks_at is not None:
            bare_ids = [reject.track_id for reject in batch.rejects if reject.track_id is not None]
            changes = upsert_tracks(connection, batch.tracks, bare_ids, tracks_at, is_alone=is_alone)
            done.changed += len(changes.changed)
            done.late += [track.track_id for track in changes.late]
            done.sighted += changes.same
            done.earlier += changes.earlier
        elif not keep_bodies:
            by_track = {item.track_id: stored[item.digest] for item in batch.items}
            done.unstored.update((by_track[track.track_id], track) for track in batch.tracks)
    known = iter(known_ids)
    listed = [raw_item_id or next(known) for raw_item_id in ids]
    done.snapshot_id = raw.store_snapshot(connection, delta.digests, listed)
    return done

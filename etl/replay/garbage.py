"""Deletes what nothing refers to any more: lists, items, bodies, names. In the caller's transaction, while no run is in progress.

A list refers to its items only by number, so no item may be deleted while a run might store a list that holds it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, func, select

from etl.db import bulk
from etl.db.tables import (
    albums,
    artists,
    genres,
    market_set_members,
    market_sets,
    markets,
    raw_blocks,
    raw_items,
    runs,
    snapshots,
    superseded_versions,
    track_artists,
    track_genres,
    tracks,
)
from etl.model.encoding import pack_bodies, unpack_bodies
from etl.replay.snapshots import SnapshotReader


@dataclass(slots=True)
class Garbage:
    """Lists that no run cites, and items that no list holds; with the size in bytes of these lists."""

    snapshots: list[int] = field(default_factory=list)
    items: set[int] = field(default_factory=set)
    snapshot_bytes: int = 0


def garbage_without(connection: Connection, gone_runs: Collection[int] = ()) -> Garbage:
    """Return what would be orphaned if the runs ``gone_runs`` were not there."""
    gone = set(gone_runs)
    cited = connection.execute(select(runs.c.run_id, runs.c.snapshot_id).where(runs.c.snapshot_id.is_not(None)))
    needed = {row.snapshot_id for row in cited if row.run_id not in gone}
    sizes = connection.execute(select(snapshots.c.snapshot_id, func.length(snapshots.c["items"]).label("size"))).all()
    lists = SnapshotReader(connection)
    held: set[int] = set()
    for snapshot_id in sorted(needed):
        held.update(lists.items(snapshot_id))
    unneeded = [row for row in sizes if row.snapshot_id not in needed]
    everything = set(connection.execute(select(raw_items.c.raw_item_id)).scalars())
    return Garbage([row.snapshot_id for row in unneeded], everything - held, sum(row.size for row in unneeded))


def delete_garbage(connection: Connection, orphans: Garbage) -> None:
    """Delete lists, items and their bodies."""
    bulk.delete_in(connection, snapshots, "snapshot_id", orphans.snapshots)
    drop_bodies(connection, orphans.items)
    bulk.delete_in(connection, raw_items, "raw_item_id", sorted(orphans.items))


def drop_bodies(connection: Connection, items: Collection[int]) -> int:
    """Take the bodies of ``items`` out of the blocks that hold them, and return how many bytes smaller these became."""
    columns = "raw_item_id, raw_block_id"
    rows = bulk.select_in(connection, columns, raw_items, "raw_item_id", items)
    dropped = {row[0] for row in rows if row[1] is not None}
    blocks = {row[1] for row in rows if row[1] is not None}
    bulk.update(
        connection, raw_items, ("raw_item_id",), ("raw_block_id", "position"), [(i, None, None) for i in dropped]
    )
    saved = 0
    empty: list[int] = []
    for block_id in sorted(blocks):
        saved += _repack(connection, block_id, empty)
    bulk.delete_in(connection, raw_blocks, "raw_block_id", empty)
    return saved


def _repack(connection: Connection, block_id: int, empty: list[int]) -> int:
    """Write a block again with the bodies that are still referred to; note it where there are none."""
    query = select(*raw_items.c["raw_item_id", "position"]).where(raw_items.c.raw_block_id == block_id)
    kept = connection.execute(query.order_by(raw_items.c.position)).all()
    body = bytes(
        connection.execute(select(raw_blocks.c.body).where(raw_blocks.c.raw_block_id == block_id)).scalar_one()
    )
    if not kept:
        empty.append(block_id)
        return len(body)
    bodies = unpack_bodies(body)
    smaller = pack_bodies([bodies[row.position] for row in kept])
    bulk.update(connection, raw_blocks, ("raw_block_id",), ("body",), [(block_id, smaller)])
    places = [(row.raw_item_id, position) for position, row in enumerate(kept)]
    bulk.update(connection, raw_items, ("raw_item_id",), ("position",), places)
    return len(body) - len(smaller)


def delete_names(connection: Connection) -> None:
    """Delete albums, artists, genres, market sets and unknown markets that no track refers to, now or in its past."""
    versions = select(superseded_versions.c.album_id).where(superseded_versions.c.album_id.is_not(None))
    current = select(tracks.c.album_id).where(tracks.c.album_id.is_not(None))
    connection.execute(delete(albums).where(albums.c.album_id.not_in(current), albums.c.album_id.not_in(versions)))
    connection.execute(delete(artists).where(artists.c.artist_id.not_in(select(track_artists.c.artist_id))))
    connection.execute(delete(genres).where(genres.c.genre_id.not_in(select(track_genres.c.genre_id))))
    used = [
        select(table.c.market_set_id).where(table.c.market_set_id.is_not(None))
        for table in (tracks, superseded_versions)
    ]
    for table in (market_set_members, market_sets):
        connection.execute(delete(table).where(*(table.c.market_set_id.not_in(each) for each in used)))
    in_use = select(market_set_members.c.market_code)
    connection.execute(delete(markets).where(~markets.c.is_iso, markets.c.market_code.not_in(in_use)))


def block_bytes(connection: Connection, items: Collection[int]) -> int:
    """Return about how many bytes the bodies of ``items`` take: their share of the blocks that they lie in."""
    rows = bulk.select_in(connection, "raw_block_id", raw_items, "raw_item_id", items)
    wanted: dict[int, int] = {}
    for (block_id,) in rows:
        if block_id is not None:
            wanted[block_id] = wanted.get(block_id, 0) + 1
    counted = select(raw_items.c.raw_block_id, func.count()).where(raw_items.c.raw_block_id.is_not(None))
    totals = {row[0]: row[1] for row in connection.execute(counted.group_by(raw_items.c.raw_block_id))}
    sizes = connection.execute(select(raw_blocks.c.raw_block_id, func.length(raw_blocks.c.body)))
    return sum(int(row[1]) * wanted[row[0]] // totals[row[0]] for row in sizes if row[0] in wanted)

"""The raw layer: items as received, once each, and the lists that hold them.

Raw items never change. A snapshot refers only to stored items. Both are found by their content.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, select

from etl.db import bulk
from etl.db.tables import raw_blocks, raw_items, snapshots
from etl.model.encoding import (
    ITEMS_PER_BLOCK,
    pack_bodies,
    pack_ids,
    snapshot_digest,
    unpack_bodies,
    unpack_ids,
)
from etl.model.records import Digest, Item


class RawItem(msgspec.Struct, frozen=True, gc=False):
    """A stored item without its body."""

    raw_item_id: int
    digest: Digest
    track_id: int | None
    is_readable: bool


_RAW_COLUMNS = "raw_item_id, digest, track_id, is_readable"


def items_of(connection: Connection, snapshot_id: int) -> list[RawItem]:
    """Return the items of a snapshot, in list order."""
    ids = ids_of(connection, snapshot_id)
    by_id = {item.raw_item_id: item for item in raw_items_by_id(connection, ids)}
    return [by_id[raw_item_id] for raw_item_id in ids]


def ids_of(connection: Connection, snapshot_id: int) -> list[int]:
    """Return the ids of the items of a snapshot, in list order."""
    query = select(snapshots.c["items"]).where(snapshots.c.snapshot_id == snapshot_id)
    return unpack_ids(connection.execute(query).scalar_one())


def last_track(connection: Connection, snapshot_id: int, among: Collection[int]) -> frozenset[int]:
    """Return the last of the tracks ``among`` in the order of a snapshot; empty if it holds none of them."""
    ids, size = ids_of(connection, snapshot_id), 1
    while ids:  # the last item is one of them, usually
        ids, part, size = ids[:-size], ids[-size:], size * 8
        track_ids = {item.raw_item_id: item.track_id for item in raw_items_by_id(connection, part)}
        found = (track_id for raw_item_id in reversed(part) if (track_id := track_ids[raw_item_id]) in among)
        if (last := next(found, None)) is not None:
            return frozenset({last})
    return frozenset()


def raw_items_by_id(connection: Connection, ids: Collection[int]) -> list[RawItem]:
    """Return the stored items with these ids, in any order."""
    rows = bulk.select_in(connection, _RAW_COLUMNS, raw_items, "raw_item_id", ids)
    return [RawItem(row[0], bytes(row[1]), row[2], bool(row[3])) for row in rows]


def raw_items_by_digest(connection: Connection, digests: Collection[Digest]) -> list[RawItem]:
    """Return the stored items with these digests, in any order."""
    rows = bulk.select_in(connection, _RAW_COLUMNS, raw_items, "digest", digests)
    return [RawItem(row[0], bytes(row[1]), row[2], bool(row[3])) for row in rows]


def bodies_of(connection: Connection, ids: Collection[int]) -> dict[int, bytes]:
    """Return the stored bodies of raw items, by id."""
    rows = bulk.select_in(connection, "raw_item_id, raw_block_id, position", raw_items, "raw_item_id", ids)
    wanted: dict[int, list[tuple[int, int]]] = {}
    for raw_item_id, block_id, position in rows:
        if block_id is not None:
            wanted.setdefault(block_id, []).append((raw_item_id, position))
    found: dict[int, bytes] = {}
    for block_id, body in bulk.select_in(connection, "raw_block_id, body", raw_blocks, "raw_block_id", wanted):
        bodies = unpack_bodies(bytes(body))
        found.update((raw_item_id, bodies[position]) for raw_item_id, position in wanted[block_id])
    return found


def store_items(
    connection: Connection,
    items: Sequence[Item],
    unreadable: Collection[Digest],
    numbers: Mapping[Digest, int],
    *,
    keep_bodies: bool = True,
    is_alone: bool = False,
) -> dict[Digest, int]:
    """Store the items that are new, and return the ids of all by digest.

    ``unreadable``: digests of items that the normaliser rejected. ``numbers``: the ids for new items, in list order, so that
    `pack_ids` stays small. ``is_alone``: the caller called `bulk.lock_track_tables`, so every other writer waits.
    """
    if not items:
        return {}
    missing = {item.digest: item for item in items}
    ids = {item.digest: item.raw_item_id for item in raw_items_by_digest(connection, missing)}
    unstored = [item for digest, item in missing.items() if digest not in ids]
    ids.update(_store(connection, unstored, unreadable, numbers, keep_bodies=keep_bodies, is_alone=is_alone))
    return ids


def _store(
    connection: Connection,
    items: Sequence[Item],
    unreadable: Collection[Digest],
    numbers: Mapping[Digest, int],
    *,
    keep_bodies: bool,
    is_alone: bool,
) -> dict[Digest, int]:
    """Store new items and return their ids by digest; another writer may have stored some of them first."""
    if not items:
        return {}
    places = _store_bodies(connection, items) if keep_bodies else [(None, None)] * len(items)
    rows = [
        (numbers[item.digest], item.digest, item.track_id, item.digest not in unreadable, *place)
        for item, place in zip(items, places, strict=True)
    ]
    columns = (
        "raw_item_id",
        "digest",
        "track_id",
        "is_readable",
        "raw_block_id",
        "position",
    )
    written = bulk.insert(connection, raw_items, columns, rows, key=("digest",), is_alone=is_alone)
    if connection.dialect.name == "sqlite" or written == len(rows):
        return {item.digest: numbers[item.digest] for item in items}
    store_items = raw_items_by_digest(connection, [item.digest for item in items])
    return {item.digest: item.raw_item_id for item in store_items}


def _store_bodies(connection: Connection, items: Sequence[Item]) -> list[tuple[int | None, int | None]]:
    starts = range(0, len(items), ITEMS_PER_BLOCK)
    block_ids = bulk.new_keys(connection, raw_blocks, len(starts))
    rows = [
        (
            block_id,
            pack_bodies([item.body for item in items[start : start + ITEMS_PER_BLOCK]]),
        )
        for block_id, start in zip(block_ids, starts, strict=True)
    ]
    bulk.insert(connection, raw_blocks, ("raw_block_id", "body"), rows)
    return [(block_ids[n // ITEMS_PER_BLOCK], n % ITEMS_PER_BLOCK) for n in range(len(items))]


def store_snapshot(connection: Connection, digests: Sequence[Digest], ids: Sequence[int]) -> int:
    """Store the list of the items with these ``digests`` and ``ids``, and return its ``snapshot_id``."""
    digest = snapshot_digest(digests)
    bulk.insert(
        connection,
        snapshots,
        ("digest", "size", "items"),
        [(digest, len(ids), pack_ids(ids))],
        key=("digest",),
    )
    query = select(snapshots.c.snapshot_id).where(snapshots.c.digest == digest)
    snapshot_id: int = connection.execute(query).scalar_one()
    return snapshot_id


def restore_bodies(connection: Connection, items: Mapping[Digest, Item]) -> int:
    """Store the bodies of those of ``items`` (by digest) that have none, and return their number."""
    columns = "raw_item_id, digest, raw_block_id"
    rows = bulk.select_in(connection, columns, raw_items, "digest", items)
    bare = sorted((row[0], bytes(row[1])) for row in rows if row[2] is None)
    parts = [bare[start : start + ITEMS_PER_BLOCK] for start in range(0, len(bare), ITEMS_PER_BLOCK)]
    numbers = bulk.new_keys(connection, raw_blocks, len(parts))
    blocks = [
        (number, pack_bodies([items[digest].body for _, digest in part]))
        for number, part in zip(numbers, parts, strict=True)
    ]
    bulk.insert(connection, raw_blocks, ("raw_block_id", "body"), blocks)
    places = [
        (raw_item_id, number, position)
        for number, part in zip(numbers, parts, strict=True)
        for position, (raw_item_id, _) in enumerate(part)
    ]
    bulk.update(connection, raw_items, ("raw_item_id",), ("raw_block_id", "position"), places)
    return len(bare)

"""Bodies of items that were stored without, or whose bodies were dropped, kept again once they are at hand."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from etl.db import bulk
from etl.db.tables import raw_blocks, raw_items
from etl.model.encoding import ITEMS_PER_BLOCK, pack_bodies
from etl.model.records import Digest, Item


def restore_bodies(connection: Connection, items: Mapping[Digest, Item]) -> int:
    """Store the bodies of those of ``items`` (by digest) that are there without one, and return how many these were."""
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

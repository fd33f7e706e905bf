"""Stores the pages of an interrupted full read, so that the next one can resume. Sole owner of the table ``walk_pages``."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, select

from etl.db import bulk
from etl.db.tables import walk_pages
from etl.model.encoding import digest_of, pack_bodies, unpack_bodies
from etl.model.records import Item, Page

Head = tuple[int, int | None, list[int | None]]


def save_page(connection: Connection, account_id: int, page: Page, fetched_at: datetime) -> None:
    """Store a page, replacing one of the same offset. ``fetched_at``: when its request began."""
    head: Head = (page.limit, page.counts, [item.track_id for item in page.items])
    body = pack_bodies([msgspec.msgpack.encode(head), *(item.body for item in page.items)])
    row = (account_id, page.offset, body, bulk.instants(connection)(fetched_at))
    columns = ("account_id", "page_offset", "body", "fetched_at")
    bulk.insert(connection, walk_pages, columns, [row], key=columns[:2], update=columns[2:])


def saved_pages(connection: Connection, account_id: int, since: datetime) -> list[tuple[Page, datetime]]:
    """Return the pages of the account that were fetched after ``since``, by offset, each with its ``fetched_at``."""
    query = select(walk_pages).where(walk_pages.c.account_id == account_id, walk_pages.c.fetched_at > since)
    rows = connection.execute(query.order_by(walk_pages.c.page_offset))
    return [(_page(row.page_offset, bytes(row.body)), row.fetched_at) for row in rows]


def delete_pages(connection: Connection, account_id: int) -> None:
    """Delete the account's pages, once a read is complete."""
    connection.execute(delete(walk_pages).where(walk_pages.c.account_id == account_id))


def _page(offset: int, block: bytes) -> Page:
    head, *bodies = unpack_bodies(block)
    limit, counts, track_ids = msgspec.msgpack.decode(head, type=Head)
    items = (Item(body, digest_of(body), track_id) for body, track_id in zip(bodies, track_ids, strict=True))
    return Page(offset=offset, limit=limit, items=tuple(items), counts=counts)

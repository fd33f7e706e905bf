"""Pages kept of a full reading that broke off, for the next one to go on from.

Only pages of more than one item are kept: the end of a list is always asked for anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, select

from etl.db import bulk
from etl.db.tables import walk_pages
from etl.model.encoding import digest_of, pack_bodies, unpack_bodies
from etl.model.records import Item, Page

Head = tuple[int, int | None, list[int | None]]


@dataclass(frozen=True, slots=True)
class CheckpointPage:
    """A page and when its fetching began."""

    page: Page
    fetched_at: datetime


def save_page(connection: Connection, account_id: int, page: Page, fetched_at: datetime) -> None:
    """Keep a page, in the place of one of the same offset."""
    head: Head = (page.limit, page.counts, [item.track_id for item in page.items])
    body = pack_bodies([msgspec.msgpack.encode(head), *(item.body for item in page.items)])
    row = (account_id, page.offset, body, bulk.instants(connection)(fetched_at))
    columns = ("account_id", "page_offset", "body", "fetched_at")
    bulk.insert(connection, walk_pages, columns, [row], key=columns[:2], update=columns[2:])


def saved_pages(connection: Connection, account_id: int, since: datetime) -> list[CheckpointPage]:
    """Return the pages of the account that were fetched after ``since``, by offset."""
    query = select(walk_pages).where(walk_pages.c.account_id == account_id, walk_pages.c.fetched_at > since)
    return [
        CheckpointPage(_page(row.page_offset, bytes(row.body)), row.fetched_at)
        for row in connection.execute(query.order_by(walk_pages.c.page_offset))
    ]


def delete_pages(connection: Connection, account_id: int) -> None:
    """Delete the account's pages: the reading has come to its end, or they are too old."""
    connection.execute(delete(walk_pages).where(walk_pages.c.account_id == account_id))


def _page(offset: int, block: bytes) -> Page:
    head, *bodies = unpack_bodies(block)
    limit, counts, track_ids = msgspec.msgpack.decode(head, type=Head)
    items = (Item(body, digest_of(body), track_id) for body, track_id in zip(bodies, track_ids, strict=True))
    return Page(offset=offset, limit=limit, items=tuple(items), counts=counts)

"""A list of favourites that moves, and a service over it, for tests of the pure core."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from etl.boomplay.payloads import User
from etl.extract.completeness import PageChain
from etl.extract.confirmation import all_items, needs_another_read, why_unconfirmed
from etl.extract.fetch import Reading
from etl.extract.pagination import PageRequest
from etl.model.encoding import digest_of
from etl.model.records import Item, Page

START = datetime(2026, 1, 1, tzinfo=UTC)


def item(track_id: int, **fields: Any) -> Item:
    """Return a documented item, with ``fields`` in place of its own."""
    wire: dict[str, Any] = {
        "track_id": track_id,
        "track_title": f"Track {track_id}",
        "duration": "00:03:16",
        "album_id": track_id // 10 + 1,
        "album_title": f"Album {track_id // 10 + 1}",
        "genres": "Afrobeats,Pop",
        "available_markets": "NG,GH,KE,OT",
        "artists": [{"artist_id": track_id % 7 + 1, "artist_name": f"Artist {track_id % 7 + 1}"}],
    }
    body = json.dumps(wire | fields, ensure_ascii=False).encode()
    return Item(body, digest_of(body), track_id)


def raw(body: bytes, track_id: int | None = None) -> Item:
    """Return an item of exactly these bytes."""
    return Item(body, digest_of(body), track_id)


def page(track_ids: Iterable[int], offset: int = 0, limit: int = 50) -> Page:
    """Return a page of small items."""
    return Page(offset, limit, tuple(SMALL[track_id] for track_id in track_ids))


class _Small(dict[int, Item]):
    def __missing__(self, track_id: int) -> Item:
        self[track_id] = raw(b'{"track_id": %d}' % track_id, track_id)
        return self[track_id]


SMALL = _Small()
"""An item for each id that is nothing but its id: cheap, and the same each time."""


def page_chain(
    track_ids: Sequence[int],
    *,
    proven: bool = True,
    reason: str = "",
    extras: Sequence[int] = (),
    is_ordered: bool = True,
) -> PageChain:
    """Return a read that saw these tracks."""
    return PageChain(
        items=tuple(SMALL[track_id] for track_id in track_ids),
        extras=tuple(SMALL[track_id] for track_id in extras),
        proven=proven,
        reason=reason,
        started_at=START,
        ended_at=START + timedelta(seconds=1),
        is_ordered=is_ordered,
    )


def read(
    reading: Reading,
    answer: Callable[[PageRequest], Page],
    *,
    choose: Callable[[int], int] = lambda _count: 0,
) -> PageChain:
    """Carry a reading out; ``choose(n)`` says which of the n asks under way is answered next."""
    under_way: list[PageRequest] = []
    while reading.result is None:
        under_way += reading.next_requests()
        if reading.result is None:
            ask = under_way.pop(choose(len(under_way)))
            reading.feed(ask, answer(ask))
    return reading.result


def hiding(rows: Sequence[int], hidden: Collection[int], cap: int = 50) -> Callable[[int, int], Page]:
    """Return the fetch of a service that cuts a page out of ``rows`` and then drops the ``hidden`` ones."""

    def fetch(offset: int, limit: int) -> Page:
        cut = rows[offset : offset + min(limit, cap)]
        return page([track_id for track_id in cut if track_id not in hidden], offset, limit)

    return fetch


@dataclass(frozen=True)
class Confirmation:
    """What the reads of one run amount to."""

    items: tuple[Item, ...]
    is_whole: bool
    reason: str
    needs_read: bool


def confirm(reads: Sequence[PageChain], favourites: Collection[int], at_risk: Collection[int] = ()) -> Confirmation:
    """Return what `etl.extract.confirmation` decides about these reads."""
    reason = why_unconfirmed(reads, favourites, at_risk)
    needs_read = needs_another_read(reads, favourites, at_risk)
    return Confirmation(all_items(reads), needs_read or not reason, "" if needs_read else reason, needs_read)


@dataclass
class FakeSource:
    """A Boomplay that answers from ``items``; ``before`` is called with each request's number, and may change the list."""

    items: list[Item] = field(default_factory=list)
    user_id: str = "CzBVep/E6Q4zWH2ix+wRNg=="
    region: str = "NG"
    before: Callable[[int], None] | None = None
    requests: int = 0
    retries: int = 0

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return the page at ``offset``."""
        self.requests += 1
        if self.before is not None:
            self.before(self.requests)
        return Page(offset, limit, tuple(self.items[offset : offset + limit]))

    def fresh(self) -> AbstractContextManager[Self]:
        """Return itself: it has neither connections nor a cache."""
        return nullcontext(self)

    def catalogue(self, track_ids: Sequence[int], known_id: int | None) -> Mapping[int, Item | None] | None:
        """Return None: this service has no catalogue."""
        return None

    def user(self) -> User:
        """Return the one user."""
        self.requests += 1
        return User(self.user_id, "ada", self.region, "Free")

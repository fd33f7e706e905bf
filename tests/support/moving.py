"""A list of favourites that changes between any two requests, and keeps the truth about itself.

It is a `Source` for `etl.sync`, and answers a `Pagination` of the pure core as well. The truth: a removal is *false* where the
track was in the list the whole time from its last sighting to the end of the run; a move to the front counts as staying.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Self

from msgspec.structs import replace

from etl.boomplay.payloads import User
from etl.extract.completeness import PageChain
from etl.extract.fetch import Reading, ReadOptions, read_with
from etl.extract.pagination import PageRequest
from etl.extract.snapshot import LIMITS
from etl.model.records import Item, Page
from tests.support.lists import SMALL, START, Confirmation, confirm


class Change(NamedTuple):
    """What somebody does to the list: add a new track, add again one that is gone, remove or move one; ``at`` picks which."""

    kind: str
    at: int


Changes = Sequence[Change]


@dataclass
class MovingList:
    """``before_requests[n]``: what happens before the n-th request. ``cap``: items a page, whatever is asked for.

    ``hidden``: tracks that the service drops from a page after it has cut the page out of the list. ``limits``: sizes of the
    first page and of the others, of each reading in turn.
    """

    ids: list[int]
    before_requests: list[Changes] = field(default_factory=list)
    cap: int = 50
    concurrency: int = 1
    hidden: Collection[int] = ()
    limits: Sequence[tuple[int, int]] = LIMITS
    item: Callable[[int], Item] = SMALL.__getitem__
    requests: int = 0
    retries: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._time = 0
        self._fresh = 1_000_000
        self._gone: list[int] = []
        self._left_at: dict[int, int] = {}
        self._seen_at: dict[int, int] = {}

    def change(self, changes: Iterable[Change]) -> None:
        """Carry the changes out; those that are impossible are nothing."""
        for kind, at in changes:
            self._time += 1
            if kind == "add":
                self._fresh += 1
                self.ids.insert(0, self._fresh)
            elif kind == "again" and self._gone:
                self.ids.insert(0, self._gone.pop(at % len(self._gone)))
            elif kind == "remove" and self.ids:
                track_id = self.ids.pop(at % len(self.ids))
                self._gone.append(track_id)
                self._left_at[track_id] = self._time
            elif kind == "move" and self.ids:
                self.ids.insert(0, self.ids.pop(at % len(self.ids)))

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Let the list change, then answer from it."""
        with self._lock:
            if self.requests < len(self.before_requests):
                self.change(self.before_requests[self.requests])
            self.requests += 1
            self._time += 1
            rows = self.ids[offset : offset + min(limit, self.cap)]
            ids = [track_id for track_id in rows if track_id not in self.hidden]
            self._seen_at.update(dict.fromkeys(ids, self._time))
            return Page(offset, limit, tuple(map(self.item, ids)), counts=len(self.ids))

    def fresh(self) -> AbstractContextManager[Self]:
        """Return itself: it has neither connections nor a cache."""
        return nullcontext(self)

    def catalogue(self, track_ids: Sequence[int], known_id: int | None) -> Mapping[int, Item | None] | None:
        """Return None: this service has no catalogue."""
        return None

    def user(self) -> User:
        """Return the one user."""
        return User("CzBVep/E6Q4zWH2ix+wRNg==", "ada", "NG", "Free")

    def stayed(self, track_id: int) -> bool:
        """Say whether a track has been in the list all the time since its last sighting."""
        return track_id in self.ids and self._left_at.get(track_id, -1) < self._seen_at[track_id]

    def read(self, choose: Callable[[int], int], limits: tuple[int, int] = (50, 50), expected: int = 0) -> PageChain:
        """Read the list as `etl.extract.fetch` does, but with answers in the order that ``choose`` gives."""
        options = ReadOptions(concurrency=self.concurrency, limits=limits, expected=expected)
        return replace(read_with(partial(self._carry_out, choose), options), started_at=START, ended_at=START)

    def _carry_out(self, choose: Callable[[int], int], reading: Reading) -> PageChain:
        under_way: list[PageRequest] = []
        while reading.result is None:
            under_way += reading.next_requests()
            if reading.result is None:
                ask = under_way.pop(choose(len(under_way)))
                reading.feed(ask, self.favourite_tracks(ask.offset, ask.limit))
        return reading.result

    def run(self, favourites: set[int], choose: Callable[[int], int] = lambda _count: 0) -> Confirmation:
        """Read the list as one run does, until what is missing is confirmed or cannot be."""
        reads = [self.read(choose, self.limits[0], len(favourites))]
        while (seen := confirm(reads, favourites)).needs_read:
            reads.append(self.read(choose, self.limits[len(reads) % len(self.limits)], len(reads[-1].items)))
        return seen


def removed_by(seen: Confirmation, favourites: set[int]) -> set[int]:
    """Return which favourites a run that saw this may remove."""
    return favourites - {item.track_id for item in seen.items} if seen.is_whole else set()

"""A full read of the list that can be interrupted and resumed.

Each page is stored when it arrives. The next read passes stored pages to the same completeness check as fetched ones: two pages
prove that nothing was skipped between them whenever each was read (`etl.extract.pagination`). The last stored page is fetched
again, so its boundary shows whether the list moved. The end of the list, and the second read that confirms removals, are always
fetched.

Invariants: the run starts with its first stored page. Pages older than a day, or than the account's newest snapshot, are not
used. Once a page must be read again, no stored page is used any more.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from etl import clock
from etl.backfill import page_checkpoint
from etl.boomplay.payloads import User
from etl.db.bulk import lock_track_tables
from etl.db.engine import in_transaction, read_transaction, write_transaction
from etl.extract.snapshot import FavouritePages
from etl.load.accounts import Account
from etl.load.baseline import read_baseline
from etl.load.raw import restore_bodies
from etl.load.run_lock import run_lock
from etl.model.records import Baseline, Digest, Item, Page, Trigger
from etl.replay.tracks import replay_tracks
from etl.sync import FavouritesApi, RunOptions, RunResult, sync_account

USABLE_FOR = timedelta(hours=24)


class CheckpointingApi:
    """A `FavouritesApi` that stores each page, and answers from stored pages first; safe to share between threads.

    ``expected``: a guess at the length of the list, 0 for none. ``has_earlier``: the account has an earlier snapshot.
    """

    def __init__(
        self, source: FavouritesApi, engine: Engine, account_id: int, stored: list[Page], newest: Baseline | None
    ) -> None:
        self._source, self._engine, self._account_id = source, engine, account_id
        self._stored = {page.offset: page for page in stored}
        self._requested: set[int] = set()
        self._lock = threading.Lock()
        self.items: dict[Digest, Item] = {}
        self.has_earlier = newest is not None
        self.expected = newest.size if newest else 0
        self.reused_pages = 0
        self.reused_items = 0

    @property
    def requests(self) -> int:
        """The number of requests sent so far."""
        return self._source.requests

    @property
    def retries(self) -> int:
        """The number of requests that were repeated."""
        return self._source.retries

    @property
    def longest_call_seconds(self) -> float | None:
        """The limit of one call of the source, if it has one."""
        limit: float | None = getattr(self._source, "longest_call_seconds", None)
        return limit

    def fresh(self) -> AbstractContextManager[FavouritePages]:
        """Return the source's own pages: a read that confirms neither uses checkpoints nor replaces them."""
        return self._source.fresh()

    def user(self) -> User:
        """Return the owner of the list."""
        return self._source.user()

    def catalogue(self, track_ids: Sequence[int], known_id: int | None) -> Mapping[int, Item | None] | None:
        """Return the catalogue's items of these tracks."""
        return self._source.catalogue(track_ids, known_id)

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return a stored page, once; else fetch it and store it."""
        page = self._reuse(offset, limit)
        if page is None:
            fetched_at = clock.now()
            page = self._source.favourite_tracks(offset, limit)
            if len(page.items) > 1:  # the end of a list is always fetched again
                with self._lock, write_transaction(self._engine) as connection:
                    page_checkpoint.save_page(connection, self._account_id, page, fetched_at)
        with self._lock:
            self.items.update((item.digest, item) for item in page.items)
            if page.counts is not None and page.counts > len(page.items):
                self.expected = max(self.expected, page.counts)
        return page

    def _reuse(self, offset: int, limit: int) -> Page | None:
        with self._lock:
            if offset in self._requested:
                self._stored.clear()
            self._requested.add(offset)
            page = self._stored.pop(offset, None)
            if page is None or page.limit != limit:
                return None
            self.reused_pages += 1
            self.reused_items += len(page.items) - 1
            return page


@dataclass(frozen=True, slots=True)
class FullRefreshResult:
    """The outcome of a full read. ``reused_pages``: pages that an earlier, interrupted read had stored.

    ``rekept``: items whose bodies are stored again. ``refolded``: tracks whose attributes did not match their items.
    """

    report: RunResult
    reused_pages: int = 0
    rekept: int = 0
    refolded: int = 0


def checkpointing(engine: Engine, account: Account, source: FavouritesApi) -> tuple[CheckpointingApi, datetime | None]:
    """Return ``source`` with the pages that an interrupted read stored, and when the first of them was fetched."""
    with read_transaction(engine) as connection:
        newest = read_baseline(connection, account.account_id)
        usable_since = clock.now() - USABLE_FOR
        if newest is not None:
            usable_since = max(usable_since, newest.observed_at)
        stored = page_checkpoint.saved_pages(connection, account.account_id, usable_since)[:-1]
    since = min((fetched_at for _, fetched_at in stored), default=None)
    return CheckpointingApi(source, engine, account.account_id, [page for page, _ in stored], newest), since


def full_refresh(
    engine: Engine, account: Account, source: CheckpointingApi, since: datetime | None, options: RunOptions
) -> FullRefreshResult:
    """Read the whole list, resuming from the pages in ``source``, and check every item of it again.

    Raises: RunInProgress, DatabaseError, KeyboardInterrupt (pages read so far are stored).
    """
    report = sync_account(engine, account, source, replace(options, trigger=Trigger.BACKFILL, reading_since=since))
    if report.error is not None:
        return FullRefreshResult(report, source.reused_pages)
    with write_transaction(engine) as connection:
        page_checkpoint.delete_pages(connection, account.account_id)
    if not source.has_earlier:
        return FullRefreshResult(report, source.reused_pages)
    rekept, refolded = _refresh_stored(engine, account, source, options)
    return FullRefreshResult(report, source.reused_pages, rekept, refolded)


def _refresh_stored(engine: Engine, account: Account, source: CheckpointingApi, options: RunOptions) -> tuple[int, int]:
    """Store missing bodies, and replay the attributes of all tracks in the list; return how many changed of both."""
    track_ids = {item.track_id for item in source.items.values() if item.track_id is not None}
    with run_lock(engine, account.account_id, account.name):
        with read_transaction(engine) as connection:
            differs = bool(replay_tracks(connection, track_ids, write=False))
        rekept = 0
        if options.keep_bodies:
            rekept = in_transaction(engine, lambda connection: restore_bodies(connection, source.items))
        if not differs and not rekept:
            return 0, 0

        def replay(connection: Connection) -> int:
            lock_track_tables(connection)
            return len(replay_tracks(connection, track_ids).tracks)

        return rekept, in_transaction(engine, replay)

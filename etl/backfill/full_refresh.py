"""A full reading of the list that can be broken off and taken up again.

Each page is kept as it comes. The next reading gives the kept pages to the same judge as if they had just been fetched: two
pages prove that nothing was skipped between them whenever each was read (`etl.extract.pagination`). The last kept page is fetched
again, so its boundary shows at once whether the list moved meanwhile; the end of the list, and the second walk that confirms
removals, are always fetched.

Invariants: the run's bounds begin with the first kept page; pages older than a day, or than the account's newest
observation, are not used; once a page has to be read again, no kept one is used any more.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Engine

from etl import clock
from etl.backfill import page_checkpoint
from etl.backfill.page_checkpoint import CheckpointPage
from etl.boomplay.payloads import User
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
    """A source that keeps each page, and answers from kept pages first; safe to share between threads.

    ``expected``: a guess at the length of the list, 0 for none. ``has_earlier``: the account was observed before.
    """

    def __init__(
        self,
        source: FavouritesApi,
        engine: Engine,
        account_id: int,
        kept: list[CheckpointPage],
        newest: Baseline | None,
    ) -> None:
        self._source, self._engine, self._account_id = source, engine, account_id
        self._kept = {each.page.offset: each.page for each in kept}
        self._asked: set[int] = set()
        self._lock = threading.Lock()
        self.items: dict[Digest, Item] = {}
        self.has_earlier = newest is not None
        self.expected = newest.size if newest else 0
        self.reused_pages = 0
        self.reused_items = 0

    @property
    def requests(self) -> int:
        """Count the requests sent so far."""
        return self._source.requests

    @property
    def retries(self) -> int:
        """Count those of them that were sent again."""
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
        """Return whose list it is."""
        return self._source.user()

    def catalogue(self, track_ids: Sequence[int], known_id: int | None) -> Mapping[int, Item | None] | None:
        """Return the catalogue's items of these tracks."""
        return self._source.catalogue(track_ids, known_id)

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return a kept page, once; else fetch it, and keep it."""
        page = self._reused(offset, limit)
        if page is None:
            fetched_at = clock.now()
            page = self._source.favourite_tracks(offset, limit)
            if len(page.items) > 1:
                with self._lock, write_transaction(self._engine) as connection:
                    page_checkpoint.save_page(connection, self._account_id, page, fetched_at)
        with self._lock:
            self.items.update((item.digest, item) for item in page.items)
            if page.counts is not None and page.counts > len(page.items):
                self.expected = max(self.expected, page.counts)
        return page

    def _reused(self, offset: int, limit: int) -> Page | None:
        with self._lock:
            if offset in self._asked:
                self._kept.clear()
            self._asked.add(offset)
            page = self._kept.pop(offset, None)
            if page is None or page.limit != limit:
                return None
            self.reused_pages += 1
            self.reused_items += len(page.items) - 1
            return page


@dataclass(frozen=True, slots=True)
class FullRefreshResult:
    """How a full reading went. ``reused_pages``: pages that an earlier one had kept.

    ``rekept``: items whose bodies are stored again. ``refolded``: tracks whose facts were not what their items say.
    """

    report: RunResult
    reused_pages: int = 0
    rekept: int = 0
    refolded: int = 0


def checkpointing(engine: Engine, account: Account, source: FavouritesApi) -> tuple[CheckpointingApi, datetime | None]:
    """Return ``source`` with what an earlier reading has kept, and when the first page of that was fetched."""
    with read_transaction(engine) as connection:
        newest = read_baseline(connection, account.account_id)
        kept = page_checkpoint.saved_pages(connection, account.account_id, _usable_since(newest))
    usable = kept[:-1]
    since = min((each.fetched_at for each in usable), default=None)
    return CheckpointingApi(source, engine, account.account_id, usable, newest), since


def _usable_since(newest: Baseline | None) -> datetime:
    day_ago = clock.now() - USABLE_FOR
    return day_ago if newest is None else max(day_ago, newest.observed_at)


def full_refresh(
    engine: Engine, account: Account, source: CheckpointingApi, since: datetime | None, way: RunOptions
) -> FullRefreshResult:
    """Read the whole list, going on from what ``source`` has kept, and look at each of its items anew.

    Raises: RunInProgress, DatabaseError, KeyboardInterrupt (what was read by then is kept).
    """
    report = sync_account(engine, account, source, replace(way, trigger=Trigger.BACKFILL, reading_since=since))
    if report.error is not None:
        return FullRefreshResult(report, source.reused_pages)
    with write_transaction(engine) as connection:
        page_checkpoint.delete_pages(connection, account.account_id)
    if not source.has_earlier:
        return FullRefreshResult(report, source.reused_pages)
    rekept, refolded = _renewed(engine, account, source, way)
    return FullRefreshResult(report, source.reused_pages, rekept, refolded)


def _renewed(engine: Engine, account: Account, source: CheckpointingApi, way: RunOptions) -> tuple[int, int]:
    """Keep bodies that are missing, and fold the facts of all tracks in the list again, whatever was known of their items."""
    track_ids = {item.track_id for item in source.items.values() if item.track_id is not None}
    with run_lock(engine, account.account_id, account.name):
        with read_transaction(engine) as connection:
            differs = bool(replay_tracks(connection, track_ids, write=False))
        rekept = (
            in_transaction(engine, lambda connection: restore_bodies(connection, source.items))
            if way.keep_bodies
            else 0
        )
        if not differs and not rekept:
            return 0, 0
        return rekept, len(in_transaction(engine, lambda connection: replay_tracks(connection, track_ids)).tracks)

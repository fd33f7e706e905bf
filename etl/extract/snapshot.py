"""Reading an account's list until what it tells is confirmed, or cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol, Self

import msgspec
from msgspec.structs import replace as with_fields
from sqlalchemy import Engine

from etl import clock, logs
from etl.boomplay.payloads import User
from etl.config import Config
from etl.db.engine import read_transaction
from etl.extract.confirmation import Seen, confirm
from etl.extract.fetch import Fetch, Progress, read_list
from etl.load.baseline import Account, Baseline, open_tracks, read_baseline, seen_only_since
from etl.load.raw import last_track
from etl.model.encoding import snapshot_digest
from etl.model.records import Item, Outcome, Page, Trigger, Walk
from etl.model.threshold import RemovalThreshold

YOUNG = timedelta(days=1)
SMALLEST_STEP = timedelta(microseconds=1)
log = logs.get(__name__)


class FavouritesApi(Protocol):
    """What a run needs of Boomplay: pages of favourites, whose they are, and a count of what that took."""

    @property
    def requests(self) -> int:
        """Count the requests sent so far."""
        ...

    @property
    def retries(self) -> int:
        """Count those of them that were sent again."""
        ...

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return what stands at ``offset`` and after."""
        ...

    def user(self) -> User:
        """Return whose list it is."""
        ...


class RunOptions(msgspec.Struct, frozen=True):
    """How a run is carried out: the settings that it obeys, and whom it tells how far it is.

    ``reading_since``: when the first page that it uses was fetched, where an earlier run that broke off has kept pages.
    """

    brake: RemovalThreshold = msgspec.field(default_factory=RemovalThreshold)
    concurrency: int = 4
    keep_bodies: bool = True
    trigger: Trigger = Trigger.MANUAL
    progress: Progress | None = None
    reading_since: datetime | None = None

    @classmethod
    def configured(cls, config: Config, *, trigger: Trigger = Trigger.MANUAL, progress: Progress | None = None) -> Self:
        """Return the way that the settings ask for; every run of a user's own goes this way."""
        return cls(
            brake=config.removal_brake,
            concurrency=config.page_concurrency,
            keep_bodies=config.keep_raw,
            trigger=trigger,
            progress=progress,
        )


class Observed(msgspec.Struct, frozen=True):
    """What the walks of a run gave, before anything is decided."""

    seen: Seen
    walks: tuple[Walk, ...]
    started_at: datetime
    observed_at: datetime
    note: str = ""

    @property
    def has_unknown(self) -> bool:
        """Say whether an item without an id is among them: it could be any track, so nothing may be removed."""
        return any(item.track_id is None for item in self.seen.items)


def take_snapshot(
    engine: Engine | None, account: Account, source: FavouritesApi, way: RunOptions, started_at: datetime
) -> Observed:
    """Walk the list until what it tells is confirmed, or cannot be."""
    newest = _newest(engine, account)
    since = clock.monotonic()
    walks: list[Walk] = []
    favourites: frozenset[int] | None = None
    fetch: Fetch = source.favourite_tracks
    while True:
        size = len(walks[-1].items) if walks else (newest.size if newest else 0)
        walk = read_list(fetch, concurrency=way.concurrency, expected=size, progress=way.progress)
        walks.append(walk)
        seen = _seen_again(walk, newest) if len(walks) == 1 else None
        if seen is None:
            favourites = _favourites(engine, account) if favourites is None else favourites
            seen = confirm(walks, favourites, _at_risk(engine, account, newest, walks, favourites, started_at))
        if not seen.needs_walk:
            break
        fetch = _sharing(source.favourite_tracks, walk.seen)
        say = log.info if len(walks) == 1 else log.debug
        say("walking again to confirm removals", walks=len(walks))
    begun_at, ended_at = min(started_at, way.reading_since or started_at), walks[-1].ended_at
    note = ""
    if begun_at > ended_at:
        note = "the clock was set back while the list was read; the run is dated by its end and by how long it took"
        begun_at = ended_at - timedelta(seconds=clock.monotonic() - since)
    if newest is not None:
        begun_at = max(begun_at, newest.observed_at)  # runs come one after the other, whatever the machines' clocks say
    if newest is not None and ended_at <= newest.observed_at:
        behind = (newest.observed_at - ended_at).total_seconds()
        note = f"the clock is {behind:.0f} s behind the last observation; this run is dated just after that one"
        ended_at = newest.observed_at + SMALLEST_STEP
    return Observed(seen=seen, walks=tuple(walks), started_at=begun_at, observed_at=ended_at, note=note)


def _sharing(fetch: Fetch, there: Sequence[Item]) -> Fetch:
    """Return ``fetch``, giving the items that are ``there`` already: each walk more would hold the whole list once more."""
    known = {item.digest: item for item in there}

    def shared(offset: int, limit: int) -> Page:
        page = fetch(offset, limit)
        return with_fields(page, items=tuple(known.get(item.digest, item) for item in page.items))

    return shared


def _newest(engine: Engine | None, account: Account) -> Baseline | None:
    if engine is None:
        return None
    with read_transaction(engine) as connection:
        return read_baseline(connection, account.account_id)


def _seen_again(walk: Walk, newest: Baseline | None) -> Seen | None:
    """Return what one walk amounts to that saw, proven, what is stored: it lacks no favourite, so none need be looked up."""
    is_same = newest is not None and walk.proven and _shows(walk.seen, newest)
    return Seen(walk.seen, is_whole=True, reason="", needs_walk=False) if is_same else None


def _favourites(engine: Engine | None, account: Account) -> frozenset[int]:
    """Return the open favourites; asked for once a run, which alone writes them while it holds the account's lease."""
    if engine is None:
        return frozenset()
    with read_transaction(engine) as connection:
        return open_tracks(connection, account.account_id)


def _at_risk(
    engine: Engine | None,
    account: Account,
    newest: Baseline | None,
    walks: Sequence[Walk],
    favourites: frozenset[int],
    started_at: datetime,
) -> frozenset[int]:
    """Return those of the favourites that no walk saw which a wrong list lacks first: the last day's, and the list's last."""
    missing = favourites.difference(item.track_id for walk in walks for item in walk.seen)
    if engine is None or not missing:
        return frozenset()
    with read_transaction(engine) as connection:
        young = seen_only_since(connection, account.account_id, missing, started_at - YOUNG)
        last = last_track(connection, newest.snapshot_id, favourites) if newest is not None else frozenset()
    return young | last


def is_unchanged(observed: Observed, newest: Baseline | None) -> bool:
    """Say whether the run saw, proven, the very list that the newest observation saw and that was applied whole."""
    return newest is not None and observed.seen.is_whole and _shows(observed.seen.items, newest)


def _shows(items: Sequence[Item], newest: Baseline) -> bool:
    """Say whether ``items`` is the very list that the newest observation saw, and that was applied whole."""
    if newest.outcome not in (Outcome.SUCCEEDED, Outcome.UNCHANGED):
        return False
    if newest.favourites != sum(item.track_id is not None for item in items):
        return False  # more is open than it saw: another observation of the same instant, or an item without an id
    return snapshot_digest(item.digest for item in items) == newest.digest

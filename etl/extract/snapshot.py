"""Reads the list until the snapshot is confirmed, or cannot be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol, Self

import msgspec
from msgspec.structs import replace

from etl import clock, logs
from etl.boomplay.payloads import User
from etl.config import Config
from etl.errors import ApiError, CredentialsError, Stopped, WrongUser
from etl.extract.completeness import PageChain
from etl.extract.confirmation import all_items, needs_another_read, why_unconfirmed
from etl.extract.fetch import REFUSALS, FetchPage, Progress, ReadOptions, read_list
from etl.model.records import (
    Baseline,
    Item,
    Page,
    RemovalGrace,
    RemovalReason,
    RemovalThreshold,
    Snapshot,
    Trigger,
)
from etl.transform.delta import is_same_list
from etl.transform.normalise import InvalidItem, normalise

YOUNG = timedelta(days=1)
# 20 ids a request: ten requests.
MOST_ASKED = 200
# First page and other pages of each read: a page cache or a replica by offset cannot answer two reads alike.
LIMITS = ((50, 50), (31, 47), (43, 41), (23, 49), (37, 43), (47, 37), (29, 45))
SMALLEST_STEP = timedelta(microseconds=1)
# A ``Date`` header has whole seconds, and answers take a while; a clock that NTP sets is never this far off.
CLOCK_TOLERANCE = timedelta(minutes=5)
log = logs.get(__name__)


class FavouritePages(Protocol):
    """Pages of favourites."""

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return the items at ``offset`` and after, at most ``limit``."""
        ...


class FavouritesApi(FavouritePages, Protocol):
    """What a run needs of Boomplay: pages of favourites, their owner, and request counts."""

    @property
    def requests(self) -> int:
        """The number of requests sent so far."""
        ...

    @property
    def retries(self) -> int:
        """The number of those that were sent again."""
        ...

    def fresh(self) -> AbstractContextManager[FavouritePages]:
        """Return the same pages by another way: new connections, and no answer stored by a cache."""
        ...

    def user(self) -> User:
        """Return the owner of the list."""
        ...

    @property
    def catalogue(self) -> Callable[[Sequence[int], int | None], Mapping[int, Item | None] | None]:
        """Looks up tracks in the catalogue: its item for each id, None for those that it does not have; None: it cannot be asked.

        The second argument is a track that exists: a service that refuses it too refuses every request.
        """
        ...


class FavouriteLookup(Protocol):
    """Stored favourites that a read is compared with. Each method queries the database."""

    def open_tracks(self) -> Collection[int]:
        """Return the tracks that are favourites."""
        ...

    def settled(self, started_at: datetime, grace: RemovalGrace) -> Collection[int]:
        """Return the favourites that are missing already and that a snapshot started at ``started_at`` cannot close."""
        ...

    def at_risk(self, missing: Collection[int], young_since: datetime | None) -> Collection[int]:
        """Return those of ``missing`` that a wrong list loses first: last in the list, or added after ``young_since``."""
        ...


class RunOptions(msgspec.Struct, frozen=True):
    """The settings that a run obeys, and the receiver of its progress.

    ``idle_runs``: ``daily``, if the unchanged runs of a day share a row.
    ``reading_since``: when the first page was fetched, if an earlier run left checkpointed pages. ``settle`` is called with
    the connection and the result, in the transaction that ends the run.
    """

    threshold: RemovalThreshold = msgspec.field(default_factory=RemovalThreshold)
    grace: RemovalGrace = msgspec.field(default_factory=RemovalGrace)
    concurrency: int = 4
    keep_bodies: bool = True
    trigger: Trigger = Trigger.MANUAL
    progress: Progress | None = None
    idle_runs: str = "keep"
    reading_since: datetime | None = None
    settle: Callable[[Any, Any], None] | None = None

    @classmethod
    def configured(cls, config: Config, *, trigger: Trigger = Trigger.MANUAL, progress: Progress | None = None) -> Self:
        """Return the options that the settings define."""
        return cls(
            threshold=config.removal_brake,
            grace=config.grace,
            concurrency=config.page_concurrency,
            keep_bodies=config.keep_raw,
            idle_runs=config.idle_runs,
            trigger=trigger,
            progress=progress,
        )


def take_snapshot(
    api: FavouritesApi,
    baseline: Baseline | None,
    lookup: FavouriteLookup,
    options: RunOptions,
    started_at: datetime,
) -> Snapshot:
    """Read the list until the snapshot is confirmed, or cannot be.

    Raises: what ``api`` raises for a page that a read cannot do without.
    """
    monotonic_start = clock.monotonic()
    way = ReadOptions(
        concurrency=options.concurrency,
        expected=baseline.size if baseline else 0,
        answer_within_seconds=getattr(api, "longest_call_seconds", None),
        progress=options.progress,
        is_stopped=getattr(api, "is_stopped", None),
    )
    reads = [read_list(api.favourite_tracks, way)]
    shift = clock_shift(api)
    started_at += shift
    favourites: frozenset[int] = frozenset()
    at_risk: Collection[int] = ()
    # A read that equals the stored list has every favourite, so they need not be looked up.
    is_plain = reads[0].proven and not reads[0].positions
    if baseline is None or not is_plain or not is_same_list(reads[0].seen, baseline):
        # As the snapshot will be dated: after a baseline from the future it must not close anything unconfirmed.
        dated_at = max(started_at, baseline.observed_at) if baseline else started_at
        if favourites := _unseen(lookup.open_tracks(), reads[0]):
            favourites = favourites.difference(lookup.settled(dated_at, options.grace))
        # While a grace runs, later snapshots show what a lagging replica did not have.
        young_since = None if options.grace.removal else started_at - YOUNG
        at_risk = lookup.at_risk(favourites, young_since) if favourites else ()
        while needs_another_read(reads, favourites, at_risk):
            (log.info if len(reads) == 1 else log.debug)("reading again to confirm", reads=len(reads))
            limits = LIMITS[len(reads) % len(LIMITS)]
            again = replace(way, expected=len(reads[-1].items), limits=limits, is_confirming=True)
            reads.append(_read_again(api, reads[-1], again))
            favourites = _unseen(favourites, reads[-1])
            at_risk = lookup.at_risk(favourites, young_since) if favourites else ()
    reason = why_unconfirmed(reads, favourites, at_risk)
    begin = min(started_at, options.reading_since or started_at)
    end = reads[-1].ended_at + shift if reads[-1].ended_at else begin
    begin, end, note = _ordered_times(baseline, begin, end, clock.monotonic() - monotonic_start)
    if shift:
        wrong = f"{abs(shift.total_seconds()):,.0f} s {'behind' if shift > timedelta(0) else 'ahead of'}"
        note = "; ".join(filter(None, (f"this machine's clock is {wrong} the service's, which dates this run", note)))
    return Snapshot(
        items=all_items(reads),
        is_whole=not reason,
        reason=reason,
        started_at=begin,
        observed_at=end,
        pages=sum(read.pages for read in reads),
        note=note,
        total=reads[-1].total,
        page_size=max(read.page_size for read in reads),
        clock_shift=shift,
    )


def clock_shift(api: object) -> timedelta:
    """Return what to add to this machine's clock if the ``Date`` of the service's answers shows that it is wrong, else 0."""
    offset = timedelta(seconds=getattr(api, "clock_offset", None) or 0)
    return offset if abs(offset) > CLOCK_TOLERANCE else timedelta(0)


def require_owner(api: FavouritesApi, boomplay_user_id: str | None, name: str) -> User | None:
    """Return the owner of the list, or None if the service does not say.

    Raises: WrongUser, if it is not ``boomplay_user_id``, the user of account ``name``; CredentialsError.
    """
    try:
        user = api.user()
    except (CredentialsError, Stopped):
        raise
    except ApiError as error:
        log.warning("owner of the list not confirmed", error=str(error))
        return None
    if boomplay_user_id not in (None, user.user_id):
        raise WrongUser(
            f"the token belongs to another Boomplay user than account {name}",
            remedy="set the token of the right user, or add another account for this one",
        )
    return user


def ask_catalogue(
    api: FavouritesApi, track_ids: Collection[int], known_id: int | None, region: str | None
) -> dict[int, RemovalReason]:
    """Return what the catalogue says about missing tracks; empty if it cannot be asked. ``known_id``: a track that exists.

    A track that the catalogue has, but not for the account's ``region``, counts as withdrawn.
    """
    answers = api.catalogue(sorted(track_ids)[:MOST_ASKED], known_id) if track_ids else None
    return {track_id: _reason(item, region) for track_id, item in (answers or {}).items()}


def _reason(item: Item | None, region: str | None) -> RemovalReason:
    if item is None:
        return RemovalReason.WITHDRAWN
    try:
        markets = normalise(item).markets
    except InvalidItem:
        return RemovalReason.UNKNOWN
    return RemovalReason.WITHDRAWN if region and markets and region not in markets else RemovalReason.UNFAVOURITED


def _read_again(api: FavouritesApi, earlier: PageChain, options: ReadOptions) -> PageChain:
    """Read the list by another way. A refusal is a read that proves nothing, beside the earlier ones."""
    with api.fresh() as pages:
        try:
            return read_list(_sharing_items(pages.favourite_tracks, earlier.seen), options)
        except REFUSALS as error:
            return PageChain(items=(), extras=(), proven=False, reason=str(error), ended_at=clock.now())


def _sharing_items(fetch: FetchPage, known_items: Sequence[Item]) -> FetchPage:
    """Return ``fetch`` with items replaced by equal known ones; otherwise each read holds the whole list in memory again."""
    known = {item.digest: item for item in known_items}

    def shared(offset: int, limit: int) -> Page:
        page = fetch(offset, limit)
        return replace(page, items=tuple(known.get(item.digest, item) for item in page.items))

    return shared


def _unseen(favourites: Collection[int], read: PageChain) -> frozenset[int]:
    """Return the favourites that ``read`` did not see."""
    return frozenset(favourites).difference([item.track_id for item in read.seen])


def _ordered_times(
    baseline: Baseline | None, begin: datetime, end: datetime, elapsed_seconds: float
) -> tuple[datetime, datetime, str]:
    """Return begin and end of the snapshot, after those of ``baseline`` whatever the machine's clock does, and a note."""
    note = ""
    if begin > end:
        note = "the clock was set back during the read; the run is dated by its end and its duration"
        begin = end - timedelta(seconds=elapsed_seconds)
    if baseline is not None:
        begin = max(begin, baseline.observed_at)  # snapshots never overlap
        if end <= baseline.observed_at:
            behind = (baseline.observed_at - end).total_seconds()
            note = f"the clock is {behind:.0f} s behind the newest snapshot; this run is dated just after it"
            if behind > CLOCK_TOLERANCE.total_seconds():
                note += "; `favsync runs retract --future` takes back what a wrong clock dated"
            end = baseline.observed_at + SMALLEST_STEP
    return begin, end, note

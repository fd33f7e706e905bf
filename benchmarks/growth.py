"""A database of years beside a young one: the cost of a day's changes, compared in turn, and the size beside a plain SCD2 table.

One account changes 1 % a day, half added and half removed; the removal grace is 0, so that both record the same changes. The service
is in memory, its answers are bytes, and the clock is moved: what is measured is favsync and its database alone.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import time_machine
from sqlalchemy import TIMESTAMP, BigInteger, Column, Connection, MetaData, Table, Text, insert, select

from benchmarks.measure import Database, server_cpu_seconds
from etl import clock
from etl.boomplay import payloads
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.db.tables import favourites
from etl.extract.pagination import PAGE_LIMIT
from etl.load import runs
from etl.load.accounts import ensure_account, find_account, remember_user
from etl.load.baseline import read_baseline, read_open_favourites, shared_labels
from etl.load.favourites import write_changes
from etl.load.raw import RawItem, items_of, raw_items_by_digest
from etl.load.snapshot import load_delta
from etl.load.tracks import mark_sighted
from etl.model.encoding import digest_of
from etl.model.records import Item, OpenFavourites, Outcome, Page, RemovalGrace, SnapshotRef
from etl.model.result import RunResult
from etl.sandbox.catalogue import Catalogue
from etl.sync import RunOptions, sync_account
from etl.transform.delta import find_delta
from etl.transform.favourite_history import decide_changes, next_state
from etl.transform.removals import labelled_tracks
from tests.support.lists import FakeSource

BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
DAILY_SHARE = 0.01
PAIRS = 31
OPTIONS = RunOptions(concurrency=1, grace=RemovalGrace(timedelta(0), timedelta(0)))
PLAIN_COLUMNS = (
    "track_title", "track_number", "isrc", "duration", "album_id", "album_title", "genres", "available_markets", "web_url",
    "mobile_url", "artwork", "artists",
)  # fmt: skip
INSTANT = Text().with_variant(TIMESTAMP(timezone=True), "postgresql")
PLAIN = Table(
    "plain",
    MetaData(),
    Column("track_id", BigInteger, primary_key=True),
    Column("valid_from", INSTANT, primary_key=True),
    Column("valid_to", INSTANT),
    *(Column(name, BigInteger if name in ("track_number", "album_id") else Text) for name in PLAIN_COLUMNS),
)


class ChangingList(FakeSource):
    """A list in memory that changes 1 % a day. The same days give the same lists."""

    def __init__(self, known: Catalogue, size: int) -> None:
        self._known, self._chance, self._fresh = known, random.Random(1), iter(known.track_ids)
        super().__init__([self._next_item() for _ in range(size)])

    def live(self) -> None:
        """Make the changes of one day."""
        share = max(1, round(len(self.items) * DAILY_SHARE / 2))
        # The last favourite stays: if it left a list of a round length, favsync would hold its removal for a person.
        gone = set(self._chance.sample(range(len(self.items) - 1), share))
        added = [self._next_item() for _ in range(share)]
        self.items = added + [each for place, each in enumerate(self.items) if place not in gone]

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return the page at ``offset`` as favsync decodes it: new objects each time, not those of days long ago."""
        bodies = b",".join(item.body for item in super().favourite_tracks(offset, limit).items)
        return payloads.page(b'{"code":0,"data":[%b],"counts":%d}' % (bodies, len(self.items)), offset, limit)

    def _next_item(self) -> Item:
        track_id = next(self._fresh)
        body = self._known.item(track_id)
        return Item(body, digest_of(body), track_id)


class Past:
    """One database of one account, and the days that it has seen."""

    def __init__(self, database: Database, size: int, days: int) -> None:
        self.database = database
        upgrade(database.url)
        self.engine = open_engine(database.url)
        daily = max(1, round(size * DAILY_SHARE / 2))
        self.catalogue = Catalogue(size + daily * (days + PAIRS + 2), 1)
        self._list = ChangingList(self.catalogue, size)
        self._day = 0
        with write_transaction(self.engine) as connection:
            ensure_account(connection, "ada", BEGIN)
        self.next_day()

    def _begin_day(self) -> datetime:
        if self._day:
            self._list.live()
        self._day += 1
        self._list.requests = 0
        return BEGIN + timedelta(days=self._day)

    def next_day(self) -> float:
        """Sync the next day's list; return the processor seconds, those of the server included."""
        with time_machine.travel(self._begin_day(), tick=False):
            with read_transaction(self.engine) as connection:
                account = find_account(connection, "ada")
            begun = time.process_time() + server_cpu_seconds(self.engine)
            result = sync_account(self.engine, account, self._list, OPTIONS)
            taken = time.process_time() + server_cpu_seconds(self.engine) - begun
        assert result.outcome == "succeeded", result
        assert self._day == 1 or result.removed, "no removal was recorded"
        return taken

    def load_days(self, days: int, deadline: float = math.inf) -> None:
        """Load further days as `next_day` does, one transaction a day, but without reading each list and the state again.

        The decisions, the statements that write and their order are those of a sync; the state between two days stays in
        memory, as it does in a replay. ``deadline``: by the monotonic clock.

        Raises: TimeoutError, if it passes.
        """
        with read_transaction(self.engine) as connection:
            account = find_account(connection, "ada")
            state, items = stored_state(connection, account.account_id)
        for _ in range(days):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._day:,} days were loaded")
            with time_machine.travel(self._begin_day(), tick=False), write_transaction(self.engine) as connection:
                state = load_day(connection, account.account_id, self._list.items, (state, items))

    def size(self) -> float:
        """Return the megabytes of the database, after SQLite's write-ahead log is in it and PostgreSQL has cleaned up."""
        self.database.tidy()
        return self.database.megabytes()


State = tuple[OpenFavourites, dict[bytes, RawItem]]
"""The open favourites, and the newest list's items by digest. A day changes the latter in place."""


def stored_state(connection: Connection, account_id: int) -> State:
    """Return the state after the account's newest snapshot."""
    baseline = read_baseline(connection, account_id)
    assert baseline is not None
    items = {item.digest: item for item in items_of(connection, baseline.snapshot_id)}
    # Asked about an empty list, the state has the interval of every open favourite.
    state = read_open_favourites(connection, account_id, ())
    return state, items


def load_day(connection: Connection, account_id: int, tracks: Sequence[Item], before: State) -> OpenFavourites:
    """Write what a sync of this list writes, and return the open favourites afterwards."""
    state, items = before
    now = clock.now()
    run_id = runs.begin(connection, account_id, OPTIONS.trigger, now)
    delta = find_delta(tracks, {digest: item.is_readable for digest, item in items.items()})
    known = [items[item.digest].raw_item_id for item in delta.known_items()]
    loaded = load_delta(connection, delta, known, keep_bodies=True, tracks_at=now)
    missing = state.open - {item.track_id for item in tracks}
    present = tuple(item.track_id for item in tracks if item.track_id is not None)
    ref = SnapshotRef(
        run_id=run_id, started_at=now, observed_at=now, present=present, proves_absence=True, threshold=OPTIONS.threshold,
        grace=OPTIONS.grace, total=len(tracks), page_size=min(PAGE_LIMIT, len(tracks)), snapshot_id=loaded.snapshot_id,
        labelled=labelled_tracks(missing, shared_labels(connection, missing, state.open)),
    )  # fmt: skip
    changes = decide_changes(state, ref, OPTIONS.threshold)
    result = RunResult(
        "ada", OPTIONS.trigger, now, run_id, outcome=Outcome.SUCCEEDED, proven=True, favourites=changes.favourites,
        added=len(changes.opened), removed=len(changes.closed), changed=loaded.changed, observed_at=now, finished_at=now,
        reason="; ".join(changes.reasons) or None,
    )  # fmt: skip
    runs.finish(connection, result, ref)
    write_changes(connection, account_id, changes, state.memory)
    remember_user(connection, account_id, {}, now)
    fresh = [tracks[position] for position in delta.positions]
    for digest in items.keys() - {item.digest for item in tracks}:
        del items[digest]
    items |= {item.digest: item for item in raw_items_by_digest(connection, [each.digest for each in fresh])}
    mark_sighted(connection, loaded.sighted, loaded.earlier, now)
    return next_state(state, ref, changes)


class Growth(NamedTuple):
    """What was found on one engine: seconds of a day in the young and in the old database, and megabytes.

    ``slower``: the old database's time in those of the young one, the median of the pairs.
    """

    young: float
    old: float
    slower: float
    young_mb: float
    old_mb: float
    plain_mb: float
    plain_rows: int
    pairs: int = PAIRS

    @property
    def larger(self) -> float:
        """The old database's size, in those of the plain table."""
        return self.old_mb / self.plain_mb


def measure_growth(make: Callable[[str], Database], size: int, days: int, deadline: float = math.inf) -> Growth:
    """Make an old and a young database, and let them sync further days in turn. ``make``: a new database of this name."""
    old = Past(make("old"), size, days)
    old.load_days(days - 1, deadline)
    old_mb = old.size()
    young = Past(make("young"), size, PAIRS + 1)
    young_mb = young.size()
    taken: dict[str, list[float]] = {"young": [], "old": []}
    for pair in range(PAIRS + 1):
        for name, past in (("young", young), ("old", old)) if pair % 2 else (("old", old), ("young", young)):
            taken[name].append(past.next_day())
    rows = list(plain_rows(old, days))
    plain_mb = plain_size(make("plain"), rows)
    for past in (old, young):
        past.engine.dispose()
    # The first pair warms both.
    pairs = list(zip(taken["young"], taken["old"], strict=True))[1:]
    slower = statistics.median(old_seconds / young_seconds for young_seconds, old_seconds in pairs)
    halves = map(statistics.median, zip(*pairs, strict=True))
    return Growth(*halves, slower, young_mb, old_mb, plain_mb, len(rows))


def plain_rows(past: Past, days: int) -> Iterator[dict[str, Any]]:
    """Yield what a plain SCD2 table holds: one row an interval of the first ``days``, each field as received."""
    last = BEGIN + timedelta(days=days, hours=1)
    with read_transaction(past.engine) as connection:
        intervals = connection.execute(select(*favourites.c["track_id", "valid_from", "valid_to"])).all()
    for track_id, begin, end in intervals:
        if begin <= last:
            fields = {name: past.catalogue.fields(track_id).get(name) for name in PLAIN_COLUMNS}
            cells = {name: json.dumps(each) if isinstance(each, dict | list) else each for name, each in fields.items()}
            ended = end.isoformat() if end and end <= last else None
            yield {"track_id": track_id, "valid_from": begin.isoformat(), "valid_to": ended, **cells}


def plain_size(database: Database, rows: Sequence[dict[str, Any]]) -> float:
    """Return the megabytes of a plain SCD2 table with these rows."""
    engine = open_engine(database.url, create=True)
    with write_transaction(engine) as connection:
        PLAIN.create(connection)
        connection.execute(insert(PLAIN), rows)
    engine.dispose()
    database.tidy()
    return database.megabytes()

"""What years and many accounts do to the time of a sync: a list that changes by 1 % a day, and accounts side by side.

    python -m benchmarks.speed.growth --days 1095 --favourites 10000 sqlite:///growth.db
    python -m benchmarks.speed.growth --favourites 10000 --beside sqlite:///growth.db sqlite:///young.db
    python -m benchmarks.speed.growth --accounts 1000 --at-once 1,4,8 postgresql://postgres@localhost/growth

The clock is moved, and the service is in memory, so that the numbers are those of favsync and its database alone.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import time_machine
from sqlalchemy import Engine, func, select, text

from etl.boomplay.payloads import User
from etl.db.engine import open_engine, read_transaction, sqlite_path, write_transaction
from etl.db.migrate import upgrade
from etl.db.tables import favourites, snapshots, tracks
from etl.load.accounts import Account, ensure_account, find_accounts
from etl.load.baseline import read_baseline
from etl.load.raw import items_of
from etl.model.encoding import digest_of
from etl.model.records import Item, Page, RemovalThreshold
from etl.replay.favourites import diff_favourites
from etl.sync import RunOptions, sync_account

BEGIN = datetime(2023, 1, 1, 6, 0, tzinfo=UTC)
SHARE = 0.01
SPAN = 20


class Memory:
    """A service that answers from a list in memory."""

    retries = 0

    def __init__(self, items: list[Item], user_id: str) -> None:
        self.items = items
        self.requests = 0
        self._user_id = user_id

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return a page."""
        self.requests += 1
        return Page(offset, limit, tuple(self.items[offset : offset + limit]), len(self.items))

    def fresh(self) -> AbstractContextManager[Self]:
        """Return itself: it has neither connections nor a cache."""
        return nullcontext(self)

    def catalogue(self, track_ids: Sequence[int], known_id: int | None) -> Mapping[int, Item | None] | None:
        """Return None: this service has no catalogue."""
        return None

    def user(self) -> User:
        """Return whose list it is."""
        return User(self._user_id)


def track(number: int) -> Item:
    """Return a track as the service would show it."""
    wire = {
        "track_id": number,
        "track_title": f"A title of an ordinary length, number {number}",
        "duration": f"00:{number % 7 + 2:02}:{number % 60:02}",
        "album_id": number // 9 + 1,
        "album_title": f"The album called {number // 9 + 1}",
        "genres": ("Afrobeats,Pop", "Amapiano", "Bongo Flava", "Gospel")[number % 4],
        "available_markets": ("NG,GH,KE,TZ,UG,ZA", "NG,GH", "KE,TZ,UG,RW,BI")[number % 3],
        "web_url": f"https://web.example.invalid/songs/{number}?srModel=growth",
        "mobile_url": f"https://web.example.invalid/share/music/{number}?srModel=growth",
        "artists": [{"artist_id": number // 12 + 1, "artist_name": f"An artist, number {number // 12 + 1}"}],
    }
    body = json.dumps(wire).encode()
    return Item(body, digest_of(body), number)


def accounts(engine: Engine, names: Sequence[str]) -> list[Account]:
    """Return these accounts, made where they are not there."""
    with write_transaction(engine) as connection:
        for name in names:
            ensure_account(connection, name, BEGIN)
    with read_transaction(engine) as connection:
        return find_accounts(connection, names)


def size_bytes(engine: Engine) -> int:
    """Return how large the database is."""
    path = sqlite_path(str(engine.url)) if engine.dialect.name == "sqlite" else None
    if path is not None:
        with engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size
    with read_transaction(engine) as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


class Life:
    """An account whose list changes by 1 % a day, and is synced once a day; it goes on where its database has come to."""

    def __init__(self, engine: Engine, size: int) -> None:
        self._chance = random.Random(1)
        (self._account,) = accounts(engine, ["ada"])
        self._engine = engine
        with read_transaction(engine) as connection:
            newest = read_baseline(connection, self._account.account_id)
            listed = items_of(connection, newest.snapshot_id) if newest else []
            last = connection.execute(select(func.max(tracks.c.track_id))).scalar_one()
        numbers = [item.track_id or 0 for item in listed] or range(1, size + 1)
        self._service = Memory([track(number) for number in numbers], "ada")
        self._changes = max(1, round(size * SHARE / 2))
        self._fresh = last or size
        self._days = (newest.observed_at - BEGIN).days + 1 if newest else 0

    def day(self) -> float:
        """Sync the list of the next day, and return the CPU seconds."""
        for _ in range(self._changes if self._days else 0):
            self._fresh += 1
            self._service.items.pop(self._chance.randrange(len(self._service.items)))
            self._service.items.insert(0, track(self._fresh))
        with time_machine.travel(BEGIN + timedelta(days=self._days), tick=True):
            begun = time.process_time()
            report = sync_account(self._engine, self._account, self._service, RunOptions())
            took = time.process_time() - begun
        assert report.outcome == "succeeded", report
        self._days += 1
        return took


def grow(engine: Engine, count: int, size: int) -> None:
    """Print what the years cost."""
    life = Life(engine, size)
    took = [life.day()]
    after_first = size_bytes(engine)
    print(f"day 1: {took[0]:.3f} s CPU, {after_first / 1e6:.1f} MB", flush=True)
    took += [life.day() for _ in range(count - 1)]
    early = statistics.median(took[1 : SPAN + 1])
    late = statistics.median(took[-SPAN:])
    print(
        f"a sync, days 2 to {SPAN + 1}: {early:.3f} s CPU; the last {SPAN} days: {late:.3f} s; {late / early:.2f} times"
    )
    grown = size_bytes(engine) - after_first
    print(f"{grown / max(1, count - 1) / 1000:.1f} KB a day's changes, {size_bytes(engine) / 1e6:.1f} MB in all")
    with read_transaction(engine) as connection:
        packed = connection.execute(select(func.avg(func.length(snapshots.c["items"])))).scalar_one()
        stays = connection.execute(select(func.count()).select_from(favourites)).scalar_one()
        begun = time.process_time()
        difference, _ = diff_favourites(connection, 1, RemovalThreshold())
        print(f"{packed:.0f} bytes an observation's list; {stays:,} intervals")
        print(f"rebuild --check of membership: {time.process_time() - begun:.2f} s CPU, differs: {bool(difference)}")


def in_turn(young: Life, old: Life) -> None:
    """Print what a sync takes in a database of the first days and in one of years, one after the other.

    So the machine is the same; and in a process of their own, since one that has run for years has its lists all over its memory.
    """
    young.day()
    pairs = [(young.day(), old.day()) for _ in range(SPAN)]
    first, last = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(
        f"in turn, {SPAN} days each: {first:.3f} s CPU in a young database, {last:.3f} s in the old one; {last / first:.2f} times"
    )


def side_by_side(engine: Engine, count: int, at_once: Sequence[int], size: int, catalogue: int) -> None:
    """Print how many accounts a second are synced, so many at once: first loads, then unchanged lists."""
    chance = random.Random(2)
    every = [track(number) for number in range(1, catalogue + 1)]
    for workers in at_once:
        names = [f"{workers}-{number}" for number in range(count)]
        pairs = [(account, Memory(chance.sample(every, size), account.name)) for account in accounts(engine, names)]
        for words in ("first", "unchanged"):
            begun, cpu = time.perf_counter(), time.process_time()
            with ThreadPoolExecutor(workers) as pool:
                outcomes = {
                    str(report.outcome)
                    for report in pool.map(lambda pair: sync_account(engine, *pair, RunOptions(concurrency=1)), pairs)
                }
            wall = time.perf_counter() - begun
            cpu = (time.process_time() - cpu) / count
            print(
                f"{workers} at once, {words}: {count / wall:.1f} syncs a second, {cpu * 1000:.1f} ms CPU a sync, {outcomes}",
                flush=True,
            )


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.growth")
    parser.add_argument("url", help="an empty database")
    parser.add_argument(
        "--beside", metavar="URL", help="where the years have passed: syncs there and in the empty database, in turn"
    )
    parser.add_argument("--days", type=int, default=1095)
    parser.add_argument("--favourites", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=0, help="measure accounts side by side instead")
    parser.add_argument("--account-favourites", type=int, default=300)
    parser.add_argument("--catalogue", type=int, default=50_000)
    parser.add_argument("--at-once", default="1,4,8")
    options = parser.parse_args()
    engine = new(options.url)
    if options.accounts:
        workers = [int(part) for part in options.at_once.split(",")]
        side_by_side(engine, options.accounts, workers, options.account_favourites, options.catalogue)
    elif options.beside:
        in_turn(Life(engine, options.favourites), Life(open_engine(options.beside), options.favourites))
    else:
        grow(engine, options.days, options.favourites)


def new(url: str) -> Engine:
    """Return an engine for an empty database, which a SQLite file is made."""
    path = sqlite_path(url)
    if path is not None:
        Path(path).unlink(missing_ok=True)
    upgrade(url)
    return open_engine(url)


if __name__ == "__main__":
    main()

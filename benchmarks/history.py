"""Makes a database with years of history: real syncs of a made-up listener's list, on a clock that is moved.

    python -m benchmarks.history --accounts 1 --favourites 10000 --days 1095 sqlite:///history.db

Used by the timings of the views, the tests of the reports and the pictures in the documentation. The same arguments give the
same history, to the microsecond, on both engines.

A listener prefers artists, and the preference drifts. Favourites come in bursts, most on Fridays; many go within weeks, some stay
for good, a few come back. The service is sometimes unreachable, changes its order between pages, or shows an empty list.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import time_machine
from sqlalchemy import Engine

from etl.boomplay.payloads import User
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.errors import ApiUnreachable
from etl.load.accounts import ensure_account, every_account
from etl.model.encoding import digest_of
from etl.model.records import Item, Page, RemovalGrace
from etl.sandbox.catalogue import Catalogue
from etl.sandbox.composer import market_lists
from etl.sync import RunOptions, RunResult, sync_account

END = datetime(2026, 6, 30, 6, 0, tzinfo=UTC)
REGIONS = ("NG", "KE", "GH", "TZ", "ZA", "CI", "ET", "UG")
NAMES = ("ada", "kofi", "wanjiru", "thandi", "amina", "kwame", "zainab", "tendai")
BACK_AGAIN = 0.12
FOR_GOOD = 0.4


@dataclass
class Listener:
    """A user who adds and removes favourites. ``tracks`` is the list as the API shows it, the newest first."""

    name: str
    region: str
    catalogue: Catalogue
    chance: random.Random
    goal: int
    days: int
    tracks: list[int] = field(default_factory=list)
    leaving: dict[int, list[int]] = field(default_factory=dict)
    returning: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Group the catalogue by artist, in order of preference."""
        self._unheard: dict[str, list[int]] = {}
        for track_id in self.catalogue.track_ids[:-1]:
            self._unheard.setdefault(_artist(self.catalogue, track_id), []).append(track_id)
        self._artists = sorted(self._unheard)
        self.chance.shuffle(self._artists)
        self._there: set[int] = set()

    def live(self, day: int) -> None:
        """Make the changes of one day."""
        for track_id in self.leaving.pop(day, ()):
            self._remove(track_id, day)
        for track_id in self.returning.pop(day, ()):
            if track_id not in self._there:
                self._add(track_id, day)
        wanted = self._wanted(day) - len(self.tracks)
        if day and (wanted <= 0 or not self._is_in_mood(day)):
            return
        for _ in range(wanted):
            found = self._discovered(day)
            if found is not None:
                self._add(found, day)

    def _wanted(self, day: int) -> int:
        """Return the length the list should have: 35 % at first, then growing in waves."""
        passed = day / max(1, self.days)
        grown = 0.35 + 0.65 * passed**1.3 + 0.06 * math.sin(passed * 17) * (1 - passed)
        length: int = round(self.goal * grown)
        return length

    def _is_in_mood(self, day: int) -> bool:
        weekday = (END - timedelta(days=self.days - day)).weekday()
        is_away = (day // 7) % 17 == 11
        return not is_away and self.chance.random() < (0.85 if weekday == 4 else 0.3)

    def _discovered(self, day: int) -> int | None:
        """Return a track not heard before, near the artists that are preferred now; None if all are heard."""
        middle = len(self._artists) * (0.12 + 0.7 * day / max(1, self.days))
        for _ in range(12):
            at = int(self.chance.gauss(middle, len(self._artists) * 0.08)) if self.chance.random() < 0.75 else 0
            at = at or int(len(self._artists) * self.chance.random() ** 2.5)
            unheard = self._unheard[self._artists[min(max(at, 0), len(self._artists) - 1)]]
            if unheard:
                return unheard.pop(self.chance.randrange(len(unheard)))
        left = [artist for artist in self._artists if self._unheard[artist]]
        return self._unheard[self.chance.choice(left)].pop() if left else None

    def _add(self, track_id: int, day: int) -> None:
        self.tracks.insert(0, track_id)
        self._there.add(track_id)
        if self.chance.random() > FOR_GOOD:
            stays = math.ceil(self.chance.weibullvariate(260, 0.75))
            self.leaving.setdefault(day + stays, []).append(track_id)

    def _remove(self, track_id: int, day: int) -> None:
        self.tracks.remove(track_id)
        self._there.discard(track_id)
        if self.chance.random() < BACK_AGAIN:
            self.returning.setdefault(day + self.chance.randint(3, 90), []).append(track_id)


def _artist(catalogue: Catalogue, track_id: int) -> str:
    return str(catalogue.fields(track_id)["artists"][0]["artist_name"])


@dataclass
class ListSource:
    """The API of a run, over a listener's list; time passes with every request."""

    listener: Listener
    time: time_machine.Traveller
    mood: str = "well"
    has_catalogue: bool = True
    requests: int = 0
    retries: int = 0

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        """Return the page that begins at ``offset``."""
        self.requests += 1
        self.time.shift(timedelta(milliseconds=137))
        if self.mood == "away":
            raise ApiUnreachable("GET /v1/user/favorite_tracks: the server answered 503, five times")
        tracks = [] if self.mood == "empty" else self.listener.tracks
        if self.mood == "moving":
            turn = self.requests * 7 % max(1, len(tracks))
            tracks = tracks[turn:] + tracks[:turn]
        catalogue = self.listener.catalogue
        return Page(offset, limit, tuple(_item(catalogue, track_id) for track_id in tracks[offset : offset + limit]))

    def fresh(self) -> AbstractContextManager[Self]:
        """Return itself: it has neither connections nor a cache."""
        return nullcontext(self)

    def catalogue(self, track_ids: Sequence[int], known_id: int | None) -> Mapping[int, Item | None] | None:
        """Return what the service says about tracks: every fourth that a listener let go is withdrawn."""
        if not self.has_catalogue:
            return None
        known = self.listener.catalogue
        return {track_id: _item(known, track_id) if track_id % 4 else None for track_id in track_ids}

    def user(self) -> User:
        """Return the listener."""
        return User(f"user-{self.listener.name}", self.listener.name.title(), self.listener.region, "Premium")


def _item(catalogue: Catalogue, track_id: int) -> Item:
    body = catalogue.item(track_id)
    return Item(body, digest_of(body), track_id)


def _changed_facts(
    catalogue: Catalogue, listeners: Sequence[Listener], chance: random.Random, lists: Sequence[str]
) -> None:
    """Correct titles, genres and markets, an album at a time."""
    lucky = chance.choice(listeners)
    if not lucky.tracks:
        return
    track_id = chance.choice(lucky.tracks)
    fields = catalogue.fields(track_id)
    match chance.randrange(6):
        case 0:
            catalogue.change(track_id, {"track_title": f"{fields['track_title']} (Remastered)"})
        case 1:
            catalogue.change(track_id, {"genres": f"{fields['genres']},Throwback"})
        case _:
            markets = chance.choice(lists)
            album = catalogue.label_ids(track_id)
            same_album = [each for each in lucky.tracks if catalogue.label_ids(each) == album]
            for each in same_album:
                catalogue.change(each, {"available_markets": markets})


def _mood(chance: random.Random, favourites: int) -> str:
    drawn = chance.random()
    if drawn < 0.012:
        return "away"
    if drawn < 0.018 and favourites > 100:
        return "moving"
    return "empty" if drawn < 0.021 else "well"


def make_history(
    engine: Engine, *, accounts: int, favourites: int, days: int, every: int = 1, seed: int = 1, grace: int = 0
) -> Iterator[RunResult]:
    """Sync ``accounts`` accounts every ``every`` days, for ``days`` days that end at `END`, and yield each run's result.

    ``favourites``: of each account, at the end. ``grace``: hours that a favourite is missing before its removal is recorded;
    withdrawn ones 3.5 times as long. The catalogue can be asked after a third of the days. Half-way, a list looks empty once.
    The database is migrated; accounts are made.
    """
    options = RunOptions(concurrency=1, grace=RemovalGrace(timedelta(hours=grace), timedelta(hours=3.5 * grace)))
    catalogue = Catalogue(max(200, round(favourites * 2.6)), seed)
    chance = random.Random(seed)
    lists = market_lists(seed)
    listeners = [_listener(number, catalogue, favourites, days, seed) for number in range(accounts)]
    begin = END - timedelta(days=days)
    with time_machine.travel(begin, tick=False) as time:
        with write_transaction(engine) as connection:
            for listener in listeners:
                ensure_account(connection, listener.name, begin)
        with read_transaction(engine) as connection:
            known = {account.name: account for account in every_account(connection)}
        for day in range(days + 1):
            for listener in listeners:
                listener.live(day)
            if day and chance.random() < 0.5:
                _changed_facts(catalogue, listeners, chance, lists)
            if day % every:
                continue
            time.move_to(
                begin + timedelta(days=day, seconds=chance.randrange(1800), microseconds=chance.randrange(10**6))
            )
            for listener in listeners:
                mood = _mood(chance, len(listener.tracks)) if day else "well"
                if grace and day == days // 2 // every * every and listener is listeners[-1]:
                    mood = "empty"
                source = ListSource(listener, time, mood, has_catalogue=day > days / 3)
                yield sync_account(engine, known[listener.name], source, options)
                time.shift(timedelta(seconds=1))
        for listener in listeners:  # and a last look at lists that nobody touched
            time.shift(timedelta(hours=1))
            yield sync_account(engine, known[listener.name], ListSource(listener, time), options)


def _listener(number: int, catalogue: Catalogue, favourites: int, days: int, seed: int) -> Listener:
    name = NAMES[number] if number < len(NAMES) else f"listener-{number:04}"
    chance = random.Random(seed * 7919 + number)
    return Listener(name, REGIONS[number % len(REGIONS)], catalogue, chance, favourites, days)


def main() -> None:
    """Make the database, and print how its runs ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1)
    parser.add_argument("--favourites", type=int, default=2_000, help="of each account, at the end")
    parser.add_argument("--days", type=int, default=1_095)
    parser.add_argument("--every", type=int, default=1, help="days between two syncs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grace", type=int, default=0, help="hours before a removal is recorded")
    parser.add_argument("url", help="sqlite:///FILE or postgresql://…")
    given = parser.parse_args()
    upgrade(given.url)
    engine = open_engine(given.url)
    how = {name: value for name, value in vars(given).items() if name != "url"}
    outcomes = Counter(str(report.outcome) for report in make_history(engine, **how))
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    if given.url.startswith("sqlite"):
        print(f"{Path(engine.url.database or '').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

"""Weeks of one account on a fake clock, under a service that is wrong for a time. No sockets and no waiting.

A trial drives a *subject* (something with ``sync`` and ``rows``) through its schedule, while the user adds and removes favourites
and one lie begins and ends. Then it compares the rows of ``favourites`` with the truth, which is the sandbox's own history:

- *false*: a row was closed though its track was in the list, and had not left it since ``removed_after``;
- *bounds*: the track had left, but not between ``removed_after`` and ``valid_to``;
- *missed*: a row is still open at the end though its track left; *waiting* if the subject holds removals for a person by then;
- *lacking*: a favourite has no open row at the end; *held*: how often the subject began to hold removals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple, Protocol

from benchmarks.hostile.results import Tally
from etl.sandbox import Distortion, Sandbox

USER = "ada"
START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULES = {
    "hourly": timedelta(hours=1),
    "six-hourly": timedelta(hours=6),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
}
LENGTHS = (1, 5, 20, 49, 50, 51, 75, 100, 120)


class FakeClock:
    """A clock that only `advance` and `move_to` move."""

    def __init__(self, instant: datetime = START) -> None:
        self._instant = instant

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return self._instant

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._instant += timedelta(seconds=seconds)

    def move_to(self, instant: datetime) -> None:
        """Go to a later instant; an earlier one changes nothing."""
        self._instant = max(self._instant, instant)


class FavouriteRow(NamedTuple):
    """What the truth is compared with: one row of ``favourites``."""

    track_id: int
    valid_from: datetime
    valid_to: datetime | None
    removed_after: datetime | None


class Subject(Protocol):
    """What is driven through the days."""

    def sync(self) -> datetime | None:
        """Sync at the clock's instant; return when the subject wants to look again before its schedule, if it does."""
        ...

    def rows(self) -> list[FavouriteRow]:
        """Return all rows of the account."""
        ...

    def is_held(self) -> bool:
        """True if removals wait for a person."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class Lie(NamedTuple):
    """How the service is wrong: a distortion, switch positions, and tracks to withdraw (in ``region`` or everywhere)."""

    distortion: Distortion | None = None
    positions: Mapping[str, object] = {}
    withdrawn: int = 0
    region: str | None = None


def _malformed(row: str, share: float) -> Lie:
    return Lie(positions={"malformed": frozenset({row}), "malformed_share": share})


KINDS: Mapping[str, Callable[[Random, int], Lie]] = {
    "quiet": lambda _, __: Lie(),
    "window, total true": lambda rng, size: Lie(Distortion(window=_part(rng, size))),
    "window, page-sized counts": lambda rng, size: Lie(Distortion(window=_part(rng, size)), {"counts": "page"}),
    "window, no counts": lambda rng, size: Lie(Distortion(window=_part(rng, size)), {"counts": "absent"}),
    "window, counts agree": lambda rng, size: Lie(Distortion(window=_part(rng, size), honest_counts=False)),
    "window of 50": lambda _, __: Lie(Distortion(window=50)),
    "window, then 400": lambda rng, size: Lie(Distortion(window=_part(rng, size), past_window="error")),
    "window, then 400, no counts": lambda rng, size: Lie(
        Distortion(window=_part(rng, size), past_window="error"), {"counts": "absent"}
    ),
    "artists hidden": lambda _, __: Lie(Distortion(hidden="artist", honest_counts=False)),
    "artists hidden, total true": lambda _, __: Lie(Distortion(hidden="artist")),
    "albums hidden": lambda _, __: Lie(Distortion(hidden="album", honest_counts=False)),
    "albums hidden, total true": lambda _, __: Lie(Distortion(hidden="album")),
    "few tracks hidden": lambda _, __: Lie(Distortion(hidden="album", hidden_share=0.05, honest_counts=False)),
    "creeping": lambda rng, _: Lie(
        Distortion(hidden="creeping", hidden_per_hour=rng.choice((1, 3, 10)), honest_counts=False)
    ),
    "creeping, total true": lambda rng, _: Lie(Distortion(hidden="creeping", hidden_per_hour=rng.choice((1, 3, 10)))),
    "filter after slice": lambda _, __: Lie(Distortion(hidden="album", hides_after_slice=True)),
    "filter after slice, no counts": lambda _, __: Lie(
        Distortion(hidden="album", hides_after_slice=True), {"counts": "absent"}
    ),
    "page cache, an hour": lambda _, __: Lie(Distortion(cache_seconds=3600)),
    "page cache, half a day": lambda _, __: Lie(Distortion(cache_seconds=43_200)),
    "page cache, stubborn": lambda _, __: Lie(Distortion(cache_seconds=7200, honours_no_cache=False)),
    "replicas by offset": lambda rng, _: Lie(Distortion(replicas="by_offset", lag_seconds=_lag(rng))),
    "replicas in turn": lambda rng, _: Lie(Distortion(replicas="in_turn", lag_seconds=_lag(rng))),
    "replicas, sticky": lambda rng, _: Lie(Distortion(replicas="sticky", lag_seconds=_lag(rng))),
    "one page stale": lambda rng, _: Lie(Distortion(replicas="page", lag_seconds=_lag(rng))),
    "few items flap": lambda _, __: Lie(Distortion(flapping_share=0.03)),
    "many items flap": lambda _, __: Lie(Distortion(flapping_share=0.3)),
    "cut list": lambda rng, _: Lie(Distortion(ends_early=rng.choice((0.02, 0.2, 0.5)), honest_counts=False)),
    "cut list, total true": lambda rng, _: Lie(Distortion(ends_early=rng.choice((0.02, 0.2, 0.5)))),
    "empty list": lambda _, __: Lie(Distortion(ends_early=1.0, honest_counts=False)),
    "foreign list": lambda _, __: Lie(Distortion(foreign_list=True)),
    "foreign list, user info fails": lambda _, __: Lie(Distortion(foreign_list=True, user_info="fails")),
    "foreign list and user": lambda _, __: Lie(Distortion(foreign_list=True, user_info="other")),
    "deep pages refused": lambda _, __: Lie(Distortion(refused_offset=50)),
    "lasting duplicates": lambda _, __: Lie(Distortion(duplicates=3)),
    "one item a page": lambda _, __: Lie(positions={"page_cap": 1}),
    "float ids": lambda _, __: _malformed("ids_as_floats", 1.0),
    "null entries": lambda _, __: _malformed("entry_null", 0.05),
    "unreadable list": lambda _, __: _malformed("entry_without_id", 0.8),
    "withdrawn": lambda _, __: Lie(withdrawn=3),
    "withdrawn in the region": lambda _, __: Lie(withdrawn=3, region="NG"),
}


def _part(rng: Random, size: int) -> int:
    return max(1, int(size * rng.choice((0.3, 0.7, 0.9, 1.0))))


def _lag(rng: Random) -> float:
    return rng.choice((600.0, 3600.0, 7200.0))


# Shorter than the removal grace of two days, at any time of day; and longer ones, of which None lasts to the end.
SHORT_LIES = tuple(timedelta(minutes=minutes) for minutes in (10, 60, 180, 480, 780, 1140, 1380, 1860, 2820))
LONG_LIES = (timedelta(days=2), timedelta(days=10), None)


@dataclass(frozen=True)
class Weeks:
    """One trial: the kind of lie, the schedule, how long the lie lasts (None = to the end), and the seed.

    ``days`` with changes are followed by ``quiet_days`` in which the service is right again and the user does nothing, so that
    everything honest can be recorded. ``changes_a_day``: additions and as many removals, on average.
    """

    kind: str
    schedule: str
    lie: timedelta | None
    seed: str
    days: int = 12
    quiet_days: int = 10
    changes_a_day: float = 1.5


@dataclass
class Truth:
    """Compares a subject's rows with the sandbox's history, sync after sync."""

    sandbox: Sandbox
    tally: Tally
    name: str
    seen_closed: set[tuple[int, datetime]] = field(default_factory=set)
    was_held: bool = False

    def check(self, subject: Subject, now: datetime) -> None:
        """Count what the last sync recorded."""
        current = set(self.sandbox.favourites(USER))
        for row in subject.rows():
            if row.valid_to is None or (row.track_id, row.valid_from) in self.seen_closed:
                continue
            self.seen_closed.add((row.track_id, row.valid_from))
            left = [
                change.at
                for change in self.sandbox.history(USER)
                if change.change == "removed" and change.track_id == row.track_id
            ]
            after = row.removed_after or row.valid_from
            if any(after <= at <= row.valid_to for at in left):
                self.tally.removals += 1
            elif row.track_id in current and not any(after < at <= now for at in left):
                self.tally.false += 1
                self.tally.messages.append(f"{self.name}: falsely removed {row.track_id} at {now}")
            else:
                self.tally.removals += 1
                self.tally.bounds += 1
        is_held = subject.is_held()
        self.tally.held += is_held and not self.was_held
        self.was_held = is_held

    def end(self, subject: Subject) -> None:
        """Count what is still wrong."""
        current = set(self.sandbox.favourites(USER))
        listed = {row.track_id for row in subject.rows() if row.valid_to is None}
        left = len(listed - current)
        if subject.is_held():
            self.tally.waiting += left
        else:
            self.tally.missed += left
        self.tally.lacking += len(current - listed)


def run_weeks(make: Callable[[Sandbox, FakeClock], Subject], weeks: Weeks) -> Tally:
    """Run one trial and return its counts; the same arguments give the same trial."""
    rng = Random(f"{weeks.seed} {weeks.kind} {weeks.schedule}")
    clock = FakeClock(START + timedelta(minutes=rng.randrange(600)))
    sandbox = Sandbox(tracks=rng.choice(LENGTHS), seed=rng.getrandbits(31), users=(USER,), now=clock.now)
    sandbox.switch(token_lifetime_seconds=1e9)
    sandbox.new_token(USER)
    tally = Tally(trials=1)
    truth = Truth(sandbox, tally, f"{weeks.kind}, {weeks.schedule}, lie {weeks.lie}, seed {weeks.seed}")
    events = sorted(_events(sandbox, rng, weeks, clock.now()), key=lambda event: event[0])
    end = clock.now() + timedelta(days=weeks.days + weeks.quiet_days)
    subject = make(sandbox, clock)
    scheduled = next_sync = clock.now()
    try:
        while next_sync <= end:
            while events and events[0][0] <= next_sync:
                instant, act = events.pop(0)
                clock.move_to(instant)
                act()
            clock.move_to(next_sync)
            wanted = subject.sync()
            tally.runs += 1
            truth.check(subject, clock.now())
            while scheduled <= clock.now():
                scheduled += SCHEDULES[weeks.schedule]
            next_sync = scheduled if wanted is None else max(min(scheduled, wanted), clock.now())
        truth.end(subject)
        tally.requests = len(sandbox.requests)
    finally:
        subject.close()
    return tally


def weeks_of(kind: str, number: int, seed: int, *, is_quick: bool = False, is_long: bool = False) -> Weeks:
    """Return a trial of ``kind``. Four numbers in a row have the four schedules; a quick trial is daily or six-hourly."""
    place = list(KINDS).index(kind)
    lies = LONG_LIES if is_long else SHORT_LIES
    lie = lies[(place + number) % len(lies)]
    if is_quick:
        return Weeks(kind, "daily" if place % 4 else "six-hourly", lie, f"{seed}/{number}", days=6, quiet_days=9)
    schedule = list(SCHEDULES)[number % len(SCHEDULES)]
    if schedule == "weekly":
        return Weeks(kind, schedule, lie, f"{seed}/{number}", days=28, quiet_days=16)
    return Weeks(kind, schedule, lie, f"{seed}/{number}", days=14)


Event = tuple[datetime, Callable[[], None]]


def _events(sandbox: Sandbox, rng: Random, weeks: Weeks, start: datetime) -> Iterator[Event]:
    """Yield what the user and the service do, in any order."""
    for _ in range(round(weeks.days * weeks.changes_a_day)):
        yield start + timedelta(days=weeks.days * rng.random()), lambda: _add(sandbox, rng)
        yield start + timedelta(days=weeks.days * rng.random()), lambda: _remove(sandbox, rng)
    lie = KINDS[weeks.kind](rng, len(sandbox.favourites(USER)))
    begins = start + timedelta(days=weeks.days * (0.2 + 0.5 * rng.random()))
    yield begins, lambda: _begin(sandbox, rng, lie)
    if weeks.lie is not None:
        right = {name: getattr(sandbox.base, name) for name in lie.positions}
        yield min(begins + weeks.lie, start + timedelta(days=weeks.days)), lambda: _end(sandbox, right)


def _add(sandbox: Sandbox, rng: Random) -> None:
    listed = set(sandbox.favourites(USER))
    sandbox.favourite(USER, rng.choice([each for each in sandbox.catalogue.track_ids if each not in listed]))


def _remove(sandbox: Sandbox, rng: Random) -> None:
    if tracks := sandbox.favourites(USER):
        sandbox.unfavourite(USER, rng.choice(tracks))


def _begin(sandbox: Sandbox, rng: Random, lie: Lie) -> None:
    sandbox.distort(lie.distortion)
    sandbox.switch(**lie.positions)
    tracks = sandbox.favourites(USER)
    for track_id in rng.sample(tracks, min(lie.withdrawn, len(tracks))):
        sandbox.withdraw_track(track_id, lie.region)


def _end(sandbox: Sandbox, right: Mapping[str, object]) -> None:
    sandbox.distort(None)
    sandbox.switch(**right)
    sandbox.restore_tracks()

"""Weeks of one account under a service that is consistently wrong for a time: pure, and thousands of decisions a second.

A trial precomputes what the user does, reads the list by the real schedule rules (`next_run`), and gives the snapshots to
`decide_changes`. Then it compares each recorded removal with the truth. Times are hours since the start of the trial.

A removal is *false* if its track did not leave between ``removed_after`` and the moment of recording, and has a *wrong bound*
if it left after ``valid_to``. A *phantom* was never there when the service listed it. A removal is *late* if a run does not record it although its grace is over and no reason is
reported. At the end a track that left is *unrecorded* if it is still open, or *asked* if a person must decide on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from etl.model.records import (
    FavouriteChanges,
    OpenFavourites,
    RemovalGrace,
    RemovalReason,
    RemovalThreshold,
    Review,
    SnapshotRef,
)
from etl.scheduler.next_run import RunOutcome, look_delay, next_run
from etl.scheduler.schedule import parse
from etl.transform.favourite_history import decide_changes, next_state
from etl.transform.removals import CROWD, LOOKS, labelled_tracks, may_close
from tests.support.lists import START

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))
THRESHOLD = RemovalThreshold()
SCHEDULES = ("every 1h", "every 6h", "every 1d", "every 7d")
LENGTHS = (3, 12, 30, 49, 51, 60, 80, 100, 120)
PAGE = 50
HOURS = 24 * 45
QUIET_FROM = 24 * 29  # the user changes nothing afterwards, so that each removal can be recorded
FOREIGN = 1_000_000
MOST_READS = 7

Tracks = tuple[int, ...]


class Truth:
    """What the user did: the list after every change, newest first, and when each track left."""

    def __init__(self, chance: Random) -> None:
        first = chance.choice(LENGTHS)
        tracks = list(range(first, 0, -1))
        self.times, self.lists, self.left = [-1e9], [tuple(tracks)], dict[int, list[float]]()
        adds, removes, moves = (chance.choice((0.0, 0.1, 0.3, 1.0)) for _ in range(3))
        now, newest, total = 0.0, len(tracks), adds + removes + moves
        while total and (now := now + chance.expovariate(total / 24)) < QUIET_FROM:
            action = chance.random() * total
            if action < adds or len(tracks) <= first * 0.6:
                back = [each for each in self.left if each not in tracks]
                newest += 1
                tracks.insert(0, chance.choice(back) if back and chance.random() < 0.1 else newest)
            elif action < adds + removes:
                for _ in range(min(chance.choice((1, 1, 1, 2, 4)), len(tracks) - 1)):
                    track = tracks.pop(chance.randrange(len(tracks)))
                    self.left.setdefault(track, []).append(now)
            else:
                tracks.insert(0, tracks.pop(chance.randrange(len(tracks))))
            self.times.append(now)
            self.lists.append(tuple(tracks))

    def at(self, hour: float) -> Tracks:
        return self.lists[bisect_right(self.times, hour) - 1]

    def has_left(self, track: int, after: float, until: float) -> bool:
        return any(after < hour <= until for hour in self.left.get(track, ()))


View = Callable[[Tracks, Truth, float, Random], Sequence[int]]
"""(the true list, truth, hour, chance of this read) -> the list that the service serves."""


class Lie(NamedTuple):
    """How a service is wrong. ``total``: what it counts. ``nightly``: it lies in these hours of each day only."""

    view: View
    total: str = "listed"
    confirms_user: bool = True
    withdrawn: bool = False
    nightly: tuple[float, float] | None = None
    partial: float = 0.0


def album(track: int) -> int:
    """Six tracks each; the ids of neighbours differ."""
    return track * 7 % 20


def _hidden(is_hidden: Callable[[int], bool]) -> View:
    return lambda tracks, _truth, _hour, _chance: [each for each in tracks if not is_hidden(each)]


def _mixed(track: int, salt: int) -> float:
    return Random(track * 1_000_003 + salt).random()


_mixed = lru_cache(maxsize=1 << 16)(_mixed)


def _share(salt: int, share: float) -> View:
    return _hidden(lambda track: _mixed(track, salt) < share)


def _labels(chance: Random, count: int) -> View:
    gone = frozenset(chance.sample(range(20), count))
    return _hidden(lambda track: album(track) in gone)


def _window(chance: Random, step: int = 1) -> View:
    length = chance.choice((50, 100)) if step > 1 else chance.randrange(2, 115)
    return lambda tracks, _truth, _hour, _chance: tracks[:length]


def _creeping(chance: Random, begin: float, *, is_tail: bool = False) -> View:
    per_hour, salt = chance.choice((0.3, 1, 3)), chance.getrandbits(16)

    def view(tracks: Tracks, _truth: Truth, hour: float, _chance: Random) -> Sequence[int]:
        gone = int((hour - begin) * per_hour) + 1
        order = list(reversed(tracks)) if is_tail else sorted(tracks, key=lambda each: _mixed(each, salt))
        return [each for each in tracks if each not in set(order[:gone])]

    return view


def _flapping(chance: Random, slot_hours: float, share: float) -> View:
    salt = chance.getrandbits(16)

    def view(tracks: Tracks, _truth: Truth, hour: float, _chance: Random) -> Sequence[int]:
        slot = int(hour / slot_hours)
        return [each for each in tracks if _mixed(each, salt + slot) >= share]

    return view


def _lagging(hours: float, share: float = 1.0) -> View:
    return lambda tracks, truth, hour, chance: truth.at(hour - hours) if chance.random() < share else tracks


def _frozen(at: float) -> View:
    return lambda _tracks, truth, _hour, _chance: truth.at(at)


def _stale_page(page: int, at: float) -> View:
    def view(tracks: Tracks, truth: Truth, _hour: float, _chance: Random) -> Sequence[int]:
        here = slice(page * PAGE, (page + 1) * PAGE)
        return dict.fromkeys([*tracks[: here.start], *truth.at(at)[here], *tracks[here.stop :]])  # type: ignore[return-value]

    return view


def _foreign(chance: Random, kept: float = 0.0) -> View:
    other, salt = tuple(FOREIGN + each for each in range(chance.randrange(1, 100))), chance.getrandbits(16)
    return lambda tracks, _truth, _hour, _chance: [*other, *(each for each in tracks if _mixed(each, salt) < kept)]


def _hole(chance: Random) -> View:
    start, length = chance.randrange(100), chance.choice((1, 10, 50))
    return lambda tracks, _truth, _hour, _chance: [*tracks[:start], *tracks[start + length :]]


def _cut(chance: Random) -> View:
    count = chance.choice((1, 1, 2, 5, 10, 30))
    return lambda tracks, _truth, _hour, _chance: tracks[:-count]


def _either(one: View, other: View, share: float) -> View:
    return lambda tracks, truth, hour, chance: (one if chance.random() < share else other)(tracks, truth, hour, chance)


def _both(one: View, other: View) -> View:
    return lambda tracks, truth, hour, chance: other(tuple(one(tracks, truth, hour, chance)), truth, hour, chance)


HONEST = _hidden(lambda _track: False)
Make = Callable[[Random, float], Lie]
"""(chance of this trial, hour at which the lie begins) -> the lie"""
KINDS: dict[str, Make] = {
    "honest": lambda _c, _b: Lie(HONEST),
    "honest, page-sized counts": lambda _c, _b: Lie(HONEST, "page"),
    "honest, no counts": lambda _c, _b: Lie(HONEST, "absent"),
    "honest, total never moves": lambda _c, _b: Lie(HONEST, "fixed"),
    "honest, user unknown": lambda _c, _b: Lie(HONEST, confirms_user=False),
    "honest, half partial": lambda _c, _b: Lie(HONEST, partial=0.5),
    "window, total true": lambda c, _b: Lie(_window(c), "true"),
    "window, total agrees": lambda c, _b: Lie(_window(c)),
    "window, page-sized counts": lambda c, _b: Lie(_window(c), "page"),
    "window, no counts": lambda c, _b: Lie(_window(c), "absent"),
    "window of whole pages": lambda c, _b: Lie(_window(c, PAGE)),
    "cut tail": lambda c, _b: Lie(_cut(c)),
    "cut tail, total true": lambda c, _b: Lie(_cut(c), "true"),
    "label hidden": lambda c, _b: Lie(_labels(c, 1)),
    "label hidden, total true": lambda c, _b: Lie(_labels(c, 1), "true"),
    "labels hidden": lambda c, _b: Lie(_labels(c, 5), "absent"),
    "creeping": lambda c, b: Lie(_creeping(c, b)),
    "creeping, total true": lambda c, b: Lie(_creeping(c, b), "true"),
    "creeping tail": lambda c, b: Lie(_creeping(c, b, is_tail=True), "absent"),
    "few hidden": lambda c, _b: Lie(_share(c.getrandbits(16), 0.05)),
    "a quarter hidden": lambda c, _b: Lie(_share(c.getrandbits(16), 0.24)),
    "half hidden, total true": lambda c, _b: Lie(_share(c.getrandbits(16), 0.5), "true"),
    "most hidden, no counts": lambda c, _b: Lie(_share(c.getrandbits(16), 0.9), "absent"),
    "flapping by the half hour": lambda c, _b: Lie(_flapping(c, 0.5, 0.2)),
    "flapping by the half day": lambda c, _b: Lie(_flapping(c, 12, 0.1)),
    "flapping by the day": lambda c, _b: Lie(_flapping(c, 24, 0.5)),
    "hidden by every second replica": lambda c, _b: Lie(_either(_share(c.getrandbits(16), 0.3), HONEST, 0.5)),
    "hidden by nine in ten replicas": lambda c, _b: Lie(_either(_share(c.getrandbits(16), 0.1), HONEST, 0.9)),
    "replica two hours behind": lambda _c, _b: Lie(_lagging(2)),
    "some replicas behind": lambda c, _b: Lie(_lagging(c.uniform(0.1, 2), 0.5)),
    "frozen list": lambda _c, b: Lie(_frozen(b)),
    "backup restored": lambda c, b: Lie(_frozen(b - c.uniform(1, 200))),
    "backup restored, total true": lambda c, b: Lie(_frozen(b - c.uniform(1, 200)), "true"),
    "one page stale": lambda c, b: Lie(_stale_page(c.randrange(3), b)),
    "one page from a backup": lambda c, b: Lie(_stale_page(c.randrange(3), b - c.uniform(1, 200))),
    "a page or item left out": lambda c, _b: Lie(_hole(c)),
    "foreign list, user confirmed": lambda c, _b: Lie(_foreign(c)),
    "foreign list, user unknown": lambda c, _b: Lie(_foreign(c), confirms_user=False),
    "foreign list mixed in": lambda c, _b: Lie(_foreign(c, c.random())),
    "emptied": lambda _c, _b: Lie(_hidden(lambda _track: True)),
    "all but one hidden": lambda _c, _b: Lie(lambda tracks, *_: tracks[:1]),
    "withdrawn for a time": lambda c, _b: Lie(_share(c.getrandbits(16), 0.1), withdrawn=True),
    "hidden every night": lambda c, _b: Lie(
        _share(c.getrandbits(16), 0.1), nightly=(c.uniform(0, 24), c.uniform(1, 10))
    ),
    "window every night": lambda c, _b: Lie(_window(c), nightly=(c.uniform(0, 24), c.uniform(1, 10))),
    "hidden, half partial": lambda c, _b: Lie(_share(c.getrandbits(16), 0.2), partial=0.5),
    "window over hidden labels": lambda c, _b: Lie(_both(_labels(c, 2), _window(c)), "true"),
}
ENDLESS = frozenset({"hidden every night", "window every night"})
"""Kinds whose lie returns every day until the end of the trial."""


@dataclass
class Tally:
    """What trials add up to."""

    trials: int = 0
    syncs: int = 0
    recorded: int = 0
    false: int = 0
    leaking: int = 0
    wrong_bounds: int = 0
    phantoms: int = 0
    late: int = 0
    unrecorded: int = 0
    asked: int = 0
    holds: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def hours(seen: object) -> float:
    return (seen - START) / timedelta(hours=1)  # type: ignore[operator, no-any-return]


class Trial:
    """One account under one lie of ``duration`` hours. The same name gives the same trial."""

    def __init__(self, kind: str, name: str, duration: float, grace: RemovalGrace = GRACE) -> None:
        self.name = f"{kind} {name}"
        chance = self.chance = Random(self.name)
        self.truth, self.grace = Truth(chance), grace
        self.begin = chance.uniform(24 * 9, 24 * 13)
        self.end = HOURS if kind in ENDLESS else self.begin + duration
        self.lie = KINDS[kind](chance, self.begin)
        self.schedule, self.seed = parse(chance.choice(SCHEDULES)), chance.getrandbits(16)
        self.has_operator = chance.random() < 0.3
        self.state, self.looks, self.tally = OpenFavourites(), list[SnapshotRef](), Tally(trials=1)
        self.was_held = False

    def play(self) -> Tally:
        """Sync by the schedule until the end, and count."""
        hour, failures = self.chance.uniform(0, 5), 0
        while hour < HOURS:
            seen = self._read(hour)
            change = decide_changes(self.state, seen, THRESHOLD)
            if change.held and self.has_operator:
                seen, change = self._decided(seen, change, hour)
            self._count(seen, change, hour)
            self.state = next_state(self.state, seen, change)
            self.looks.append(seen)
            look = look_delay(self.grace.removal, change.missing - len(change.held))
            outcome = RunOutcome(is_proven=seen.proves_absence, is_stored=True, look_within=look)
            run = next_run(self.schedule, self.seed, outcome, failures, seen.observed_at)
            failures, hour = run.failures_in_a_row, hours(run.next_run_at) + 0.01
        gone = self.state.open - set(self.truth.at(HOURS))
        held = set(change.held)
        self.tally.asked, self.tally.unrecorded = len(gone & held), len(gone - held)
        self.tally.leaking = int(self.tally.false > 0)
        return self.tally

    def _is_lying(self, hour: float) -> bool:
        if not self.begin <= hour < self.end:
            return False
        return self.lie.nightly is None or (hour - self.lie.nightly[0]) % 24 < self.lie.nightly[1]

    def _list(self, hour: float) -> Tracks:
        tracks = self.truth.at(hour)
        return tuple(self.lie.view(tracks, self.truth, hour, self.chance)) if self._is_lying(hour) else tracks

    def _read(self, hour: float) -> SnapshotRef:
        """Read until two lists agree and nothing else was seen, four where a young or the last favourite is missing."""
        start = START + timedelta(hours=hour)
        reads, is_whole = [self._list(hour)], True
        settled = {each.track_id for each in self._settled(hour)}
        missing = self.state.open - settled - set(reads[0])
        if missing:
            last = set(self.state.order[-1:])
            doubt = any(each in last or hours(self.state.intervals[each].valid_from) > hour - 24 for each in missing)
            while len(reads) < MOST_READS and (agree := _agreeing(reads)) < (4 if doubt else 2):
                reads.append(self._list(hour + len(reads) / 1000))
            is_whole = agree >= (4 if doubt else 2) or _agreeing(reads) >= (4 if doubt else 2)
            is_whole = is_whole and set().union(*reads) == set(reads[-1])
        is_whole = is_whole and self.chance.random() >= (self.lie.partial if self._is_lying(hour) else 0.01)
        listed = tuple(dict.fromkeys((*reads[-1], *(each for read in reads for each in read))))
        return self._ref(start, listed, hour, is_whole=is_whole)

    def _settled(self, hour: float) -> Iterator[object]:
        looks = {group.since: group.looks for group in self.state.memory.groups}
        at = START + timedelta(hours=hour)
        for each in self.state.intervals.values():
            since = each.missing_since
            if since is not None and not may_close(since, looks.get(since, 0), at, self.grace):
                yield each

    def _ref(self, start: object, listed: Tracks, hour: float, *, is_whole: bool) -> SnapshotRef:
        is_lying, true = self._is_lying(hour), len(self.truth.at(hour))
        missing = self.state.open - set(listed)
        counts = {"true": true, "listed": len(listed), "page": min(PAGE, len(listed)), "absent": None, "fixed": 77}
        total = counts[self.lie.total if is_lying or self.lie.total not in ("true",) else "listed"]
        answer = RemovalReason.WITHDRAWN if self.lie.withdrawn and is_lying else RemovalReason.UNFAVOURITED
        labels = {each: [("album", album(each))] for each in self.state.open} if len(missing) >= CROWD else {}
        return SnapshotRef(
            run_id=len(self.looks) + 1,
            started_at=start,  # type: ignore[arg-type]
            observed_at=start + timedelta(seconds=36),  # type: ignore[operator]
            present=listed,
            proves_absence=is_whole,
            grace=self.grace,
            user_confirmed=self.lie.confirms_user or not is_lying,
            total=total if total is None or total >= len(listed) or self.lie.total == "page" else None,
            page_size=min(PAGE, len(listed)),
            snapshot_id=hash(listed) & 0xFFFFFFFF,
            catalogue=dict.fromkeys(missing, answer),
            labelled=labelled_tracks(missing, labels),
        )

    def _decided(
        self, seen: SnapshotRef, change: FavouriteChanges, hour: float
    ) -> tuple[SnapshotRef, FavouriteChanges]:
        """Let the operator approve if all that is missing left, and reject otherwise."""
        missing, now = self.state.open - set(seen.present), set(self.truth.at(hour))
        seen = replace(seen, decision=Review.REJECTED if missing & now else Review.APPROVED)
        return seen, decide_changes(self.state, seen, THRESHOLD)

    def _count(self, seen: SnapshotRef, change: FavouriteChanges, hour: float) -> None:
        tally = self.tally
        tally.syncs += 1
        for each in change.closed:
            after, until = hours(each.removed_after), hours(each.valid_to)
            if self.truth.has_left(each.track_id, after, until):
                tally.recorded += 1
            elif self.truth.has_left(each.track_id, after, hour):
                tally.wrong_bounds += 1
            elif each.track_id not in self.truth.at(hour):
                tally.phantoms += 1
            else:
                tally.false += 1
                tally.notes.append(f"{self.name}: track {each.track_id} at hour {hour:.1f}, missing since {until:.1f}")
        tally.holds += bool(change.held) and not self.was_held
        if seen.proves_absence:
            self.was_held = bool(change.held)
            has_reason = change.reasons or change.held or seen.decision is not None
            tally.late += 0 if has_reason else len(self._overdue(seen, change))

    def _overdue(self, seen: SnapshotRef, change: FavouriteChanges) -> list[int]:
        """Return the tracks that a run without any sign must have recorded, by counting the looks once more."""
        gone, found = {each.track_id for each in change.closed}, []
        for track_id in self.state.open - set(seen.present) - gone:
            lacking = [seen]
            for look in reversed(self.looks):
                if track_id in look.present or look.decision is Review.REJECTED:
                    break
                if look.proves_absence:
                    lacking.append(look)
            if len(lacking) >= LOOKS and seen.started_at - lacking[-1].observed_at >= self.grace.removal:
                found.append(track_id)
        return found


def _agreeing(reads: Sequence[Tracks]) -> int:
    count = 0
    for read in reversed(reads):
        if read != reads[-1]:
            break
        count += 1
    return count

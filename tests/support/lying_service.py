"""Services that are consistently wrong for a time, as pure functions of the user's real list. `lying_trial` plays them.

Times are hours since the start of a trial.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

LENGTHS = (3, 12, 30, 49, 51, 60, 80, 100, 120)
PAGE = 50
QUIET_FROM = 24 * 29  # the user changes nothing afterwards, so that each removal can be recorded
FOREIGN = 1_000_000

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

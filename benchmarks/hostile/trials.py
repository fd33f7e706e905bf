"""One trial: a list that changes, a service that misbehaves, a tool that syncs, and the truth about all of it.

A removal is *false* if the tool removes a track that was in the list at every moment from the end of the tool's last sync to the
end of this one. It is *late* if a sync that ran wholly after the removal did not see it, and *missed* if even the quiet sync at
the end of the trial did not. *Lacking*: favourites that the tool does not have after the quiet sync.

The truth is the sandbox's own record of every change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from benchmarks.hostile.results import Tally
from benchmarks.hostile.tools import Tool
from etl.sandbox import SCENARIOS, WRONG_SERVICES, Sandbox

USER = "ada"
EXTRA = {
    "one_change": "one track is added, removed or moved to the front before the n-th request, for each n",
    "moves": "before every other request a track moves to the front and another one leaves",
}
ALL_SCENARIOS = {name: what for name, what in SCENARIOS.items() if name not in WRONG_SERVICES} | EXTRA
LENGTHS = (0, 1, 2, 5, 20, 48, 49, 50, 51, 60, 98, 99, 100, 120, 147, 148, 180, 240)
START = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 4
RUNS_A_TRIAL = ROUNDS + 2


@dataclass
class Watch:
    """Compares a tool's favourites after each sync with the truth. ``there``: the list at the end of the last sync."""

    sandbox: Sandbox
    tally: Tally
    name: str
    active: frozenset[int] = frozenset()
    lingering: frozenset[int] = frozenset()
    there: frozenset[int] = frozenset()
    end: int = 0

    def sync(self, tool: Tool, at: datetime) -> None:
        """Let the tool sync, and count."""
        begin, before = len(self.sandbox.history(USER)), frozenset(self.sandbox.favourites(USER))
        asked = len(self.sandbox.requests)
        active = tool.sync(at)
        self.tally.runs += 1
        self.tally.requests += len(self.sandbox.requests) - asked
        history = self.sandbox.history(USER)
        now = frozenset(self.sandbox.favourites(USER))
        left = {change.track_id for change in history[self.end :] if change.change == "removed"}
        came = {change.track_id for change in history[begin:] if change.change == "added"}
        gone = self.active - active
        false = (gone & self.there & now) - left
        lingering = active - now - before - came
        self.tally.removals += len(gone - false)
        self.tally.false += len(false)
        self.tally.late += len(lingering - self.lingering)
        if false:
            self.tally.messages.append(
                f"{self.name}: falsely removed {sorted(false)[:5]} of {len(now)} in run {self.tally.runs}"
            )
        self.active, self.lingering, self.there, self.end = active, lingering, now, len(history)

    def settle(self, tool: Tool) -> None:
        """Let the operator approve, and count what is still wrong."""
        active = tool.settle()
        now = frozenset(self.sandbox.favourites(USER))
        self.tally.held += active != self.active
        self.tally.removals += len(self.active - active - now)
        self.tally.false += len((self.active - active) & now)
        self.tally.missed += len(active - now)
        self.tally.lacking += len(now - active)
        self.tally.late -= len(self.lingering)  # what the quiet sync missed, or held, is not merely late
        if wrong := (active ^ now):
            self.tally.messages.append(f"{self.name}: after the quiet sync {sorted(wrong)[:5]} are wrong")


def run_trial(make: Callable[[Sandbox], Tool], scenario: str, number: int, seed: int) -> Tally:
    """Run one trial of ``scenario``: a first sync, hostile ones and a quiet one. The same numbers give the same trial."""
    chance = Random(f"{seed} {scenario} {number}")
    tally = Tally(trials=1)
    hours = 1 if scenario == "stale_replica" else chance.choice((1, 48))
    hostile = None if scenario in EXTRA else scenario
    with Sandbox(tracks=chance.choice(LENGTHS), seed=chance.getrandbits(31), users=(USER,)) as sandbox:
        tool = make(sandbox)
        watch = Watch(sandbox, tally, f"{scenario} {seed} {number}")
        try:
            sandbox.play(hostile if chance.random() < 0.3 else None)
            watch.sync(tool, START)
            for round_number in range(1, ROUNDS + 1):
                _change(sandbox, chance, chance.randrange(4))
                sandbox.play(hostile)
                sandbox.before_request = _list_changer(sandbox, chance, scenario, number + round_number)
                watch.sync(tool, START + timedelta(hours=hours * round_number))
                sandbox.before_request = None
                sandbox.play(None)
            _change(sandbox, chance, chance.randrange(4))
            watch.sync(tool, START + timedelta(hours=hours * (ROUNDS + 1)))
            watch.settle(tool)
        finally:
            tool.close()
    return tally


def _change(sandbox: Sandbox, chance: Random, count: int) -> None:
    for _ in range(count):
        tracks = sandbox.favourites(USER)
        kind = chance.choice(("add", "remove", "move"))
        if kind == "add" or not tracks:
            there = set(tracks)
            spare = [track_id for track_id in sandbox.catalogue.track_ids if track_id not in there]
            sandbox.favourite(USER, chance.choice(spare))
        elif kind == "remove":
            sandbox.unfavourite(USER, chance.choice(tracks))
        else:
            sandbox.move_to_front(USER, chance.choice(tracks))


def _list_changer(sandbox: Sandbox, chance: Random, scenario: str, number: int) -> Callable[[object], None] | None:
    """Return the hook that changes the list between requests, besides the scenario."""
    asked = 0
    if scenario == "one_change":

        def once(_request: object) -> None:
            nonlocal asked
            asked += 1
            if asked == 1 + number % 12:
                _change(sandbox, chance, 1)

        return once
    if scenario == "moves":
        return lambda _request: _move(sandbox, chance)
    if chance.random() < 0.5 or scenario == "quiet":
        return None
    return lambda _request: _change(sandbox, chance, int(chance.random() < 0.1))


def _move(sandbox: Sandbox, chance: Random) -> None:
    """Move a track from behind the pages read to before them and remove another one, so that offsets stay."""
    tracks = sandbox.favourites(USER)
    if len(tracks) > 1 and chance.random() < 0.5:
        sandbox.move_to_front(USER, chance.choice(tracks))
        sandbox.unfavourite(USER, chance.choice(tracks[:50]))

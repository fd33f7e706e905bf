"""Two kinds of trial: a list that changes, a service that misbehaves, a tool that syncs, and the truth about all of it.

`run_trial` plays random faults at single requests, `run_days` a service that is wrong in the same way at each of them for a time.

A removal is *false* if the tool removes a track that was in the list at every moment from the end of the tool's last sync to the
end of this one. It is *late* if a sync that ran wholly after the removal did not see it, and *missed* if even the quiet sync at
the end of the trial did not. *Lacking*: favourites that the tool does not have after the quiet sync. *Held*: the last sync
holds removals, which an operator then approves.

The truth is the sandbox's own record of every change.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import time_machine
from msgspec import structs

from benchmarks.hostile.results import Tally
from benchmarks.hostile.tools import Favsync, Tool
from etl import clock, config
from etl.extract.snapshot import RunOptions
from etl.sandbox import SCENARIOS, WRONG_SERVICES, Sandbox, Switches
from etl.scheduler.due_sync import run_outcome
from etl.scheduler.next_run import next_run
from etl.scheduler.schedule import parse

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
SCHEDULES = (6, 24, 1)  # hours between two syncs
DAYS = 6  # with changes; then the grace of a withdrawal passes
ALL_DAYS = timedelta(days=DAYS + 9)
LONGEST_LIE = 47  # hours: shorter than the removal grace
DEFAULTS = structs.replace(RunOptions.configured(config.load({}, {}, None)), concurrency=1)
REQUEST = timedelta(seconds=0.137)
YEARS = 1e9


@dataclass
class Watch:
    """Compares a tool's favourites after each sync with the truth. ``there``: the list at the end of the last sync.

    ``memory``: how long after it left a track may be removed though it is back, because the tool waits.
    """

    sandbox: Sandbox
    tally: Tally
    name: str
    memory: timedelta = timedelta(0)
    active: frozenset[int] = frozenset()
    lingering: frozenset[int] = frozenset()
    there: frozenset[int] = frozenset()
    end: int = 0

    def sync(self, tool: Tool) -> None:
        """Let the tool sync, and count."""
        begin, before = len(self.sandbox.history(USER)), frozenset(self.sandbox.favourites(USER))
        asked = len(self.sandbox.requests)
        active = tool.sync()
        self.tally.runs += 1
        self.tally.requests += len(self.sandbox.requests) - asked
        history = self.sandbox.history(USER)
        now = frozenset(self.sandbox.favourites(USER))
        recent = [*history[self.end :], *(each for each in history if each.at > clock.now() - self.memory)]
        left = {change.track_id for change in recent if change.change == "removed"}
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
    length, sandbox_seed = chance.choice(LENGTHS), chance.getrandbits(31)
    with time_machine.travel(START) as time, _sandbox(length, sandbox_seed) as sandbox, closing(make(sandbox)) as tool:
        watch = Watch(sandbox, tally, f"{scenario} {seed} {number}")
        sandbox.play(hostile if chance.random() < 0.3 else None)
        watch.sync(tool)
        for round_number in range(1, ROUNDS + 1):
            _change(sandbox, chance, chance.randrange(4))
            sandbox.play(hostile)
            sandbox.before_request = _list_changer(sandbox, chance, scenario, number + round_number)
            time.move_to(START + timedelta(hours=hours * round_number))
            watch.sync(tool)
            sandbox.before_request = None
            sandbox.play(None)
        _change(sandbox, chance, chance.randrange(4))
        time.move_to(START + timedelta(hours=hours * (ROUNDS + 1)))
        watch.sync(tool)
        watch.settle(tool)
    return tally


def run_days(service: str, number: int, seed: int, options: RunOptions = DEFAULTS) -> Tally:
    """Run favsync for days by its schedule, at its default graces, under a service that is wrong for less than that."""
    chance = Random(f"{seed} {service} {number}")
    tally = Tally(trials=1)
    length = 1_060 if service == "deep_pages_refused" else chance.choice(LENGTHS[3:])
    hours = SCHEDULES[number % len(SCHEDULES)]
    schedule, failures = parse(f"every {hours}h"), 0
    lie_begins = START + timedelta(days=chance.uniform(1, DAYS - 2))
    lie_ends = lie_begins + timedelta(hours=chance.uniform(hours, LONGEST_LIE))  # a sync sees it at least once
    events = [(START + timedelta(days=DAYS * chance.random()), lambda: _change(sandbox, chance, 1)) for _ in range(20)]
    events += [(lie_begins, lambda: _begin_lie(sandbox, service)), (lie_ends, lambda: sandbox.play(None))]
    events.sort(key=lambda event: event[0])
    counts, sandbox_seed = chance.choice(("total", "page", "absent")), chance.getrandbits(31)
    with (
        time_machine.travel(START, tick=False) as time,
        _sandbox(length, sandbox_seed, counts=counts) as sandbox,
        closing(Favsync(sandbox, options)) as tool,
    ):
        sandbox.before_request = lambda _request: time.shift(REQUEST)
        watch = Watch(sandbox, tally, f"{service} {seed} {number}", ALL_DAYS)
        while clock.now() < START + ALL_DAYS:
            watch.sync(tool)
            run = next_run(schedule, number, run_outcome(tool.result, options.grace), failures, clock.now())
            failures = run.failures_in_a_row
            while events and events[0][0] <= run.next_run_at:
                at, act = events.pop(0)
                time.move_to(max(at, clock.now()))
                act()
            time.move_to(run.next_run_at)
        watch.settle(tool)
    return tally


def _sandbox(tracks: int, seed: int, **positions: object) -> Sandbox:
    return Sandbox(
        tracks=tracks, seed=seed, users=(USER,), switches=Switches(token_lifetime_seconds=YEARS, **positions)
    )


def _begin_lie(sandbox: Sandbox, service: str) -> None:
    """Let the service be wrong until the trial ends it, however long its scenario lasts."""
    sandbox.play(service)
    if sandbox.scenario.distortion:
        sandbox.distort(replace(sandbox.scenario.distortion, lasts_seconds=None))


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

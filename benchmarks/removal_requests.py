"""The requests that one removal costs, from the sync that misses the favourite first to the one that records the removal.

Counted over HTTP on a clock that is moved, with hourly syncs; the same list gives the same counts. What unchanged syncs cost is apart.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import NamedTuple

import time_machine
from msgspec.structs import replace

from benchmarks.hostile.tools import Favsync
from benchmarks.hostile.trials import DEFAULTS, START, USER, YEARS
from etl.model.records import RemovalGrace
from etl.sandbox import Sandbox, Switches

AGES = {"young (an hour old)": timedelta(hours=1), "old (30 days old)": timedelta(days=30)}
GRACES = {"default settings": DEFAULTS.grace, "grace 0": RemovalGrace(timedelta(0), DEFAULTS.grace.withdrawal)}
READINGS_BEFORE = {"young (an hour old)": 4, "old (30 days old)": 2}
"""How many readings the rule of commit d03eefb took, which asked neither the catalogue nor whose list it is."""


class Removal(NamedTuple):
    """What one removal cost. ``unchanged``: the requests of a sync of the same list that changes nothing."""

    favourites: int
    age: str
    grace: str
    syncs: int
    requests: int
    unchanged: int

    @property
    def more(self) -> int:
        """The requests beside those that unchanged syncs would have sent in the same time."""
        return self.requests - self.syncs * self.unchanged

    @property
    def more_before(self) -> int:
        """The same by the rule of commit d03eefb."""
        return (READINGS_BEFORE[self.age] - 1) * self.unchanged


def measure_removal(favourites: int, age: str, grace: str) -> Removal:
    """Let a favourite of this age leave a list, and count until its removal is recorded."""
    options, switches = replace(DEFAULTS, grace=GRACES[grace]), Switches(token_lifetime_seconds=YEARS)
    with (
        time_machine.travel(START, tick=False) as time,
        Sandbox(tracks=favourites, users=(USER,), switches=switches) as sandbox,
        closing(Favsync(sandbox, options)) as favsync,
    ):

        def requests(after: timedelta) -> int:
            time.shift(after)
            before = len(sandbox.requests)
            favsync.sync()
            return len(sandbox.requests) - before

        requests(timedelta(0))
        unchanged = requests(AGES[age])
        track_id = sandbox.favourites(USER)[favourites // 2]
        sandbox.unfavourite(USER, track_id)
        asked = syncs = 0
        while track_id in favsync.favourites():
            asked += requests(timedelta(hours=1))
            syncs += 1
        return Removal(favourites, age, grace, syncs, asked, unchanged)

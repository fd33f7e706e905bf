"""The requests that one removal costs, from the sync that misses the favourite first to the one that records the removal.

Counted on a fake clock with hourly syncs; the same list gives the same counts. What unchanged syncs cost is apart.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from benchmarks.hostile.days import USER, FakeClock
from benchmarks.hostile.days_favsync import FavsyncSubject
from etl.sandbox import Sandbox

AGES = {"young (an hour old)": timedelta(hours=1), "old (30 days old)": timedelta(days=30)}
GRACES = {"default settings": {}, "grace 0": {"FAVSYNC_REMOVAL_GRACE": "0"}}
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
    clock = FakeClock()
    sandbox = Sandbox(tracks=favourites, seed=1, users=(USER,), now=clock.now)
    sandbox.switch(token_lifetime_seconds=1e9)
    sandbox.new_token(USER)
    subject = FavsyncSubject(sandbox, clock, GRACES[grace])

    def requests() -> int:
        before = len(sandbox.requests)
        subject.sync()
        return len(sandbox.requests) - before

    try:
        requests()
        clock.advance(AGES[age].total_seconds())
        unchanged = requests()
        track_id = sandbox.favourites(USER)[favourites // 2]
        sandbox.unfavourite(USER, track_id)
        asked = syncs = 0
        while any(row.track_id == track_id and row.valid_to is None for row in subject.rows()):
            clock.advance(timedelta(hours=1).total_seconds())
            asked += requests()
            syncs += 1
        return Removal(favourites, age, grace, syncs, asked, unchanged)
    finally:
        subject.close()

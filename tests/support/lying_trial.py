"""Weeks of one account under a lying service: pure, and thousands of decisions a second.

A trial reads the list by the real schedule rules (`next_run`), gives the snapshots to `decide_changes`, and compares each
recorded removal with the truth. In some trials an operator answers holds at once and rightly.

A removal is *false* if its track is in the list and did not leave after ``removed_after``, and has a *wrong bound* if it left
after ``valid_to``. A *phantom* was never there when the service listed it. A removal is *late* if a run does not record it
although its grace is over and no reason is reported. At the end a track that left is *unrecorded* if it is still open, or
*asked* if the operator must decide on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from random import Random

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
from tests.support.lying_service import ENDLESS, KINDS, PAGE, Tracks, Truth, album

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))
THRESHOLD = RemovalThreshold()
SCHEDULES = ("every 1h", "every 6h", "every 1d", "every 7d")
HOURS = 24 * 45
MOST_READS = 7


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


def hours(at: datetime | None) -> float:
    assert at is not None
    return (at - START) / timedelta(hours=1)


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
        self.was_held, self.rejected = False, set[int]()

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
        reads = [self._list(hour)]
        missing = self.state.open - self._settled(hour) - set(reads[0])
        last, intervals = set(self.state.order[-1:]), self.state.intervals
        doubtful = (each in last or hours(intervals[each].valid_from) > hour - 24 for each in missing)
        needed = (4 if any(doubtful) else 2) if missing else 1
        while _agreeing(reads) < needed and len(reads) < MOST_READS:
            reads.append(self._list(hour + len(reads) / 1000))
        listed = tuple(dict.fromkeys((*reads[-1], *(each for read in reads for each in read))))
        is_whole = _agreeing(reads) >= needed and len(listed) == len(reads[-1])
        is_whole = is_whole and self.chance.random() >= (self.lie.partial if self._is_lying(hour) else 0.01)
        return self._ref(START + timedelta(hours=hour), listed, hour, is_whole=is_whole)

    def _settled(self, hour: float) -> set[int]:
        looks = {group.since: group.looks for group in self.state.memory.groups}
        at = START + timedelta(hours=hour)
        missing = [(each.track_id, each.missing_since) for each in self.state.intervals.values()]
        return {
            track_id
            for track_id, since in missing
            if since is not None and not may_close(since, looks.get(since, 0), at, self.grace.removal)
        }

    def _ref(self, start: datetime, listed: Tracks, hour: float, *, is_whole: bool) -> SnapshotRef:
        is_lying, true = self._is_lying(hour), len(self.truth.at(hour))
        missing = self.state.open - set(listed)
        counts = {"true": true, "listed": len(listed), "page": min(PAGE, len(listed)), "absent": None, "fixed": 77}
        total = counts[self.lie.total]
        answer = RemovalReason.WITHDRAWN if self.lie.withdrawn and is_lying else RemovalReason.UNFAVOURITED
        labels = {each: [("album", album(each))] for each in self.state.open} if len(missing) >= CROWD else {}
        return SnapshotRef(
            run_id=len(self.looks) + 1,
            started_at=start,
            observed_at=start + timedelta(seconds=36),
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
        if missing & now:
            self.rejected.add(seen.snapshot_id)
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
                if track_id in look.present or look.snapshot_id in self.rejected:
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

"""The law of thinning: a replay of what stays gives the same history as a replay of everything."""

from __future__ import annotations

from datetime import timedelta
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from etl.model.records import RemovalGrace, RemovalThreshold, Review, SnapshotRef
from etl.transform.favourite_history import replay
from etl.transform.retention import RetainedSnapshot, removable
from tests.support.lists import START

WORDS = [None, None, None, Review.APPROVED, Review.REJECTED]


@st.composite
def observations(draw: st.DrawFn) -> list[SnapshotRef]:
    """Draw observations of a list that seldom changes, several a day, some of one instant, some that overlap."""
    present = tuple(range(1, 6))
    grace = draw(st.sampled_from([None, RemovalGrace(), RemovalGrace(timedelta(hours=6), timedelta(hours=12))]))
    found = []
    hour = 0.0
    for run_id in range(1, draw(st.integers(1, 14)) + 1):
        hour += draw(st.sampled_from([0, 1, 1, 5, 12]))
        if draw(st.integers(0, 3)) == 0:
            present = tuple(draw(st.lists(st.integers(1, 6), unique=True)))
        is_whole = draw(st.integers(0, 4)) > 0
        end = START + timedelta(hours=hour)
        begin = end - timedelta(hours=draw(st.sampled_from([0, 0.5, 3])))
        total = draw(st.sampled_from([None, 5])) if draw(st.integers(0, 4)) == 0 else len(present)
        found.append(
            SnapshotRef(
                run_id,
                begin,
                end,
                present,
                is_whole,
                draw(st.sampled_from(WORDS)) if is_whole else None,
                grace=grace,
                user_confirmed=draw(st.integers(0, 5)) > 0,
                total=total,
                snapshot_id=hash(present) & 0xFFFF,
            )
        )
    return found


def _number(number: int, pair: tuple[SnapshotRef, SnapshotRef]) -> int:
    """Number snapshots as `etl.replay.prune` does: another list or another total gets the next number."""
    before, after = pair
    is_same = (frozenset(before.present), before.total) == (frozenset(after.present), after.total)
    return number + (not is_same)


@given(observations(), st.integers(0, 200))
def test_what_stays_gives_the_same_history(every: list[SnapshotRef], hours: int) -> None:
    numbers = list(accumulate(pairwise([every[0], *every]), _number, initial=0))[1:]
    seen = [
        RetainedSnapshot(e.run_id, e.started_at, e.observed_at, number, e.proves_absence, e.decision)
        for e, number in zip(every, numbers, strict=True)
    ]
    whole = replay(every, RemovalThreshold(2, 0.3))
    gone = removable(seen, whole.by_run, START + timedelta(hours=hours))
    left = replay([each for each in every if each.run_id not in gone], RemovalThreshold(2, 0.3))
    assert left.intervals == whole.intervals
    assert left.state == whole.state
    assert all(left.by_run[run_id] == whole.by_run[run_id] for run_id in left.by_run)
    days = {each.observed_at.date() for each in every}
    assert {each.observed_at.date() for each in every if each.run_id not in gone} == days


def test_a_quiet_list_is_thinned_to_about_one_a_day() -> None:
    quiet = [
        SnapshotRef(n, START + timedelta(hours=n), START + timedelta(hours=n, minutes=1), (1, 2), True)
        for n in range(1, 100)
    ]
    seen = [RetainedSnapshot(each.run_id, each.started_at, each.observed_at, 1, True, None) for each in quiet]
    gone = removable(seen, replay(quiet, RemovalThreshold()).by_run, START + timedelta(days=30))
    assert 99 - len(gone) <= 5 + 4

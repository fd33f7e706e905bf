"""The law of thinning: what stays tells exactly what everything told."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from etl.model.records import RemovalThreshold, Review, SnapshotRef
from etl.transform.favourite_history import replay
from etl.transform.retention import RetainedSnapshot, removable
from tests.support.lists import START

WORDS = [None, None, None, Review.APPROVED, Review.REJECTED]


@st.composite
def observations(draw: st.DrawFn) -> list[SnapshotRef]:
    """Draw observations of a list that seldom changes, several a day, some of one instant, some that overlap."""
    present = tuple(range(1, 6))
    found = []
    hour = 0.0
    for run_id in range(1, draw(st.integers(1, 14)) + 1):
        hour += draw(st.sampled_from([0, 1, 1, 5, 12]))
        if draw(st.integers(0, 3)) == 0:
            present = tuple(draw(st.lists(st.integers(1, 6), unique=True)))
        is_whole = draw(st.integers(0, 4)) > 0
        end = START + timedelta(hours=hour)
        begin = end - timedelta(hours=draw(st.sampled_from([0, 0.5, 3])))
        found.append(
            SnapshotRef(run_id, begin, end, present, is_whole, draw(st.sampled_from(WORDS)) if is_whole else None)
        )
    return found


@given(observations(), st.integers(0, 200))
def test_history_is_unchanged_by_thinning(every: list[SnapshotRef], hours: int) -> None:
    numbers = {frozenset(each.present): number for number, each in enumerate(every)}
    seen = [
        RetainedSnapshot(
            e.run_id, e.started_at, e.observed_at, numbers[frozenset(e.present)], e.proves_absence, e.decision
        )
        for e in every
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

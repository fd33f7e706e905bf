"""Laws of the replay: a separate plain model agrees, and the order of arrival does not matter."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from etl.model.records import (
    FavouriteInterval,
    OpenFavourites,
    RemovalGrace,
    RemovalThreshold,
    Review,
    SnapshotRef,
)
from etl.transform.favourite_history import decide_changes, next_state, replay
from tests.support.lists import START
from tests.support.plain_model import Seen, history, history_with_grace

TRACKS = range(1, 16)
WORDS = [None, None, None, Review.APPROVED, Review.REJECTED]


@st.composite
def observations(draw: st.DrawFn, *, distinct: bool = False) -> list[SnapshotRef]:
    """Observations of a short list: whole, partial, held, approved, rejected, overlapping, of one instant."""
    count = draw(st.integers(1, 9))
    ends = draw(st.lists(st.integers(1, 40), min_size=count, max_size=count, unique=distinct))
    found = []
    for number, end in enumerate(ends, start=1):
        present = draw(st.lists(st.sampled_from(TRACKS), unique=True))
        is_whole = draw(st.booleans())
        word = draw(st.sampled_from(WORDS)) if is_whole else None
        length = 0.5 if distinct else draw(st.sampled_from([0, 0.5, 3]))
        end_at = START + timedelta(hours=end)
        found.append(SnapshotRef(number, end_at - timedelta(hours=length), end_at, tuple(present), is_whole, word))
    return found


SMALL_LIST = range(1, 9)  # too few for a list to look foreign
KEPT = 99  # always the last favourite, so that no tail goes missing and never all favourites


@st.composite
def looks(draw: st.DrawFn) -> tuple[list[SnapshotRef], timedelta]:
    """Draw snapshots of a list that seldom changes, and a grace: no sign speaks against a removal."""
    grace = timedelta(hours=draw(st.sampled_from([0, 2, 6, 12])))
    present: list[int] = list(SMALL_LIST)
    found, hour = [], 0.0
    for number in range(1, draw(st.integers(1, 24)) + 1):
        hour += draw(st.sampled_from([1, 1, 2, 5]))
        for track in draw(st.lists(st.sampled_from(SMALL_LIST), max_size=2)) if draw(st.booleans()) else ():
            present = [each for each in present if each != track] if track in present else [track, *present]
        is_whole = draw(st.integers(0, 4)) > 0
        seen = present if is_whole else [each for each in present if draw(st.booleans())]
        decision = draw(st.sampled_from([*[None] * 8, Review.APPROVED, Review.REJECTED])) if is_whole else None
        end = START + timedelta(hours=hour)
        length = timedelta(hours=draw(st.sampled_from([0, 0.5, 0.5, 1.5])))
        found.append(
            SnapshotRef(
                number,
                end - length,
                end,
                (*seen, KEPT),
                is_whole,
                decision,
                grace=RemovalGrace(grace, grace),
                snapshot_id=sum(1 << each for each in seen),
            )
        )
    return found, grace


def plain(seen: SnapshotRef) -> Seen:
    return Seen(seen.started_at, seen.observed_at, frozenset(seen.present), seen.proves_absence, seen.decision)


def stay(i: FavouriteInterval) -> tuple[object, ...]:
    return (i.track_id, i.valid_from, i.added_after, i.valid_to, i.removed_after)


@given(observations(), st.sampled_from([RemovalThreshold(), RemovalThreshold(1, 0.1), RemovalThreshold(3, 0.5)]))
def test_a_plain_model_returns_the_same_history(seen: list[SnapshotRef], threshold: RemovalThreshold) -> None:
    told = replay(seen, threshold).intervals
    assert {stay(i) for i in told} == history([plain(each) for each in seen], threshold.minimum, threshold.ratio)
    assert len({stay(i) for i in told}) == len(told)


@given(looks())
def test_a_plain_model_of_the_grace_returns_the_same_history(drawn: tuple[list[SnapshotRef], timedelta]) -> None:
    seen, grace = drawn
    replayed = replay(seen, RemovalThreshold(1000, 1)).intervals
    assert {stay(i) for i in replayed} == history_with_grace([plain(each) for each in seen], grace)


@given(looks(), st.integers(0, 24))
def test_a_replay_with_grace_goes_on_from_any_state(drawn: tuple[list[SnapshotRef], timedelta], at: int) -> None:
    seen, _ = drawn
    whole = replay(seen, RemovalThreshold())
    before = replay(seen[:at], RemovalThreshold())
    after = replay(seen[at:], RemovalThreshold(), before.state)
    assert after.state == whole.state
    assert {**before.by_run, **after.by_run} == whole.by_run


@given(observations(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_history(seen: list[SnapshotRef], chance: object) -> None:
    shuffled = list(seen)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert replay(shuffled, RemovalThreshold()) == replay(seen, RemovalThreshold())


@given(observations(distinct=True), st.integers(0, 9))
def test_replay_equals_going_on_from_any_state(seen: list[SnapshotRef], at: int) -> None:
    ordered = sorted(seen, key=lambda each: each.observed_at)
    state = OpenFavourites()
    closed: list[FavouriteInterval] = []
    for each in ordered:
        change = decide_changes(state, each, RemovalThreshold())
        state = next_state(state, each, change)
        closed += change.closed
    whole = replay(seen, RemovalThreshold())
    assert whole.state == state
    assert {*closed, *state.intervals.values()} == set(whole.intervals)
    before = replay(ordered[:at], RemovalThreshold())
    after = replay(ordered[at:], RemovalThreshold(), before.state)
    assert after.state == whole.state


@given(observations())
def test_intervals_never_overlap_and_bounds_are_in_order(seen: list[SnapshotRef]) -> None:
    by_track: dict[int, list[FavouriteInterval]] = {}
    for interval in replay(seen, RemovalThreshold()).intervals:
        by_track.setdefault(interval.track_id, []).append(interval)
        assert interval.added_after is None or interval.added_after < interval.valid_from
        assert interval.valid_to is None or interval.valid_from < interval.valid_to
        assert interval.removed_after is None or interval.removed_after < interval.valid_to
    for intervals in by_track.values():
        for before, after in pairwise(intervals):
            assert before.valid_to is not None
            assert before.valid_to < after.valid_from
            assert after.added_after is not None

"""From observations to intervals, with both their bounds."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from etl.model.records import FavouriteInterval, OpenFavourites, RemovalThreshold, Review, SnapshotRef
from etl.transform.favourite_history import decide_changes, replay
from tests.support.lists import START

THRESHOLD = RemovalThreshold()


def at(hour, minute=0):
    return START + timedelta(hours=hour, minutes=minute)


def snapshot(run_id, hour, present, *, whole=True, decision=None):
    return SnapshotRef(run_id, at(hour), at(hour, 5), tuple(present), whole, decision)


def intervals_of(*observations, threshold=THRESHOLD):
    return replay(observations, threshold).intervals


def test_the_first_observation_does_not_know_since_when():
    assert intervals_of(snapshot(1, 1, [7, 8])) == (
        FavouriteInterval(7, valid_from=at(1, 5), added_after=None, added_run_id=1),
        FavouriteInterval(8, valid_from=at(1, 5), added_after=None, added_run_id=1),
    )


def test_addition_is_bounded_by_the_reads_around_it():
    _, added = intervals_of(snapshot(1, 1, [7]), snapshot(2, 2, [8, 7]))
    assert (added.added_after, added.valid_from) == (at(1), at(2, 5))


def test_removal_is_bounded_by_the_reads_around_it():
    (first, _) = intervals_of(snapshot(1, 1, [7, 8]), snapshot(2, 2, [7, 8]), snapshot(3, 3, [8]))
    assert (first.removed_after, first.valid_to, first.removed_run_id) == (at(2), at(3, 5), 3)


def test_favourited_again_with_the_same_bytes_is_two_intervals():
    intervals = intervals_of(snapshot(1, 1, [7, 8]), snapshot(2, 2, [8]), snapshot(3, 3, [7, 8]), snapshot(4, 4, [8]))
    again = [i for i in intervals if i.track_id == 7]
    assert [(i.valid_from, i.valid_to) for i in again] == [(at(1, 5), at(2, 5)), (at(3, 5), at(4, 5))]
    assert again[1].added_after == at(2)


def test_a_partial_observation_adds_and_removes_nothing():
    intervals = intervals_of(snapshot(1, 1, [7, 8]), snapshot(2, 2, [9], whole=False))
    assert [(i.track_id, i.valid_to) for i in intervals] == [(7, None), (8, None), (9, None)]
    assert intervals[0].last_seen_at == at(1)
    assert intervals[2].added_after == at(1)


def test_snapshot_dated_within_a_read_adds_no_bounds():
    within = SnapshotRef(1, at(2, 2), at(2, 2), (7, 9), True)
    intervals = intervals_of(snapshot(2, 2, [8, 9]), within)
    assert [(i.track_id, i.valid_to) for i in intervals] == [(7, None), (9, None), (8, None)]
    first, *_ = intervals_of(snapshot(2, 2, [8, 9]), within, snapshot(3, 3, [8, 9]))
    assert (first.track_id, first.valid_to, first.removed_run_id) == (7, at(3, 5), 3)


def test_removal_after_partial_snapshots_starts_at_last_seen():
    intervals = intervals_of(snapshot(1, 1, [7, 8]), snapshot(2, 2, [8], whole=False), snapshot(3, 3, [8]))
    assert (intervals[0].removed_after, intervals[0].valid_to) == (at(1), at(3, 5))


def test_partial_snapshot_proves_no_earlier_absence():
    intervals = intervals_of(snapshot(1, 1, [7], whole=False), snapshot(2, 2, [7, 8]))
    assert intervals[1].added_after is None


def test_a_mass_removal_is_held_and_additions_apply():
    history = replay([snapshot(1, 1, range(1, 51)), snapshot(2, 2, [99, 1])], THRESHOLD)
    assert len(history.by_run[2].held) == 49
    assert history.by_run[2].favourites == 51
    assert all(i.valid_to is None for i in history.intervals)


def test_an_approved_mass_removal_is_applied():
    history = replay([snapshot(1, 1, range(1, 51)), snapshot(2, 2, [1], decision=Review.APPROVED)], THRESHOLD)
    assert history.by_run[2].favourites == 1
    assert all(i.removed_after == at(1) for i in history.intervals if i.valid_to)


def test_a_rejected_observation_proves_no_absence():
    history = replay(
        [
            snapshot(1, 1, range(1, 51)),
            snapshot(2, 2, [1], decision=Review.REJECTED),
            snapshot(3, 3, [60, *range(1, 51)]),
        ],
        THRESHOLD,
    )
    assert history.by_run[2].favourites == 50
    assert history.intervals[-1].added_after == at(1)


def test_a_later_proven_observation_supersedes_a_held_one():
    history = replay([snapshot(1, 1, range(50)), snapshot(2, 2, []), snapshot(3, 3, range(1, 50))], THRESHOLD)
    closed = [i for i in history.intervals if i.valid_to]
    assert [(i.track_id, i.removed_run_id, i.removed_after) for i in closed] == [(0, 3, at(1))]


@pytest.mark.parametrize(
    ("favourites", "removals", "held"),
    [
        (1, 1, True),
        (2, 1, False),
        (8, 8, True),
        (40, 10, False),
        (40, 11, True),
        (200, 50, False),
        (200, 51, True),
        (5, 0, False),
    ],
)
def test_threshold_holds_over_ten_or_a_quarter_and_all(favourites, removals, held):
    assert THRESHOLD.holds(removals, favourites) is held


def test_observations_of_one_instant_are_one():
    same = [snapshot(1, 1, [1, 2]), snapshot(2, 1, [2, 3])]
    assert {i.track_id for i in intervals_of(*same)} == {1, 2, 3}
    assert all(i.valid_to is None for i in intervals_of(*same))


def test_an_unchanged_list_changes_nothing():
    first = snapshot(1, 1, [7, 8])
    state = replay([first], THRESHOLD).state
    assert (
        decide_changes(state, replace(first, run_id=2, started_at=at(2), observed_at=at(2, 5)), THRESHOLD).favourites
        == 2
    )
    assert not any(
        (c.opened, c.closed, c.marked, c.held)[n]
        for c in [decide_changes(state, replace(first, run_id=2, started_at=at(2), observed_at=at(2, 5)), THRESHOLD)]
        for n in range(4)
    )


def test_nothing_is_known_before_anything_was_seen():
    assert decide_changes(OpenFavourites(), snapshot(1, 1, []), THRESHOLD).favourites == 0

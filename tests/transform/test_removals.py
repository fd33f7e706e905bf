"""When a missing favourite is closed, and which signs make its removal wait. Pure: snapshots in, history out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.model.records import (
    FavouriteInterval,
    MissingGroup,
    OpenFavourites,
    RemovalGrace,
    RemovalMemory,
    RemovalReason,
    RemovalThreshold,
    Review,
    SnapshotRef,
)
from etl.transform.favourite_history import History, replay
from etl.transform.removals import labelled_tracks, may_close, weigh
from tests.support.lists import START

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))
AT_ONCE = RemovalGrace()
THRESHOLD = RemovalThreshold()


def look(hour: float, tracks: Iterable[int], **more: Any) -> SnapshotRef:
    """Return a whole snapshot that ended at ``hour`` and took a minute."""
    end = START + timedelta(hours=hour)
    present = tuple(tracks)
    defaults = {"grace": GRACE, "page_size": 50, "proves_absence": True, "snapshot_id": hash(present) & 0xFFFFFF}
    return SnapshotRef(int(hour * 60) + 1, end - timedelta(minutes=1), end, present, **{**defaults, **more})


def every_hours(step: float, hours: float, tracks: Iterable[int], start: float = 0, **more: Any) -> list[SnapshotRef]:
    """Return snapshots of the same list, one each ``step`` hours, from ``start`` for ``hours``."""
    tracks = tuple(tracks)
    return [look(start + n * step, tracks, **more) for n in range(int(hours / step) + 1)]


def closed(history: History) -> dict[int, datetime]:
    return {each.track_id: each.valid_to for each in history.intervals if each.valid_to is not None}


def last_change(history: History, looks: list[SnapshotRef]) -> Any:
    return history.by_run[looks[-1].run_id]


def test_a_removal_is_recorded_after_the_grace_with_first_bounds():
    looks = [look(0, range(1, 31)), *every_hours(6, 60, [*range(1, 15), *range(16, 31)], start=6)]
    history = replay(looks, THRESHOLD)
    (interval,) = [each for each in history.intervals if each.track_id == 15]
    assert interval.valid_to == looks[1].observed_at
    assert interval.removed_after == looks[0].started_at
    run = next(each for each in looks if each.run_id == interval.removed_run_id)
    assert run.started_at - interval.valid_to >= GRACE.removal
    assert interval.removal_reason is RemovalReason.UNKNOWN


def test_before_the_grace_ends_the_track_is_missing():
    looks = [look(0, range(1, 31)), *every_hours(6, 42, range(1, 30), start=6)]
    history = replay(looks, THRESHOLD)
    assert not closed(history)
    assert history.state.intervals[30].missing_since == looks[1].observed_at
    assert last_change(history, looks).missing == 1


def test_four_looks_are_not_enough():
    looks = [look(0, range(1, 31)), *every_hours(24, 72, [*range(2, 31)], start=24)]
    assert not closed(replay(looks, THRESHOLD))
    looks.append(look(120, range(2, 31)))
    assert closed(replay(looks, THRESHOLD)) == {1: looks[1].observed_at}


def test_a_track_that_returns_keeps_its_interval():
    looks = [look(0, range(1, 31)), look(1, range(2, 31)), look(2, range(1, 31))]
    (interval,) = [each for each in replay(looks, THRESHOLD).intervals if each.track_id == 1]
    assert (interval.valid_to, interval.missing_since, interval.last_seen_at) == (None, None, None)


def test_a_partial_read_that_sees_the_track_resets_it():
    gone = [*range(2, 31)]
    looks = [look(0, range(1, 31)), *every_hours(6, 42, gone, start=6), look(50, [1], proves_absence=False)]
    looks += every_hours(6, 40, gone, start=54)
    assert not closed(replay(looks, THRESHOLD))


def test_without_grace_a_removal_is_recorded_at_once():
    looks = [look(0, range(1, 31), grace=AT_ONCE), look(1, range(2, 31), grace=AT_ONCE)]
    assert closed(replay(looks, THRESHOLD)) == {1: looks[1].observed_at}


def test_an_approval_records_what_is_only_missing():
    looks = [look(0, range(1, 31)), look(1, range(2, 31), decision=Review.APPROVED)]
    assert closed(replay(looks, THRESHOLD)) == {1: looks[1].observed_at}


def test_nothing_is_closed_while_the_user_is_unconfirmed():
    looks = [look(0, range(1, 31)), *every_hours(6, 120, range(2, 31), start=6, user_confirmed=False)]
    history = replay(looks, THRESHOLD)
    assert not closed(history)
    assert any("owner" in reason for reason in last_change(history, looks).reasons)


def test_a_result_window_asks_the_operator_with_its_number():
    looks = [look(0, range(300, 0, -1)), *every_hours(6, 240, range(303, 3, -1), start=6)]
    history = replay(looks, THRESHOLD)
    change = last_change(history, looks)
    assert not closed(history)
    assert change.held == (1, 2, 3)
    assert any("only the newest 300" in reason for reason in change.reasons)


def test_an_approved_window_is_not_raised_again():
    looks = [
        look(0, range(300, 0, -1)),
        look(6, range(303, 3, -1)),
        look(12, range(303, 3, -1), decision=Review.APPROVED),
    ]
    looks += every_hours(6, 60, range(304, 4, -1), start=18)
    history = replay(looks, THRESHOLD)
    assert set(closed(history)) == {1, 2, 3, 4}


def test_a_list_without_its_tail_waits_for_the_long_grace():
    looks = [look(0, range(1, 31)), *every_hours(6, 160, range(1, 29), start=6)]
    assert not closed(replay(looks, THRESHOLD))
    looks += every_hours(6, 24, range(1, 29), start=172)
    assert set(closed(replay(looks, THRESHOLD))) == {29, 30}


def test_a_total_that_does_not_fall_asks_the_operator():
    whole, cut = [*range(1, 201)], [each for each in range(1, 201) if each % 20]
    looks = [look(0, whole, total=200), *every_hours(6, 240, cut, start=6, total=200)]
    history = replay(looks, THRESHOLD)
    assert not closed(history)
    assert len(last_change(history, looks).held) == 10
    assert any("says 200 favourites and lists 190" in reason for reason in last_change(history, looks).reasons)


def test_a_reason_about_one_favourite_is_in_the_singular():
    one = look(6, range(1, 30), catalogue={30: RemovalReason.WITHDRAWN})
    assert last_change(replay([look(0, range(1, 31)), one], THRESHOLD), [one]).reasons == (
        "1 missing favourite was the last of the list, behind all that stayed",
        "1 missing favourite is not in Boomplay's catalogue for this account",
    )


def test_a_total_that_falls_with_the_list_contradicts_nothing():
    whole, cut = [*range(1, 201)], [each for each in range(1, 201) if each % 20 != 10]
    looks = [look(0, whole, total=200), *every_hours(6, 60, cut, start=6, total=190)]
    assert len(closed(replay(looks, THRESHOLD))) == 10


def test_creeping_losses_wait_as_one():
    looks, tracks = [look(0, range(1, 241))], [*range(1, 241)]
    for hour in range(1, 100):
        tracks = tracks[:5] + tracks[8:] if len(tracks) > 60 else tracks
        looks.append(look(hour, tracks))
    assert not closed(replay(looks, THRESHOLD))


def test_withdrawn_tracks_wait_for_the_long_grace():
    answers = {7: RemovalReason.WITHDRAWN, 8: RemovalReason.UNFAVOURITED}
    left = [each for each in range(1, 31) if each not in answers]
    looks = [look(0, range(1, 31)), *every_hours(6, 180, left, start=6, catalogue=answers)]
    history = replay(looks, THRESHOLD)
    reasons = {each.track_id: each.removal_reason for each in history.intervals if each.valid_to}
    assert reasons == answers
    recorded = {each.track_id: each.removed_run_id for each in history.intervals if each.valid_to}
    assert recorded[8] < recorded[7]


def test_a_foreign_list_adds_and_removes_nothing():
    looks = [look(0, range(1, 31)), look(1, range(101, 131), user_confirmed=False)]
    history = replay(looks, THRESHOLD)
    assert len(history.intervals) == 30
    assert any("another user's list" in reason for reason in last_change(history, looks).reasons)
    back = replay([*looks, look(2, range(1, 31))], THRESHOLD)
    assert [each.missing_since for each in back.intervals] == [None] * 30


def test_a_confirmed_foreign_list_is_accepted_after_the_grace():
    looks = [look(0, range(1, 31)), *every_hours(6, 300, range(101, 131), start=6)]
    history = replay(looks, THRESHOLD)
    added = [each for each in history.intervals if each.track_id > 100]
    assert len(added) == 30
    assert {each.valid_from for each in added} == {looks[1].observed_at}


def test_an_emptied_list_is_held_at_once():
    looks = [look(0, range(1, 4)), look(1, [])]
    assert last_change(replay(looks, THRESHOLD), looks).held == (1, 2, 3)


def test_a_rejection_is_remembered_while_the_list_is_the_same():
    looks = [look(0, range(1, 4)), look(1, [], decision=Review.REJECTED), look(2, [])]
    history = replay(looks, THRESHOLD)
    assert last_change(history, looks).held == ()
    assert not closed(history)


@pytest.mark.parametrize("grace", [GRACE, AT_ONCE])
def test_a_replay_from_any_point_gives_the_same_history(grace):
    looks = [look(0, range(1, 61), grace=grace, total=60)]
    looks += every_hours(6, 60, [*range(2, 50), *range(52, 64)], start=6, grace=grace, total=60)
    looks += every_hours(6, 60, [*range(2, 40), 70], start=72, grace=grace, total=None)
    whole = replay(looks, THRESHOLD)
    for cut in range(1, len(looks)):
        first = replay(looks[:cut], THRESHOLD)
        rest = replay(looks[cut:], THRESHOLD, first.state)
        assert rest.state == whole.state
        assert rest.by_run == {run: whole.by_run[run] for run in rest.by_run}


def test_tracks_of_an_emptied_album_or_artist_are_found():
    labels = {each: [("album", each // 10)] for each in range(100)}
    assert labelled_tracks(range(10, 20), labels) == frozenset(range(10, 20))
    assert labelled_tracks(range(10, 19), labels) == frozenset()
    assert labelled_tracks(range(10, 14), labels) == frozenset()
    pairs = {each: [("artist", each // 2)] for each in range(100)}
    assert labelled_tracks(range(6), pairs) == frozenset(range(6))


@given(
    labels=st.dictionaries(st.integers(0, 30), st.lists(st.integers(0, 6), max_size=3, unique=True)),
    count=st.integers(0, 30),
)
def test_labels_of_one_missing_track_make_no_difference(labels, count):
    missing = range(count)
    held = Counter(label for track_id in missing for label in labels.get(track_id, ()))
    shared = {track_id: [each for each in names if held[each] > 1] for track_id, names in labels.items()}
    assert labelled_tracks(missing, shared) == labelled_tracks(missing, labels)


def test_an_approval_of_the_first_cut_look_is_remembered():
    looks = [look(0, range(300, 0, -1)), look(6, range(303, 3, -1), decision=Review.APPROVED)]
    assert replay(looks, THRESHOLD).state.memory.window == 300
    looks += every_hours(6, 60, range(304, 4, -1), start=12)
    assert set(closed(replay(looks, THRESHOLD))) == {1, 2, 3, 4}


def test_an_approval_without_a_cut_tail_remembers_no_window():
    looks = [look(0, range(100, 0, -1)), look(6, range(103, 3, -1)), look(12, range(104, 3, -1))]
    looks.append(look(18, range(104, 3, -1), decision=Review.APPROVED))
    assert replay(looks, THRESHOLD).state.memory.window is None


def test_a_rejected_list_that_changes_needs_the_grace_anew():
    lacking = [each for each in range(1, 31) if each != 15]
    looks = [look(0, range(1, 31)), look(6, lacking, decision=Review.REJECTED)]
    looks += every_hours(6, 24 * 21, lacking, start=12)
    assert not closed(replay(looks, THRESHOLD))
    last = 12 + 24 * 21
    looks += every_hours(6, 42, [31, *lacking], start=last + 6)
    assert not closed(replay(looks, THRESHOLD))
    looks += every_hours(6, 6, [31, *lacking], start=last + 54)
    assert closed(replay(looks, THRESHOLD)) == {15: looks[2].observed_at}


def test_group_members_that_return_keep_their_own_intervals():
    looks = [look(0, range(1, 31)), *every_hours(6, 12, range(4, 31), start=6)]
    looks += every_hours(6, 12, [1, *range(4, 31)], start=24)
    looks += every_hours(6, 36, [1, 2, *range(4, 31)], start=42)
    assert closed(replay(looks, THRESHOLD)) == {3: looks[1].observed_at}


def test_a_second_absence_starts_a_new_wait():
    lacking = range(3, 31)
    looks = [look(0, range(1, 31)), *every_hours(6, 24, lacking, start=6), look(36, [1, *lacking])]
    looks += every_hours(6, 42, lacking, start=42)
    history = replay(looks, THRESHOLD)
    assert closed(history) == {2: looks[1].observed_at}
    assert history.state.intervals[1].missing_since == looks[7].observed_at


def test_a_look_that_may_close_is_always_confirmed():
    for looks in range(8):
        for hours in range(0, 60, 6):
            group = MissingGroup(START, 29, looks + 1)
            memory = RemovalMemory(groups=(group,), length=29)
            lost = FavouriteInterval(30, START, None, 1, missing_since=START)
            seen = look(hours + 1 / 60, range(1, 30))
            state = OpenFavourites(frozenset(range(1, 31)), memory=memory)
            if weigh(state, memory, [lost], seen, THRESHOLD).closable:
                assert may_close(START, looks, seen.started_at, GRACE.removal)


def test_a_favourite_after_a_foreign_list_has_its_own_bounds():
    own, other = range(1, 31), range(101, 131)
    looks = [look(0, own), look(1, other, user_confirmed=False), look(2, [101, *own])]
    (added,) = [each for each in replay(looks, THRESHOLD).intervals if each.track_id == 101]
    assert (added.valid_from, added.added_after) == (looks[2].observed_at, looks[0].started_at)


def test_a_part_after_a_foreign_list_proves_no_absence():
    own, other = range(1, 31), range(101, 131)
    looks = [look(0, own), look(1, other, user_confirmed=False), look(2, own, proves_absence=False)]
    looks.append(look(3, [200, *own], proves_absence=False))
    looks.append(look(4, [201, *own]))
    bounds = {each.track_id: (each.valid_from, each.added_after) for each in replay(looks, THRESHOLD).intervals}
    before = looks[0].started_at
    assert bounds[200] == (looks[3].observed_at, before)
    assert bounds[201] == (looks[4].observed_at, before)


def test_new_tracks_of_partial_lists_arrive_after_the_grace():
    looks = [look(0, range(1, 101)), *every_hours(6, 60, range(101, 151), start=6, proves_absence=False)]
    history = replay(looks, THRESHOLD)
    added = [each for each in history.intervals if each.track_id > 100]
    assert {each.valid_from for each in added} == {looks[1].observed_at}
    assert len(added) == 50
    assert not closed(history)

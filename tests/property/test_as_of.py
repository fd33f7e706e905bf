"""Laws of as-of queries: later snapshots never change a sure answer, and a sure answer agrees with the real list."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from etl.model.records import FavouriteInterval, RemovalGrace, RemovalThreshold, Review, SnapshotRef
from etl.transform.as_of import ObservationRange, Presence, answer
from etl.transform.favourite_history import replay
from tests.support.lists import START

TRACKS = range(1, 7)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


@st.composite
def walks(draw: st.DrawFn) -> list[tuple[SnapshotRef, dict[int, bool], float]]:
    """Walks of ten minutes each, in order, and what each read of every track at some moment within."""
    found = []
    now = 0.0
    for run_id in range(1, draw(st.integers(1, 8)) + 1):
        now += draw(st.sampled_from([0, 5, 30]))
        read = {track: draw(st.booleans()) for track in TRACKS}
        is_whole = draw(st.booleans())
        seen = tuple(track for track in TRACKS if read[track] and (is_whole or draw(st.booleans())))
        walk = SnapshotRef(run_id, at(now), at(now + 10), seen, is_whole, Review.APPROVED if is_whole else None)
        found.append((walk, read, now))
        now += 10
    return found


def horizon(seen: list[SnapshotRef]) -> ObservationRange:
    proofs = [each for each in seen if each.proves_absence]
    return ObservationRange(
        min((each.observed_at for each in proofs), default=None),
        max((each.started_at for each in proofs), default=None),
        seen[-1].started_at if seen else None,
    )


def answers(seen: list[SnapshotRef]) -> dict[tuple[int, float], Presence]:
    """Ask of each track every two and a half minutes."""
    stays: dict[int, list[FavouriteInterval]] = {track: [] for track in TRACKS}
    for interval in replay(seen, RemovalThreshold()).intervals:
        stays[interval.track_id].append(interval)
    known = horizon(seen)
    minutes = [each * 2.5 for each in range(-2, 120)]
    return {(track, minute): answer(stays[track], at(minute), known) for track in TRACKS for minute in minutes}


@given(walks(), st.integers(0, 8), st.sampled_from([None, 0, 20, 60]))
def test_later_snapshots_never_change_a_sure_answer(
    seen: list[tuple[SnapshotRef, object, object]], at_: int, grace_minutes: int | None
) -> None:
    every = [each for each, _, _ in seen]
    if grace_minutes is not None:
        grace = RemovalGrace(timedelta(minutes=grace_minutes), timedelta(minutes=grace_minutes))
        every = [replace(each, grace=grace, decision=None) for each in every]
    before, after = answers(every[:at_]), answers(every)
    turned = [key for key, told in before.items() if told is not Presence.UNKNOWN and after[key] is not told]
    assert not turned


@given(walks(), st.data())
def test_certain_answer_is_true_with_one_change_in_between(
    seen: list[tuple[SnapshotRef, dict[int, bool], float]], data: st.DataObject
) -> None:
    told = answers([each for each, _, _ in seen])
    for track in TRACKS:
        looks = [
            (start + data.draw(st.sampled_from([0.0, 2.5, 7.5, 10.0])), track in each.present, read[track])
            for each, read, start in seen
            if each.proves_absence or track in each.present
        ]
        flips = []
        for (one, _, was), (two, _, is_) in pairwise(looks):
            if was != is_:
                flips.append((one + (two - one) * data.draw(st.sampled_from([0.01, 0.5, 0.99])), is_))
        for minute in (each * 2.5 for each in range(-2, 120)):
            sure = told[track, minute]
            if sure is Presence.UNKNOWN:
                continue
            truth = [state for when, state in [(-1e9, looks[0][2]), *flips] if when <= minute][-1]
            assert (sure is Presence.YES) is truth, (track, minute, looks, flips)

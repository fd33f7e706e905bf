"""What is new in a list: all of it, or only additions, which the digest of the baseline shows."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from etl.model.encoding import snapshot_digest
from etl.model.records import Baseline, Item
from etl.transform.delta import find_additions, find_delta
from tests.support.lists import START, item, raw

BEFORE = [item(track_id) for track_id in (5, 3, 9)]
FAVOURITES = {5, 3, 9}


def baseline_of(items: Sequence[Item], rejected: int = 0) -> Baseline:
    """Return the stored snapshot of these items."""
    digest = snapshot_digest(each.digest for each in items)
    return Baseline(1, "succeeded", START, START, 1, digest, len(items), len(items), rejected)


def test_additions_anywhere_are_found_by_their_tracks() -> None:
    items = [item(8), BEFORE[0], item(2), *BEFORE[1:], item(4)]
    delta = find_additions(items, baseline_of(BEFORE, rejected=1), FAVOURITES)
    assert delta is not None
    assert delta.positions == [2, 5, 0]  # by track id
    assert delta.known_rejects == 1
    assert delta.known_items() == BEFORE


def test_an_added_entry_without_an_id_is_an_addition() -> None:
    delta = find_additions([*BEFORE, raw(b"[]")], baseline_of(BEFORE), FAVOURITES)
    assert delta is not None
    assert delta.positions == [3]


def test_an_entry_without_an_id_in_the_list_before_is_known() -> None:
    stored = [*BEFORE, raw(b"[]")]
    delta = find_additions([item(8), *stored], baseline_of(stored, rejected=1), FAVOURITES)
    assert delta is not None
    assert (delta.positions, delta.known_rejects, delta.known_items()) == ([0], 1, stored)


def test_any_other_change_is_more_than_additions() -> None:
    added, nameless = item(8), raw(b"[]")
    baseline = baseline_of(BEFORE)
    assert find_additions([added, *BEFORE[1:]], baseline, FAVOURITES) is None  # removed
    assert find_additions([added, item(5, track_title="Other"), *BEFORE[1:]], baseline, FAVOURITES) is None
    assert find_additions([added, *reversed(BEFORE)], baseline, FAVOURITES) is None
    assert (
        find_additions([BEFORE[0], added, *BEFORE[1:], nameless], baseline_of([*BEFORE, nameless]), FAVOURITES) is None
    )
    assert find_additions([added, *BEFORE], baseline, FAVOURITES | {8}) is None  # open, but not in the baseline


@given(
    st.lists(st.integers(1, 12), unique=True), st.lists(st.integers(1, 12), unique=True), st.sets(st.integers(1, 12))
)
def test_additions_are_the_delta_whatever_is_open(before: list[int], after: list[int], favourites: set[int]) -> None:
    stored, items = [item(track_id) for track_id in before], [item(track_id) for track_id in after]
    delta = find_additions(items, baseline_of(stored), favourites)
    if delta is not None:
        assert delta == find_delta(items, {each.digest: True for each in stored})
        assert delta.known_items() == stored
    elif [track_id for track_id in after if track_id in before] == before:
        assert favourites & set(after) != set(before)

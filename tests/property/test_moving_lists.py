"""The law that favsync stands on: a list that changes between any two requests never yields a false removal.

``pytest --hypothesis-profile thorough tests/property`` tries 5,000 lists for each law.
"""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.moving import Change, Changes, MovingList, removed_by

ONE_CHANGE = st.builds(Change, st.sampled_from(["add", "again", "remove", "move"]), st.integers(0, 200))
FEW_CHANGES = st.lists(ONE_CHANGE, max_size=3)
BEFORE_REQUESTS = st.lists(FEW_CHANGES, max_size=60)


@st.composite
def moving_lists(draw: st.DrawFn) -> MovingList:
    cap = draw(st.sampled_from([2, 3, 5, 10, 50]))
    length = draw(st.integers(1, 4 * cap if cap < 50 else 170))
    return MovingList(
        ids=list(range(1, length + 1)),
        before_requests=draw(BEFORE_REQUESTS),
        cap=cap,
        concurrency=draw(st.sampled_from([1, 4])),
    )


@st.composite
def difficult_lists(draw: st.DrawFn) -> MovingList:
    """Lists of a service that hides a row here and there, or lists a track twice."""
    moving = draw(moving_lists())
    size = min(moving.cap, 5)
    moving.limits = ((size, size), (max(2, size - 1), size + 1), (size + 1, max(2, size - 1)))
    moving.hidden = {track_id for track_id in moving.ids if track_id % size == 1} if draw(st.booleans()) else ()
    if draw(st.booleans()):
        moving.ids.insert(draw(st.integers(0, len(moving.ids))), draw(st.sampled_from(moving.ids)))
    return moving


@given(moving_lists() | difficult_lists(), st.lists(FEW_CHANGES, max_size=4), st.randoms(use_true_random=False))
def test_no_track_that_stayed_is_ever_removed(moving: MovingList, between: list[Changes], chance: object) -> None:
    favourites: set[int] = set()
    for changes in [[], *between]:
        moving.change(changes)
        seen = moving.run(favourites, choose=chance.randrange)  # type: ignore[attr-defined]
        gone = removed_by(seen, favourites)
        assert [track_id for track_id in gone if moving.stayed(track_id)] == []
        favourites = favourites - gone | {item.track_id for item in seen.items if item.track_id is not None}


@given(moving_lists() | difficult_lists(), st.randoms(use_true_random=False))
def test_a_read_names_nothing_twice(moving: MovingList, chance: object) -> None:
    ids = [item.track_id for item in moving.read(chance.randrange).seen]  # type: ignore[attr-defined]
    assert len(ids) == len(set(ids))


@given(moving_lists(), st.randoms(use_true_random=False))
def test_a_list_that_comes_to_rest_is_read_exactly(moving: MovingList, chance: object) -> None:
    favourites = {item.track_id for item in moving.run(set(), chance.randrange).items}  # type: ignore[attr-defined]
    moving.before_requests = []
    seen = moving.run(favourites, chance.randrange)  # type: ignore[attr-defined]
    assert seen.is_whole
    assert {item.track_id for item in seen.items} == set(moving.ids)


@given(st.integers(0, 130), st.sampled_from([2, 3, 7, 20, 49, 50]), st.sampled_from([1, 4]), st.randoms())
@example(1, 2, 1, None)
def test_page_size_and_order_of_answers_do_not_matter(length: int, cap: int, concurrency: int, chance: object) -> None:
    ids = list(range(1, length + 1))
    choose = chance.randrange if chance else (lambda _count: 0)  # type: ignore[attr-defined]
    walk = MovingList(ids, cap=cap, concurrency=concurrency).read(choose)
    assert walk.proven
    assert [item.track_id for item in walk.items] == ids


PAGE = 3


@pytest.mark.parametrize("concurrency", [1, 2])
def test_fewer_changes_than_a_page_never_mislead_a_run(concurrency: int) -> None:
    """Every way to change a list of five twice, before any two of the first ten requests, at three items a page.

    A track that stays can be missed by two equal readings only if all the items of the first page get in front of it between
    the two: one change for each item of a page (docs/trust.md). So two changes may do nothing at three items a page.
    """
    kinds = [*product(["move", "remove"], range(5)), ("add", 0), ("again", 0)]
    ways = 0
    for first, second in combinations_with_replacement(range(10), PAGE - 1):
        for one, other in product(kinds, repeat=2):
            before: list[list[Change]] = [[] for _ in range(10)]
            before[first].append(Change(*one))
            before[second].append(Change(*other))
            moving = MovingList([1, 2, 3, 4, 5], cap=PAGE, concurrency=concurrency)
            for offset in (0, PAGE):  # each track is seen once
                moving.favourite_tracks(offset, PAGE)
            moving.requests, moving.before_requests = 0, before
            gone = removed_by(moving.run({1, 2, 3, 4, 5}, choose=lambda count: count - 1), {1, 2, 3, 4, 5})
            assert not [track_id for track_id in gone if moving.stayed(track_id)], (first, second, one, other)
            ways += 1
    assert ways == 55 * 12**2

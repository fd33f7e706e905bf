"""Whether removals are confirmed."""

from msgspec.structs import replace

from etl.extract.confirmation import MAX_WALKS, confirm
from tests.support.lists import SMALL, raw, walked


def ids(seen):
    return [item.track_id for item in seen.items]


def test_one_proven_read_is_enough_if_nothing_is_missing():
    seen = confirm([walked([1, 2, 3])], favourites={1, 2})
    assert seen.is_whole
    assert not seen.needs_walk


def test_missing_favourite_needs_a_second_read():
    assert confirm([walked([1, 2])], favourites={1, 2, 3}).needs_walk


def test_two_reads_of_the_same_list_confirm():
    seen = confirm([walked([1, 2]), walked([1, 2])], favourites={1, 2, 3})
    assert seen.is_whole
    assert not seen.needs_walk


def test_track_seen_by_any_read_is_present():
    seen = confirm([walked([1, 3]), walked([1, 2])], favourites={1, 2, 3})
    assert set(ids(seen)) == {1, 2, 3}
    assert not seen.needs_walk


def test_reads_of_a_moving_list_do_not_confirm():
    seen = confirm([walked([1, 2, 4]), walked([4, 1, 2])], favourites={1, 2, 3})
    assert seen.needs_walk


def test_only_the_last_reads_can_confirm():
    walks = [walked([1, 2]), walked([2, 1]), walked([1, 2])]
    assert confirm(walks, favourites={1, 2, 3}).needs_walk
    assert not confirm([*walks, walked([1, 2])], favourites={1, 2, 3}).needs_walk


def test_read_with_extras_confirms_nothing():
    walks = [walked([1, 2]), walked([1, 2], extras=[4])]
    assert confirm(walks, favourites={1, 2, 3}).needs_walk
    assert confirm([*walks, walked([1, 2])], favourites={1, 2, 3}).needs_walk
    assert not confirm([*walks, walked([1, 2]), walked([1, 2])], favourites={1, 2, 3}).needs_walk


def test_a_list_that_never_keeps_still_ends_partial():
    walks = [walked([1, 2] if n % 2 else [2, 1]) for n in range(MAX_WALKS)]
    seen = confirm(walks, favourites={1, 2, 3})
    assert not seen.is_whole
    assert not seen.needs_walk
    assert "kept changing" in seen.reason


def test_unproven_read_confirms_nothing():
    seen = confirm([walked([1]), walked([1], proven=False, reason="why")], favourites={1, 2})
    assert not seen.is_whole
    assert seen.reason == "why"


def test_item_without_id_needs_no_further_read():
    walk = walked([1])
    odd = raw(b"null")
    seen = confirm([type(walk)(**{f: getattr(walk, f) for f in walk.__slots__} | {"items": (SMALL[1], odd)})], {1, 2})
    assert not seen.needs_walk


def test_missing_track_at_risk_needs_four_reads():
    walks = [replace(walked([1, 2]), pages=100)] * 4
    assert confirm(walks[:2], favourites={1, 2, 3}, at_risk={3}).needs_walk
    assert confirm(walks[:3], favourites={1, 2, 3}, at_risk={3}).needs_walk
    assert not confirm(walks, favourites={1, 2, 3}, at_risk={3}).needs_walk
    assert confirm(walks[:3], favourites={1, 3, 4}, at_risk={3}).needs_walk  # an old one too, and a new one instead
    assert not confirm(walks[:2], favourites={1, 2, 3}, at_risk={1}).needs_walk


def test_short_list_missing_one_at_risk_needs_24_pages():
    walks = [replace(walked([1, 2]), pages=3)] * 8
    assert confirm(walks[:7], favourites={1, 2, 3}, at_risk={3}).needs_walk
    assert not confirm(walks, favourites={1, 2, 3}, at_risk={3}).needs_walk


def test_sets_are_compared_where_there_is_no_order():
    walks = [walked([1, 2], is_ordered=False), walked([2, 1], is_ordered=False)]
    assert not confirm(walks, favourites={1, 2, 3}).needs_walk


def test_ordered_and_unordered_reads_do_not_confirm():
    walks = [walked([1, 2]), walked([1, 2], is_ordered=False)]
    assert confirm(walks, favourites={1, 2, 3}).needs_walk
    assert confirm(walks[::-1], favourites={1, 2, 3}).needs_walk

"""Whether removals are confirmed."""

from msgspec.structs import replace

from etl.extract.confirmation import MAX_READS
from tests.support.lists import SMALL, confirm, page_chain, raw


def ids(seen):
    return [item.track_id for item in seen.items]


def test_one_proven_walk_is_enough_where_nothing_is_missing():
    seen = confirm([page_chain([1, 2, 3])], favourites={1, 2})
    assert seen.is_whole
    assert not seen.needs_read


def test_a_missing_favourite_needs_a_second_walk():
    assert confirm([page_chain([1, 2])], favourites={1, 2, 3}).needs_read


def test_two_walks_that_spell_the_same_list_confirm():
    seen = confirm([page_chain([1, 2]), page_chain([1, 2])], favourites={1, 2, 3})
    assert seen.is_whole
    assert not seen.needs_read


def test_what_any_walk_saw_is_present():
    seen = confirm([page_chain([1, 3]), page_chain([1, 2])], favourites={1, 2, 3})
    assert set(ids(seen)) == {1, 2, 3}
    assert not seen.needs_read


def test_walks_over_a_list_that_moves_do_not_confirm():
    seen = confirm([page_chain([1, 2, 4]), page_chain([4, 1, 2])], favourites={1, 2, 3})
    assert seen.needs_read


def test_the_last_walks_must_agree_not_any_two():
    walks = [page_chain([1, 2]), page_chain([2, 1]), page_chain([1, 2])]
    assert confirm(walks, favourites={1, 2, 3}).needs_read
    assert not confirm([*walks, page_chain([1, 2])], favourites={1, 2, 3}).needs_read


def test_a_walk_that_saw_more_than_its_list_proves_nothing():
    walks = [page_chain([1, 2]), page_chain([1, 2], extras=[4])]
    assert confirm(walks, favourites={1, 2, 3}).needs_read
    assert confirm([*walks, page_chain([1, 2])], favourites={1, 2, 3}).needs_read
    assert not confirm([*walks, page_chain([1, 2]), page_chain([1, 2])], favourites={1, 2, 3}).needs_read


def test_a_list_that_never_keeps_still_ends_partial():
    walks = [page_chain([1, 2] if n % 2 else [2, 1]) for n in range(MAX_READS)]
    seen = confirm(walks, favourites={1, 2, 3})
    assert not seen.is_whole
    assert not seen.needs_read
    assert "kept changing" in seen.reason


def test_an_unproven_walk_confirms_nothing():
    seen = confirm([page_chain([1]), page_chain([1], proven=False, reason="why")], favourites={1, 2})
    assert not seen.is_whole
    assert seen.reason == "why"


def test_an_item_without_an_id_spares_further_walks():
    walk = page_chain([1])
    odd = raw(b"null")
    seen = confirm([replace(walk, items=(SMALL[1], odd))], {1, 2})
    assert not seen.needs_read


def test_a_list_that_lacks_one_at_risk_needs_four_walks():
    walks = [replace(page_chain([1, 2]), pages=100)] * 4
    assert confirm(walks[:2], favourites={1, 2, 3}, at_risk={3}).needs_read
    assert confirm(walks[:3], favourites={1, 2, 3}, at_risk={3}).needs_read
    assert not confirm(walks, favourites={1, 2, 3}, at_risk={3}).needs_read
    assert confirm(walks[:3], favourites={1, 3, 4}, at_risk={3}).needs_read  # an old one too, and a new one instead
    assert not confirm(walks[:2], favourites={1, 2, 3}, at_risk={1}).needs_read


def test_a_short_list_that_lacks_one_needs_24_pages():
    walks = [replace(page_chain([1, 2]), pages=3)] * 8
    assert confirm(walks[:7], favourites={1, 2, 3}, at_risk={3}).needs_read
    assert not confirm(walks, favourites={1, 2, 3}, at_risk={3}).needs_read


def test_sets_are_compared_where_there_is_no_order():
    walks = [page_chain([1, 2], is_ordered=False), page_chain([2, 1], is_ordered=False)]
    assert not confirm(walks, favourites={1, 2, 3}).needs_read


def test_a_read_with_an_order_does_not_agree_with_one_without():
    reads = [page_chain([1, 2]), page_chain([1, 2], is_ordered=False)]
    assert confirm(reads, favourites={1, 2, 3}).needs_read
    assert confirm(reads[::-1], favourites={1, 2, 3}).needs_read


def repeating(*track_ids):
    return replace(page_chain(sorted(set(track_ids))), positions=track_ids)


def test_a_list_with_a_repeat_needs_a_second_read():
    assert confirm([repeating(1, 2, 1)], favourites={1, 2}).needs_read
    assert confirm([repeating(1, 2, 1)] * 2, favourites={1, 2}) == confirm([repeating(1, 2, 1)] * 3, favourites={1})
    assert confirm([repeating(1, 2, 1)] * 2, favourites={1, 2}).is_whole


def test_repeats_at_other_positions_do_not_agree():
    reads = [repeating(1, 2, 1), repeating(1, 2, 1, 2)]
    assert confirm(reads, favourites={1, 2}).needs_read
    assert confirm(reads, favourites={1, 2, 3}).needs_read
    lasting = confirm([repeating(1, 2, 1) if n % 2 else repeating(2, 1, 2) for n in range(MAX_READS)], {1, 2})
    assert not lasting.is_whole
    assert "is in the list twice" in lasting.reason


def test_a_repeat_that_is_gone_in_the_next_read_was_a_move():
    assert confirm([repeating(1, 2, 1), page_chain([1, 2])], favourites={1, 2}).is_whole
    assert confirm([repeating(1, 2, 1), page_chain([1, 2])], favourites={1, 2, 3}).needs_read

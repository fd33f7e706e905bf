"""The walk: what it asks for, and when it calls a reading proven."""

import random

import pytest

from etl.extract.completeness import REFUSED, why_incomplete
from etl.extract.pagination import MAX_FAILURES_AT_ONE_OFFSET, PageRequest, Pagination
from etl.model.records import Page
from tests.support.lists import page, read


def refused(offset):
    return Page(offset, REFUSED, ())


def steady(length, cap=50):
    def answer(ask):
        return page(range(ask.offset, min(length, ask.offset + min(cap, ask.limit))), ask.offset)

    return answer


@pytest.mark.parametrize("length", [0, 1, 2, 49, 50, 51, 98, 99, 100, 147, 148, 149, 1_000])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("cap", [50, 25, 7, 2])
def test_a_list_that_keeps_still_is_proven_whole(length, concurrency, cap):
    chain = read(Pagination(concurrency=concurrency), steady(length, cap))
    assert chain.proven, chain.reason
    assert [item.track_id for item in chain.items] == list(range(length))
    assert chain.extras == ()


@pytest.mark.parametrize(("expected", "most"), [(0, 209), (10_000, 207), (9_000, 209), (20_000, 210)])
def test_ten_thousand_favourites_take_210_requests_at_most(expected, most):
    for seed in range(20):
        reading = Pagination(concurrency=4, expected=expected)
        chain = read(reading, steady(10_000), choose=random.Random(seed).randrange)
        assert chain.proven
        assert reading.requests <= most


def test_no_more_pages_are_in_flight_than_allowed():
    reading = Pagination(concurrency=4, expected=10_000)
    first = reading.next_requests()
    assert first == [PageRequest(0, 50, 0)]
    reading.feed(first[0], steady(10_000)(first[0]))
    assert [ask.offset for ask in reading.next_requests()] == [49, 98, 147, 196]
    assert reading.next_requests() == []


def test_an_empty_list_takes_two_answers():
    reading = Pagination()
    (ask,) = reading.next_requests()
    reading.feed(ask, page([], 0))
    assert reading.result is None
    (ask,) = reading.next_requests()
    reading.feed(ask, page([], 0))
    assert reading.result.proven
    assert reading.result.items == ()


def test_an_empty_first_page_before_a_full_one_is_forgotten():
    answers = iter([page([], 0), page(range(3), 0), page([2], 2), page([], 3)])
    chain = read(Pagination(), lambda _ask: next(answers))
    assert chain.proven
    assert [item.track_id for item in chain.items] == [0, 1, 2]


def test_a_list_that_showed_items_is_not_empty():
    full = iter([True, False, False, False] * 100)
    chain = read(Pagination(concurrency=1), lambda ask: page(range(3) if next(full) else [], ask.offset))
    assert not chain.proven
    assert chain.reason == "the list was empty and not empty in one read"
    assert [item.track_id for item in chain.items] == [0, 1, 2]


@pytest.mark.parametrize("at", [0, 49, 98, 147])
@pytest.mark.parametrize("length", [0, 1, 3, 20])
def test_one_short_or_empty_page_anywhere_is_read_again(at, length):
    faults = {at}

    def answer(ask):
        if ask.offset in faults:
            faults.discard(ask.offset)
            return page(range(ask.offset, ask.offset + length), ask.offset)
        return steady(180)(ask)

    chain = read(Pagination(concurrency=1), answer)
    assert chain.proven
    assert len(chain.items) == 180


def test_one_page_cut_to_its_last_item_does_not_end_the_list():
    cut = [True]

    def answer(ask):
        if ask.offset == 98 and cut:
            cut.clear()
            return page([98], 98)
        return steady(180)(ask)

    chain = read(Pagination(concurrency=1), answer)
    assert chain.proven
    assert len(chain.items) == 180


@pytest.mark.parametrize("at", [49, 98])
def test_a_page_that_stays_cut_to_its_last_item_is_no_end(at):
    def answer(ask):
        return page([at], at) if ask.offset == at else steady(130)(ask)

    chain = read(Pagination(concurrency=1), answer)
    assert not chain.proven


@pytest.mark.parametrize("length", [1, 2, 49, 50, 51, 300])
def test_a_service_that_refuses_past_the_end_is_proven(length):
    reading = Pagination(concurrency=4)
    while reading.result is None:
        for ask in reading.next_requests():
            if ask.offset < length:
                reading.feed(ask, steady(length)(ask))
            else:
                assert not reading.is_required(ask)
                reading.skip(ask)
    assert reading.result.proven
    assert len(reading.result.items) == length


@pytest.mark.parametrize("length", [1, 5, 120])
def test_a_service_down_at_the_end_counts_at_the_second_refusal(length):
    reading, dropped = Pagination(concurrency=1), []
    while True:
        (ask,) = reading.next_requests()
        if ask.offset < length and not dropped:
            reading.feed(ask, steady(length)(ask))
        elif reading.is_required(ask):
            break
        else:
            dropped.append(ask.offset)
            reading.skip(ask)
    assert dropped == [length]
    assert ask.offset == length - 1


def test_a_page_that_stays_empty_makes_the_walk_partial():
    def answer(ask):
        return page([], ask.offset) if ask.offset == 98 else steady(200)(ask)

    chain = read(Pagination(concurrency=1), answer)
    assert not chain.proven
    assert chain.reason == "the page at offset 98 stayed empty"
    assert {item.track_id for item in chain.items} >= set(range(99))


def test_a_server_that_ignores_offset_is_named():
    chain = read(Pagination(), lambda ask: page(range(50), ask.offset))
    assert not chain.proven
    assert "for every offset" in chain.reason
    assert len(chain.items) == 50


def test_a_server_that_gives_one_item_a_page_cannot_be_proven():
    chain = read(Pagination(), steady(30, cap=1))
    assert not chain.proven
    assert "one item a page" in chain.reason


def test_one_item_is_proven_where_past_the_end_is_refused():
    reading = Pagination()
    while reading.result is None:
        (ask,) = reading.next_requests()
        if ask.offset == 0:
            reading.feed(ask, page([7], 0))
        else:
            assert not reading.is_required(ask)
            reading.skip(ask)
    assert reading.result.proven


def test_a_repeat_is_left_to_another_read():
    ids = [*range(60), 5, *range(60, 100)]
    chain = read(Pagination(), lambda ask: page(ids[ask.offset : ask.offset + ask.limit], ask.offset))
    assert chain.proven
    assert list(chain.positions) == ids
    assert [item.track_id for item in chain.items] == list(range(100))


def test_a_wild_count_is_only_a_guess():
    def answer(ask):
        found = steady(120)(ask)
        return Page(found.offset, found.limit, found.items, counts=10**9)

    chain = read(Pagination(concurrency=4), answer)
    assert chain.proven
    assert len(chain.items) == 120


def test_a_failed_look_ahead_is_sent_again_only_when_needed():
    reading = Pagination(concurrency=4, expected=500)
    (ask,) = reading.next_requests()
    reading.feed(ask, steady(500)(ask))
    asks = reading.next_requests()
    assert not reading.is_required(asks[1])
    reading.skip(asks[1])
    assert asks[1].offset not in [ask.offset for ask in reading.next_requests()]
    reading.feed(asks[0], steady(500)(asks[0]))
    again = [ask for ask in reading.next_requests() if ask.offset == asks[1].offset]
    assert len(again) == 1
    assert reading.is_required(again[0])


def test_requests_are_bounded_whatever_the_service_answers():
    fresh = iter(range(10**9))
    sent = []
    chain = read(
        Pagination(max_requests=300), lambda ask: sent.append(ask) or page([next(fresh) for _ in range(50)], ask.offset)
    )
    assert not chain.proven
    assert len(sent) <= 300


def test_a_list_that_never_ends_is_given_up():
    sent = []
    reading = Pagination(concurrency=4, max_requests=300)
    chain = read(reading, lambda ask: sent.append(ask) or steady(10**9)(ask))
    assert not chain.proven
    assert chain.reason == "more than 300 requests"
    assert len(sent) <= 300


def test_an_answer_from_before_a_repair_is_thrown_away():
    reading = Pagination(concurrency=2, expected=200)
    (first,) = reading.next_requests()
    reading.feed(first, steady(200)(first))
    second, third = reading.next_requests()
    reading.feed(second, page(range(900, 950), second.offset))
    reading.feed(third, page(range(800, 850), third.offset))
    chain = read(reading, steady(200))
    assert chain.proven
    assert reading.requests == 3 + 7


def test_a_boundary_that_never_holds_is_tried_a_few_times_only():
    tries = []

    def answer(ask):
        if ask.offset == 49:
            tries.append(ask)
            return page(range(1_000, 1_050), 49)
        return steady(200)(ask)

    chain = read(Pagination(concurrency=1), answer)
    assert not chain.proven
    assert len(tries) == MAX_FAILURES_AT_ONE_OFFSET + 1


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ([], "first page"),
        ([page([1, 2], 49)], "first page"),
        ([page([], 0)], "not confirmed"),
        ([page([1, 2], 0)], "end of the list"),
        ([page([1, 2], 0), page([2], 1)], "end of the list"),
        ([page([1, 2, 3], 0), page([4], 2), page([4], 2)], "do not fit"),
        ([page([1, 2, 3], 0), page([3], 3), page([3], 3)], "do not fit"),
        ([page([1], 0), page([1], 0), page([1], 0)], "end of the list"),
        ([page([1, 2], 0), page([2], 1), page([2], 1)], "end of the list"),
        ([page([1, 2], 0), page([2], 1), page([], 1)], "end of the list"),
        ([page([1, 2], 0), page([2], 1), page([], 49)], "end of the list"),
        ([page([1, 2], 0), page([2, 3], 1), page([], 2)], "end of the list"),
        ([page([1, 2], 0), page([2], 1), refused(2)], "end of the list"),
    ],
)
def test_the_judge_refuses(chain, why):
    assert why in why_incomplete(chain)


@pytest.mark.parametrize(
    "chain",
    [
        [page([], 0), page([], 0)],
        [page([1], 0), page([1], 0), page([], 1)],
        [page([1, 2], 0), page([2], 1), page([], 2)],
        [page([1, 2], 0), page([2], 1), page([2], 1), refused(2)],
        [page([1, 2, 3], 0), page([3, 4], 2), page([4], 3), page([], 49)],
        [page([1, 2, 2, 3], 0), page([3], 3), page([], 4)],
    ],
)
def test_the_judge_passes(chain):
    assert why_incomplete(chain) == ""

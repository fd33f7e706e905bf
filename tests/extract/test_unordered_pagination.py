"""The walk over a list that comes in another order each time."""

import random

from etl.extract.pagination import Pagination
from etl.extract.unordered_pagination import UnorderedPagination
from tests.support.lists import page, read


def shuffled(length, seed=1):
    chance = random.Random(seed)

    def answer(ask):
        ids = list(range(length))
        chance.shuffle(ids)
        return page(ids[ask.offset : ask.offset + ask.limit], ask.offset)

    return answer


def test_the_ordinary_reading_notices_that_there_is_no_order():
    reading = Pagination()
    chain = read(reading, shuffled(30))
    assert not chain.proven
    assert reading.is_order_unstable


def test_two_equal_sets_of_one_page_prove_a_shuffled_list():
    chain = read(UnorderedPagination(), shuffled(30))
    assert chain.proven
    assert not chain.is_ordered
    assert {item.track_id for item in chain.items} == set(range(30))


def test_a_shuffled_list_of_several_pages_stays_partial():
    for seed in range(300):
        chain = read(UnorderedPagination(), shuffled(52, seed))
        present = {item.track_id for item in (*chain.items, *chain.extras)}
        assert not chain.proven or present == set(range(52))


def test_a_list_that_changes_between_the_readings_is_read_again():
    lists = iter([range(30), range(30), range(29), range(29), range(29), range(29)])
    current = []

    def answer(ask):
        if ask.offset == 0:
            current[:] = next(lists)
        return page(current[ask.offset : ask.offset + ask.limit], ask.offset)

    chain = read(UnorderedPagination(), answer)
    assert chain.proven

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
    verdict = read(reading, shuffled(30))
    assert not verdict.proven
    assert reading.is_order_unstable


def test_two_equal_pages_prove_a_shuffled_list():
    verdict = read(UnorderedPagination(), shuffled(30))
    assert verdict.proven
    assert not verdict.is_ordered
    assert {item.track_id for item in verdict.items} == set(range(30))


def test_a_shuffled_list_of_several_pages_stays_partial():
    for seed in range(300):
        verdict = read(UnorderedPagination(), shuffled(52, seed))
        present = {item.track_id for item in (*verdict.items, *verdict.extras)}
        assert not verdict.proven or present == set(range(52))


def test_a_list_that_changes_between_the_readings_is_read_again():
    lists = iter([range(30), range(30), range(29), range(29), range(29), range(29)])
    current = []

    def answer(ask):
        if ask.offset == 0:
            current[:] = next(lists)
        return page(current[ask.offset : ask.offset + ask.limit], ask.offset)

    verdict = read(UnorderedPagination(), answer)
    assert verdict.proven

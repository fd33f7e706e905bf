"""Reading a list with a fetch function: what one page chain saw is not lost."""

import random

from etl.extract.fetch import read_list
from tests.support.lists import page


def ids(items):
    return {item.track_id for item in items}


def test_item_removed_during_the_read_is_an_extra():
    listed, requests = list(range(120)), []

    def fetch(offset, limit):
        requests.append(offset)
        if len(requests) == 2:
            listed.remove(10)
        return page(listed[offset : offset + limit], offset)

    walk = read_list(fetch, concurrency=1)
    assert (walk.proven, walk.is_ordered) == (True, True)
    assert ids(walk.items) == set(listed)
    assert ids(walk.extras) == {10}


def test_extras_of_the_ordered_read_survive_the_unordered_one():
    listed, chance, requests = list(range(30)), random.Random(1), []

    def fetch(offset, limit):
        requests.append(offset)
        chance.shuffle(listed)
        if len(requests) == 2:
            return page([30], offset)  # listed for a moment only
        return page(listed[offset : offset + limit], offset)

    walk = read_list(fetch, concurrency=1)
    assert (walk.proven, walk.is_ordered) == (True, False)
    assert ids(walk.items) == set(range(30))
    assert ids(walk.extras) == {30}

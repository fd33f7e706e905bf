"""A service that cuts and empties half of its answers, in tiny pages: nothing is removed that is still in the list.

Not a law of Hypothesis: that a fault strikes at one place in every walk of a run is unlikely, not impossible, and it would find it.
"""

from __future__ import annotations

from random import Random

import pytest

from etl.extract.confirmation import Seen, confirm
from etl.extract.fetch import read_list
from etl.model.records import Item, Page, Walk
from tests.support.lists import START, item

RUNS = 1_200
EMPTY, CUT = 0.3, 0.2


def faulty(items: list[Item], chance: Random, page_size: int):
    """Return a fetch that empties and cuts its answers."""

    def fetch(offset: int, limit: int) -> Page:
        page = items[offset : offset + min(limit, page_size)]
        fate = chance.random()
        if fate < EMPTY:
            page = []
        elif fate < EMPTY + CUT:
            page = page[: chance.randint(0, len(page))]
        return Page(offset=offset, limit=limit, items=tuple(page))

    return fetch


def read_until_confirmed(before: list[Item], items: list[Item], chance: Random, page_size: int) -> Seen:
    """Return what a run sees, as `etl.extract.snapshot` goes about it."""
    fetch, walks = faulty(items, chance, page_size), list[Walk]()
    favourites = {each.track_id for each in before if each.track_id}
    while True:
        walks.append(read_list(fetch, concurrency=1, now=lambda: START))
        result = confirm(walks, favourites, at_risk={before[-1].track_id or 0})
        if not result.needs_walk:
            return result


@pytest.mark.parametrize("page_size", [2, 3, 5, 10])
def test_half_of_the_answers_wrong_remove_nothing_falsely(page_size):
    chance = Random(page_size)
    removed = 0
    for _ in range(RUNS // 4):
        before = [item(track_id) for track_id in range(1, chance.randint(6, 31))]
        after = [each for each in before if chance.random() > 0.05]
        result = read_until_confirmed(before, after, chance, page_size)
        there = {each.track_id for each in result.items}
        assert result.is_whole is False or {each.track_id for each in after} <= there
        removed += result.is_whole and len(there) < len(before)
    assert removed

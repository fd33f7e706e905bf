"""A service that cuts and empties half of its answers, in tiny pages: nothing is removed that is still in the list.

Not a law of Hypothesis: that a fault strikes at one place in every walk of a run is unlikely, not impossible, and it would find it.
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

import pytest

from etl.extract.completeness import PageChain
from etl.extract.fetch import Reading, ReadOptions, read_with
from etl.model.records import Item, Page
from tests.support.lists import SMALL, Confirmation, confirm, read

RUNS = 1_200
EMPTY, CUT = 0.3, 0.2


def faulty(items: list[Item], chance: Random, page_size: int, hidden: Collection[Item]):
    """Return a fetch that empties and cuts its answers. It drops the ``hidden`` rows of a page."""

    def fetch(offset: int, limit: int) -> Page:
        page = [row for row in items[offset : offset + min(limit, page_size)] if row not in hidden]
        fate = chance.random()
        if fate < EMPTY:
            page = []
        elif fate < EMPTY + CUT:
            page = page[: chance.randint(0, len(page))]
        return Page(offset=offset, limit=limit, items=tuple(page))

    return fetch


def seen(
    before: list[Item], items: list[Item], chance: Random, page_size: int, hidden: Collection[Item]
) -> Confirmation:
    """Return what a run sees, as `etl.extract.snapshot` goes about it."""
    fetch, walks = faulty(items, chance, page_size, hidden), list[PageChain]()

    def in_order(reading: Reading) -> PageChain:
        return read(reading, lambda ask: fetch(ask.offset, ask.limit))

    favourites = {each.track_id for each in before if each.track_id}
    while True:
        limits = (max(2, page_size - len(walks) % 2), page_size + 1)
        expected = len(walks[-1].items) if walks else len(before)
        options = ReadOptions(concurrency=1, limits=limits, expected=expected, is_confirming=bool(walks))
        walks.append(read_with(in_order, options))
        told = confirm(walks, favourites, at_risk={before[-1].track_id or 0})
        if not told.needs_read:
            return told


@pytest.mark.parametrize("page_size", [2, 3, 5, 10])
@pytest.mark.parametrize("is_hiding", [False, True], ids=["", "with hidden rows"])
def test_half_of_the_answers_wrong_remove_nothing_falsely(page_size, is_hiding):
    chance = Random(page_size)
    removed = 0
    for _ in range(RUNS // 4):
        before = [SMALL[track_id] for track_id in range(1, chance.randint(6, 31))]
        after = [each for each in before if chance.random() > 0.05]
        rows = [row for each in after for row in (each, SMALL[0])[: 1 + (is_hiding and chance.random() < 0.2)]]
        told = seen(before, rows, chance, page_size, [SMALL[0]])
        there = {each.track_id for each in told.items}
        assert told.is_whole is False or {each.track_id for each in after} <= there
        removed += told.is_whole and len(there) < len(before)
    assert removed or is_hiding  # every answer of a list with hidden rows must be right for longer

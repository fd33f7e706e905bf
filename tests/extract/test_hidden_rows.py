"""Reads of a service that cuts a page out of the list first and drops hidden rows afterwards."""

from random import Random

import pytest

from etl.extract.completeness import REFUSED, why_incomplete_with_hidden_rows
from etl.extract.fetch import ReadOptions, read_list
from etl.extract.filtered_pagination import MAX_FAILURES, FilteredPagination
from etl.extract.remainder import HIDDEN_END
from etl.extract.snapshot import LIMITS
from etl.model.records import Page
from tests.support.lists import hiding, page, read


def listed(chain):
    return [item.track_id for item in chain.items]


def seen(chain):
    return {item.track_id for item in chain.seen}


@pytest.mark.parametrize("limits", LIMITS[:3])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("hidden", [{0}, {30}, {49}, {50}, {75}, {98}, {99}, set(range(3, 100, 4)), set(range(40, 75))])
def test_a_list_with_hidden_rows_is_proven(hidden, concurrency, limits):
    chain = read_list(hiding(range(100), hidden), ReadOptions(concurrency=concurrency, limits=limits))
    assert chain.proven, chain.reason
    assert listed(chain) == [row for row in range(100) if row not in hidden]
    assert chain.extras == ()


@pytest.mark.parametrize("cap", [10, 25, 50])
def test_any_hidden_rows_are_proven_or_named_partial(cap):
    chance = Random(cap)
    for _ in range(100):
        rows = range(chance.randint(4, 130))
        hidden = {row for row in rows if chance.random() < 0.2}
        chain = read_list(hiding(rows, hidden, cap), ReadOptions(concurrency=1))
        assert seen(chain) == set(rows) - hidden
        assert not chain.proven or listed(chain) == [row for row in rows if row not in hidden]


def test_rows_hidden_over_a_whole_page_are_never_an_end():
    hidden = set(range(60, 120))
    chain = read_list(hiding(range(300), hidden), ReadOptions(concurrency=1, expected=300))
    assert not chain.proven
    assert chain.reason == HIDDEN_END
    assert seen(chain) == set(range(300)) - hidden


def test_a_list_that_is_shorter_than_expected_stays_proven():
    sent = []
    fetch = hiding(range(200), ())
    options = ReadOptions(concurrency=1, expected=201)
    chain = read_list(lambda offset, limit: sent.append(offset) or fetch(offset, limit), options)
    assert chain.proven
    assert len(sent) == 7 + 2


@pytest.mark.parametrize("options", [ReadOptions(1, limits=(2, 2), is_confirming=True), ReadOptions(1, 9, (2, 2))])
def test_an_end_that_is_falsely_empty_once_is_found_out(options):
    fetch, faults = hiding(range(10), {8}, 2), [True]

    def empty_once(offset, limit):
        return page([], offset, limit) if offset == 8 and faults and faults.pop() else fetch(offset, limit)

    chain = read_list(empty_once, options)
    assert (chain.proven, chain.reason, 9 in seen(chain)) == (False, HIDDEN_END, True)


def test_a_service_that_ignores_offset_stays_partial():
    chain = read_list(lambda offset, limit: page(range(30), offset, limit), ReadOptions(concurrency=1))
    assert not chain.proven
    assert "for every offset" in chain.reason
    assert seen(chain) == set(range(30))


def test_a_cut_page_is_read_again_and_a_lasting_cut_ends_the_try():
    fetch, faults = hiding(range(100), {30}), [True]

    def cut_once(ask):
        whole = fetch(ask.offset, ask.limit)
        return Page(ask.offset, ask.limit, whole.items[40:]) if ask.offset and faults and faults.pop() else whole

    def pagination():
        return FilteredPagination(limit=50, first_limit=50, max_requests=100)

    assert read(pagination(), cut_once).proven
    sent = []
    chain = read(pagination(), lambda ask: sent.append(ask) or page([ask.offset], ask.offset, ask.limit))
    assert not chain.proven
    assert len(sent) <= 4 * (MAX_FAILURES + 1)


FIRST = page([1, 2, 3], 0, 5)
SECOND = page([3, 4], 3, 5)
LAST, AFTER, BEYOND = page([4], 4, 5), page([], 5, 5), page([], 9, 5)


@pytest.mark.parametrize(
    "pages",
    [
        [FIRST, SECOND, LAST, AFTER, BEYOND],
        [FIRST, page([2, 3, 4], 2, 5), page([3, 4], 4, 5), page([4], 5, 5), BEYOND],
        [FIRST, SECOND, LAST, LAST, Page(9, REFUSED, ())],
        [page([4], 0, 5), page([4], 0, 5), page([], 1, 5), page([], 5, 5)],
    ],
)
def test_overlapping_pages_with_three_last_answers_are_whole(pages):
    assert why_incomplete_with_hidden_rows(pages) == ""


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([], "end of the list"),
        ([FIRST, SECOND, LAST, AFTER], "end of the list"),
        ([page([1, 2, 3], 1, 5), SECOND, LAST, AFTER, BEYOND], "end of the list"),
        ([FIRST, page([4], 3, 5), LAST, AFTER, BEYOND], "do not overlap"),
        ([FIRST, page([3, 4], 5, 5), page([4], 6, 5), page([], 7, 5), page([], 11, 5)], "do not overlap"),
        ([FIRST, SECOND, LAST, AFTER, page([5], 9, 5)], "end of the list"),
        ([FIRST, SECOND, LAST, AFTER, page([], 8, 5)], "end of the list"),
        ([FIRST, SECOND, LAST, page([5], 5, 5), BEYOND], "end of the list"),
        ([FIRST, SECOND, LAST, page([], 4, 5), BEYOND], "end of the list"),
        ([FIRST, SECOND, page([4, 5], 4, 5), AFTER, BEYOND], "end of the list"),
    ],
)
def test_without_an_overlap_or_an_end_nothing_is_whole(pages, why):
    assert why in why_incomplete_with_hidden_rows(pages)

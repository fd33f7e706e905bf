"""Whole reads: refused pages, what is behind them, and requests that are never answered."""

import threading
import time

import pytest
import structlog

from etl import logs
from etl.errors import ApiRefused, ApiUnreachable, CredentialsError, PayloadError, RateLimited, Stopped
from etl.extract.confirmation import needs_another_read
from etl.extract.fetch import ReadOptions, read_list
from tests.support.lists import START, hiding, page, page_chain

ONE_AT_A_TIME = ReadOptions(concurrency=1)


def seen(chain):
    return {item.track_id for item in chain.seen}


def refusing(error, offsets, length=1_300):
    whole = hiding(range(length), ())

    def fetch(offset, limit):
        if offset in offsets:
            raise error
        return whole(offset, limit)

    return fetch


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("error", [ApiRefused("HTTP 400", status=400), PayloadError("no list")])
def test_refused_deep_pages_leave_what_was_read(error, concurrency):
    fetch = refusing(error, range(1_000, 10_000))
    chain = read_list(fetch, ReadOptions(concurrency=concurrency, expected=1_300))
    assert not chain.proven
    assert chain.reason == str(error)
    assert seen(chain) >= set(range(1_000))


def test_one_refused_page_hides_nothing_behind_it():
    chain = read_list(refusing(ApiRefused("HTTP 400"), range(98, 99), 400), ONE_AT_A_TIME)
    assert not chain.proven
    assert seen(chain) >= set(range(99)) | set(range(147, 400))


@pytest.mark.parametrize(
    "error", [CredentialsError("HTTP 401"), ApiUnreachable("no network"), RateLimited("later", retry_at=START)]
)
def test_other_errors_end_the_run_at_any_page(error):
    for offset in (0, 98):
        with pytest.raises(type(error)):
            read_list(refusing(error, range(offset, 10_000)), ONE_AT_A_TIME)


def test_a_refused_first_page_is_an_error():
    with pytest.raises(ApiRefused):
        read_list(refusing(ApiRefused("HTTP 400"), range(10_000)), ONE_AT_A_TIME)


def test_what_is_behind_a_page_that_stays_empty_is_read():
    whole = hiding(range(400), ())
    chain = read_list(lambda offset, limit: page([], offset) if offset == 98 else whole(offset, limit), ONE_AT_A_TIME)
    assert not chain.proven
    assert chain.reason == "the page at offset 98 stayed empty"
    assert seen(chain) >= set(range(99)) | set(range(148, 400))


def test_every_item_of_a_service_with_one_item_a_page_is_read():
    chain = read_list(hiding(range(60), (), cap=1), ONE_AT_A_TIME)
    assert not chain.proven
    assert "one item a page" in chain.reason
    assert seen(chain) == set(range(60))


def test_reading_on_is_bounded():
    sent = []

    def fetch(offset, limit):
        sent.append(offset)
        return page([] if offset == 49 else range(min(offset, 49), 50), offset, limit)

    assert not read_list(fetch, ONE_AT_A_TIME).proven
    assert len(sent) < 40


def test_a_request_without_an_answer_blocks_no_exit():
    release = threading.Event()
    workers = []

    def fetch(offset, limit):
        workers.append(threading.current_thread())
        release.wait()
        return page([], offset, limit)

    with pytest.raises(ApiUnreachable, match="no request was answered within 0 s"):
        read_list(fetch, ReadOptions(answer_within_seconds=0))
    release.set()
    assert all(worker.daemon for worker in workers)
    assert all(each.daemon for each in threading.enumerate() if each.name == "favsync-page")


def test_an_unforeseen_error_of_a_thread_is_raised_by_the_read():
    with pytest.raises(ZeroDivisionError):
        read_list(lambda offset, _limit: page([offset // 0]), ONE_AT_A_TIME)


def test_an_error_of_the_progress_display_is_raised_by_the_read():
    def progress(_items_read):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_list(hiding(range(400), ()), ReadOptions(progress=progress))


def test_a_read_that_is_stopped_while_it_waits_ends():
    release, is_stopped = threading.Event(), threading.Event()

    def fetch(offset, limit):
        is_stopped.set()
        release.wait()
        return page([], offset, limit)

    with pytest.raises(Stopped, match="stopped before there was an answer"):
        read_list(fetch, ReadOptions(is_stopped=is_stopped.is_set))
    release.set()


def test_pages_are_passed_on_one_at_a_time_in_one_log_context():
    inside, together, contexts = [], [], []

    def progress(_items_read):
        inside.append(None)
        time.sleep(0.001)  # another thread would be here too
        together.append(len(inside))
        inside.pop()

    whole = hiding(range(2_000), ())

    def fetch(offset, limit):
        contexts.append(structlog.contextvars.get_contextvars())
        return whole(offset, limit)

    with logs.bound(account="ada"):
        chain = read_list(fetch, ReadOptions(expected=2_000, progress=progress))
    assert chain.proven
    assert len(chain.items) == 2_000
    assert set(together) == {1}
    assert contexts == [{"account": "ada"}] * len(contexts)


def test_ordered_items_contradict_a_list_without_order():
    orders = [[1, 2, 3], [3, 1, 2], [2, 3, 1]]
    sent = []

    def fetch(offset, limit):
        sent.append(offset)
        ids = orders[len(sent) % 3] + ([9] if len(sent) == 2 else [])
        return page(ids[offset : offset + limit], offset, limit)

    chain = read_list(fetch, ONE_AT_A_TIME)
    assert chain.proven
    assert not chain.is_ordered
    assert seen(chain) == {1, 2, 3, 9}
    assert [item.track_id for item in chain.extras] == [9]
    assert needs_another_read([page_chain([1, 2, 3], is_ordered=False), chain], favourites={1, 2, 3, 4})

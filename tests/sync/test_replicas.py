"""A service that answers from a copy which lags behind: the newest favourites are missing from it, again and again, in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine

from tests.conftest import ENGINES, FilledDatabase
from tests.support.database import Database, open_database
from tests.support.lists import START, FakeSource, item

OLD, GONE, NEW, STAYING = 1, 2, 3, range(10, 30)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


def lagging(requests: int, stale: list[int], fresh: list[int]) -> FakeSource:
    """Return a service that gives a stale list for so many requests, and the fresh one after them."""
    source = FakeSource(items=[item(track_id) for track_id in stale])

    def catch_up(number: int) -> None:
        if number > requests:
            source.items = [item(track_id) for track_id in fresh]

    source.before = catch_up
    return source


def days_with_a_new_favourite(url: str) -> None:
    """Sync lists of three days: a favourite leaves, then one is new."""
    with open_database(url) as database:
        for days, track_ids in enumerate(([OLD, GONE, *STAYING], [OLD, *STAYING], [NEW, OLD, *STAYING])):
            with time_machine.travel(START + timedelta(days=2 * days), tick=False):
                database.sync(FakeSource(items=[item(track_id) for track_id in track_ids]))


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lag", [3, 6, 9, 12, 20])
@pytest.mark.parametrize(
    ("stale", "fresh"),
    [
        ([OLD, *STAYING], [NEW, OLD, *STAYING]),
        ([OLD, GONE, *STAYING], [NEW, OLD, *STAYING]),
        ([GONE, *STAYING], [NEW, *STAYING]),
    ],
    ids=["the newest lacks", "and one that left is back", "and an old one has left since"],
)
def test_new_favourite_missing_on_a_replica_is_not_removed(
    filled_database: FilledDatabase[None], engine: str, lag: int, stale: list[int], fresh: list[int]
) -> None:
    url, _ = filled_database(engine, days_with_a_new_favourite)
    with open_database(url) as database:
        with time_machine.travel(START + timedelta(days=4, hours=1), tick=False):
            database.sync(lagging(lag, stale, fresh))
        assert NEW in database.open_tracks()
        assert NEW not in database.removed_tracks()


def test_new_favourite_that_is_gone_is_removed_by_the_next_run(database: Database) -> None:
    database.sync(FakeSource(items=[item(1), item(2)]))
    database.sync(FakeSource(items=[item(3), item(1), item(2)]))
    assert database.sync(FakeSource(items=[item(1), item(2)])).removed == 1


@pytest.mark.parametrize(("left", "most"), [([1, 3], 10), ([1, 2], 34)], ids=["from the middle", "the list's last"])
def test_old_favourite_takes_two_reads_and_the_last_item_more(database: Database, left: list[int], most: int) -> None:
    with time_machine.travel(START, tick=False):
        database.sync(FakeSource(items=[item(1), item(2), item(3)]))
    with time_machine.travel(START + timedelta(days=2), tick=False):
        source = FakeSource(items=[item(track_id) for track_id in left])
        assert database.sync(source).removed == 1
    assert most // 2 < source.requests <= most

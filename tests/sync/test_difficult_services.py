"""Whole runs against services that hide rows, list tracks twice or refuse pages."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from etl.errors import ApiRefused
from etl.model.records import Item, Page
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item

FAVOURITES = [item(track_id) for track_id in range(1, 101)]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


class Hiding(FakeSource):
    """A service that drops the hidden rows of a page after it has cut the page out of the list."""

    def __init__(self, items: list[Item], hidden: Collection[Item]) -> None:
        super().__init__(items=items)
        self.hidden = hidden

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        page = super().favourite_tracks(offset, limit)
        return Page(offset, limit, tuple(row for row in page.items if row not in self.hidden))


def without(*track_ids: int) -> list[Item]:
    return [each for each in FAVOURITES if each.track_id not in track_ids]


def test_removals_are_recorded_despite_a_hidden_row(database: Database) -> None:
    hidden = [FAVOURITES[49]]
    assert database.sync(Hiding(FAVOURITES, hidden)).added == 99
    assert database.sync(Hiding(FAVOURITES, hidden)).outcome == "unchanged"
    report = database.sync(Hiding(without(20, 80), hidden))
    assert (report.outcome, report.removed) == ("succeeded", 2)
    assert database.removed_tracks() == [20, 80]
    assert database.equals_replay()


def test_rows_hidden_over_a_whole_page_remove_nothing(database: Database) -> None:
    favourites = [item(track_id) for track_id in range(1, 301)]
    database.sync(FakeSource(items=favourites))
    report = database.sync(Hiding(favourites, favourites[60:120]))
    assert (report.outcome, report.removed, report.missing) == ("partial", 0, 0)
    assert len(database.open_tracks()) == 300


def test_an_end_that_is_falsely_empty_removes_nothing(database: Database) -> None:
    class FalseEnd(Hiding):
        """Pages of two rows; the first answer at the last row is empty in each read."""

        is_empty = False

        def favourite_tracks(self, offset: int, limit: int) -> Page:
            self.is_empty = self.is_empty or offset == 0
            if offset == 8 and self.is_empty:
                self.is_empty = False
                return Page(offset, limit, ())
            return super().favourite_tracks(offset, min(limit, 2))

    favourites = FAVOURITES[:10]
    database.sync(Hiding(favourites, favourites[8:9]))
    database.sync(FalseEnd(favourites, favourites[8:9]))
    assert 10 in database.open_tracks()


def test_removals_are_recorded_despite_a_lasting_repeat(database: Database) -> None:
    assert database.sync(FakeSource(items=[*FAVOURITES, FAVOURITES[4]])).outcome == "succeeded"
    assert database.sync(FakeSource(items=[*FAVOURITES, FAVOURITES[4]])).outcome == "unchanged"
    report = database.sync(FakeSource(items=[*without(20), FAVOURITES[4]]))
    assert (report.outcome, report.removed) == ("succeeded", 1)
    assert database.open_tracks() == set(range(1, 101)) - {20}


def test_a_service_that_refuses_deep_pages_stores_what_it_lists(database: Database) -> None:
    class Refusing(FakeSource):
        def favourite_tracks(self, offset: int, limit: int) -> Page:
            if offset >= 60:
                raise ApiRefused("favourite tracks at offset 60: HTTP 400", status=400)
            return super().favourite_tracks(offset, limit)

    first = database.sync(Refusing(items=FAVOURITES))
    assert (first.outcome, first.added, first.exit_code) == ("partial", 99, 6)
    assert "HTTP 400" in (first.reason or "")
    second = database.sync(Refusing(items=[item(500), *without(20)]))
    assert (second.outcome, second.added, second.removed) == ("partial", 1, 0)


def test_one_item_a_page_adds_everything(database: Database) -> None:
    class OneByOne(FakeSource):
        def favourite_tracks(self, offset: int, limit: int) -> Page:
            return super().favourite_tracks(offset, 1)

    report = database.sync(OneByOne(items=FAVOURITES))
    assert (report.outcome, report.added) == ("partial", 100)
    assert "one item a page" in (report.reason or "")

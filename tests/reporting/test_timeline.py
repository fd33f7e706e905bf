"""Events of tracks, with the gaps in which a track was not listed."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import Connection

from etl.db.engine import open_engine, read_transaction
from etl.load.accounts import enabled_accounts
from etl.model.records import RemovalGrace
from etl.replay.snapshots import snapshot_refs
from etl.reporting.list_as_of import list_at
from etl.reporting.timeline import Event, events
from etl.sync import RunOptions, sync_account
from etl.transform.as_of import Presence
from tests.support.lists import START, FakeSource, item
from tests.support.past import account_in
from tests.support.seeded import intervals

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))


def day(number: float) -> datetime:
    return START + timedelta(days=number)


class Listed:
    """An account whose list is read once a day."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self.account = account_in(self.engine)

    def live(self, *lists: list[int]) -> None:
        with time_machine.travel(START, tick=False) as time:
            for number, each in enumerate(lists):
                time.move_to(day(number))
                source = FakeSource([item(track_id) for track_id in each])
                sync_account(self.engine, self.account, source, RunOptions(concurrency=1, grace=GRACE))

    def events(self, track_ids: set[int] | None) -> list[Event]:
        with read_transaction(self.engine) as connection:
            return [event for event in events(connection, [self.account], track_ids) if event.track_id == 3]

    def answer(self, at: datetime) -> Presence:
        """Return whether track 3 was a favourite at ``at``."""
        with read_transaction(self.engine) as connection:
            (row,) = [row for row in list_at(connection, self.account.account_id, at) if row.track_id == 3]
            return row.answer


@pytest.fixture
def listed(database_url: str) -> Any:
    made = Listed(database_url)
    yield made
    made.engine.dispose()


WITH, WITHOUT = [1, 2, 3, 4], [1, 2, 4]


def test_a_track_that_came_back_has_a_gap(listed: Listed) -> None:
    listed.live(WITH, WITHOUT, WITHOUT, WITH, WITHOUT, WITH)
    found = [(event.change, event.not_before, event.at, event.run_id) for event in listed.events({3})]
    assert found == [
        ("there", None, day(0), 1),
        ("not listed", day(1), day(3), 4),
        ("not listed", day(4), day(5), 6),
    ]
    assert [event.change for event in listed.events(None)] == ["there"]


def test_a_track_that_is_missing_now_has_no_end_of_the_gap(listed: Listed) -> None:
    listed.live(WITH, WITHOUT, WITHOUT)
    found = [(event.change, event.not_before, event.at) for event in listed.events({3})]
    assert found == [("there", None, day(0)), ("missing", day(0), day(1))]
    assert [event.change for event in listed.events(None)] == ["there", "missing"]


def test_a_removal_is_no_gap(listed: Listed) -> None:
    listed.live(WITH, WITHOUT, WITHOUT, WITHOUT, WITHOUT, WITHOUT)
    removed = listed.events({3})[-1]
    assert (removed.change, removed.not_before, removed.at, removed.removal_reason) == (
        "removed",
        day(0),
        day(1),
        "unknown",
    )
    assert len(listed.events({3})) == 2


def test_as_of_is_unknown_while_a_track_is_missing(listed: Listed) -> None:
    listed.live(WITH, WITHOUT, WITHOUT, WITHOUT, WITHOUT)
    assert [listed.answer(day(at)) for at in (0, 0.5, 1, 4)] == [Presence.YES, *[Presence.UNKNOWN] * 3]


def test_as_of_is_no_from_the_removal(listed: Listed) -> None:
    listed.live(WITH, *[WITHOUT] * 5)
    assert [listed.answer(day(at)) for at in (0, 0.5, 1, 5)] == [
        Presence.YES,
        Presence.UNKNOWN,
        Presence.NO,
        Presence.NO,
    ]


def test_as_of_is_yes_after_a_missing_track_came_back(listed: Listed) -> None:
    listed.live(WITH, WITHOUT, WITHOUT, WITH)
    assert [listed.answer(day(at)) for at in (0, 1, 2, 3)] == [Presence.YES] * 4


def test_as_of_is_unknown_while_a_list_looks_foreign(listed: Listed) -> None:
    own = list(range(1, 31))
    without = [track_id for track_id in own if track_id != 3]
    listed.live(own, *[without] * 5, [3, *range(101, 131)])
    assert [listed.answer(day(at)) for at in (1, 5, 5.5, 6)] == [Presence.NO] * 2 + [Presence.UNKNOWN] * 2


def test_gaps_of_the_history_are_those_of_its_snapshots(seeded: Connection) -> None:
    for account in enabled_accounts(seeded):
        stays = [stay for name, stay in intervals(seeded) if name == account.name]
        wanted = set()
        snapshots = list(snapshot_refs(seeded, account.account_id))
        for stay in stays:
            since = None
            for seen in snapshots:
                if (
                    not stay.valid_from
                    <= seen.observed_at
                    < (stay.valid_to or datetime.max.replace(tzinfo=START.tzinfo))
                ):
                    continue
                if stay.track_id in seen.present:
                    if since is not None:
                        wanted.add((stay.track_id, since, seen.observed_at))
                    since = None
                elif seen.proves_absence:
                    since = since or seen.observed_at
        found = events(seeded, [account], {stay.track_id for stay in stays})
        gaps = {(event.track_id, event.not_before, event.at) for event in found if event.change == "not listed"}
        assert gaps == wanted
        by_track: dict[str, set[int]] = defaultdict(set)
        for event in found:
            by_track[event.change].add(event.track_id)
        assert by_track["missing"] == {stay.track_id for stay in stays if stay.missing_since}
        assert gaps

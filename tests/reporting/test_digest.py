"""`favsync digest`: what is told, to which channel, and never twice; on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import Engine

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.load.accounts import Account, ensure_account, find_accounts
from etl.model.records import RemovalThreshold, Review
from etl.replay.review import review_run
from etl.reporting.digest import Digest, DigestRange, digest, digest_after
from etl.reporting.digest_cursor import Cursor, cursor_of, newest_cursor, set_cursor
from etl.sync import RunOptions, RunResult, sync_account
from tests.support.lists import FakeSource, item

DAY = datetime(2026, 3, 1, 6, tzinfo=UTC)
LIST = [item(number) for number in range(1, 31)]


class Story:
    """An account that is synced once a day."""

    def __init__(self, url: str, time: Any) -> None:
        self.engine: Engine = open_engine(url)
        self.time = time
        with write_transaction(self.engine) as connection:
            ensure_account(connection, "ada", DAY)
        with read_transaction(self.engine) as connection:
            (self.account,) = find_accounts(connection)

    def sync(self, items: list[Any]) -> RunResult:
        """Sync a day later."""
        self.time.shift(timedelta(days=1))
        report = sync_account(self.engine, self.account, FakeSource(items), RunOptions(concurrency=1))
        assert report.error is None
        return report

    def told(self, since: DigestRange) -> Digest:
        """Return the digest since then."""
        with read_transaction(self.engine) as connection:
            return digest(connection, self.account.name, since)

    def next(self, channel: str = "mail") -> Digest:
        """Return the digest since the last one, and move the mark, as the verb does."""
        with write_transaction(self.engine) as connection:
            account: Account = self.account
            former = cursor_of(connection, account.account_id, channel) or Cursor(0, None, DAY)
            found = digest(connection, account.name, DigestRange(after_run=former.run_id, held_run=former.held_run_id))
            reached = newest_cursor(connection, account.account_id, DAY)
            assert reached is not None
            set_cursor(connection, account.account_id, channel, reached)
            return found


@pytest.fixture
def story(database_url: str) -> Any:
    with time_machine.travel(DAY, tick=False) as time:
        made = Story(database_url, time)
        yield made
        made.engine.dispose()


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["track_id"] for row in rows)


def test_the_first_look_is_counted_and_not_listed(story: Story) -> None:
    story.sync(LIST)
    found = story.next()
    assert (found.there, found.added, found.favourites) == (30, [], 30)
    assert found.has_changes


def test_a_digest_tells_what_came_went_and_came_back_once(story: Story) -> None:
    story.sync(LIST)
    story.next()
    story.sync([*LIST[2:], item(31)])
    story.time.shift(timedelta(hours=1))
    story.sync([*LIST[1:], item(31)])
    found = story.next()
    assert (ids(found.added), ids(found.back), ids(found.removed), found.there) == ([31], [2], [1, 2], 0)
    assert all(row["not_before"] < row["changed_at"] for row in (*found.added, *found.back, *found.removed))
    assert not story.next().has_news


def test_each_channel_is_told_for_itself(story: Story) -> None:
    story.sync(LIST)
    story.next("mail")
    story.next("chat")
    story.sync(LIST[1:])
    assert ids(story.next("mail").removed) == [1]
    assert not story.next("mail").has_news
    assert ids(story.next("chat").removed) == [1]


def test_held_removals_are_told_as_waiting_and_as_removed_when_they_are(story: Story) -> None:
    story.sync(LIST)
    story.next()
    run = story.sync(LIST[15:])
    found = story.next()
    assert (found.held, found.removed) == ((run.run_id, 15), [])
    assert run.run_id is not None
    review_run(story.engine, run.run_id, Review.APPROVED, RemovalThreshold())
    found = story.next()
    assert (found.held, ids(found.removed)) == (None, list(range(1, 16)))
    assert not story.next().has_news


def test_a_track_that_is_lost_at_home_and_a_changed_title_are_told(story: Story) -> None:
    story.sync(LIST)
    story.next()
    story.sync([item(1, available_markets="GH,KE"), item(2, track_title="Corrected"), *LIST[2:]])
    found = story.next()
    assert ids(found.lost) == [1]
    assert [(row["track_id"], row["field"], row["new_value"]) for row in found.facts] == [(2, "title", "Corrected")]
    assert not found.has_changes


def test_a_run_that_proved_nothing_is_told(story: Story) -> None:
    story.sync(LIST)
    story.next()
    story.time.shift(timedelta(days=1))
    source = FakeSource(list(LIST), before=lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sync_account(story.engine, story.account, source, RunOptions(concurrency=1))
    (trouble,) = story.next().troubles
    assert trouble["outcome"] == "failed"


def test_one_run_can_be_told_alone_and_everything_since_an_instant(story: Story) -> None:
    story.sync(LIST)
    second = story.sync(LIST[1:])
    story.sync(LIST[2:])
    assert second.run_id is not None
    with read_transaction(story.engine) as connection:
        assert ids(digest_after(connection, second.run_id).removed) == [1]
    assert ids(story.told(DigestRange(instant=DAY + timedelta(days=2))).removed) == [1, 2]
    assert ids(story.told(DigestRange(instant=DAY + timedelta(days=2, hours=1))).removed) == [2]

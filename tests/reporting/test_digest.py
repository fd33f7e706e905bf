"""Digests and their cursors, on both engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import Engine

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.load.accounts import Account, enabled_accounts, ensure_account
from etl.model.records import Item, RemovalGrace, RemovalThreshold, Review
from etl.replay.review import review_account, review_run
from etl.reporting.digest import Cursor, Digest, DigestRange, cursor_of, digest, newest_cursor, set_cursor
from etl.sync import RunOptions, RunResult, sync_account
from tests.support.lists import FakeSource, item

DAY = datetime(2026, 3, 1, 6, tzinfo=UTC)
LIST = [item(number) for number in range(1, 31)]


AT_ONCE, GRACE = RemovalGrace(), RemovalGrace(timedelta(hours=48), timedelta(days=7))


@dataclass
class SourceWithCatalogue(FakeSource):
    """A service whose catalogue has every track but number 3."""

    def catalogue(self, track_ids: Sequence[int], known_id: int | None) -> Mapping[int, Item | None]:
        return {number: None if number == 3 else item(number) for number in track_ids}


class SyncedAccount:
    """An account that is synced once a day."""

    def __init__(self, url: str, time: Any) -> None:
        self.engine: Engine = open_engine(url)
        self.time = time
        with write_transaction(self.engine) as connection:
            ensure_account(connection, "ada", DAY)
        with read_transaction(self.engine) as connection:
            (self.account,) = enabled_accounts(connection)

    def sync(self, items: list[Any], grace: RemovalGrace = AT_ONCE) -> RunResult:
        """Sync a day later."""
        self.time.shift(timedelta(days=1))
        options = RunOptions(concurrency=1, grace=grace)
        report = sync_account(self.engine, self.account, SourceWithCatalogue(items), options)
        assert report.error is None
        return report

    def since(self, start: DigestRange) -> Digest:
        """Return the digest of the range."""
        with read_transaction(self.engine) as connection:
            return digest(connection, self.account.name, start)

    def next(self, channel: str = "mail") -> Digest:
        """Return the digest since the last one, and move the cursor, as the verb does."""
        with write_transaction(self.engine) as connection:
            account: Account = self.account
            former = cursor_of(connection, account.account_id, channel) or Cursor(0, None, DAY)
            found = digest(connection, account.name, DigestRange(after_run=former.run_id, held_run=former.held_run_id))
            reached = newest_cursor(connection, account.account_id, DAY)
            assert reached is not None
            set_cursor(connection, account.account_id, channel, reached)
            return found


@pytest.fixture
def synced(database_url: str) -> Any:
    with time_machine.travel(DAY, tick=False) as time:
        made = SyncedAccount(database_url, time)
        yield made
        made.engine.dispose()


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["track_id"] for row in rows)


def test_favourites_of_the_first_snapshot_are_only_counted(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    found = synced.next()
    assert (found.there, found.added, found.favourites) == (30, [], 30)
    assert found.has_changes


def test_additions_removals_and_returns_are_listed_once(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.next()
    synced.sync([*LIST[2:], item(31)])
    synced.time.shift(timedelta(hours=1))
    synced.sync([*LIST[1:], item(31)])
    found = synced.next()
    assert (ids(found.added), ids(found.back), ids(found.removed), found.there) == ([31], [2], [1, 2], 0)
    assert all(row["not_before"] < row["changed_at"] for row in (*found.added, *found.back, *found.removed))
    assert not synced.next().has_content


def test_each_channel_has_its_own_cursor(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.next("mail")
    synced.next("chat")
    synced.sync(LIST[1:])
    assert ids(synced.next("mail").removed) == [1]
    assert not synced.next("mail").has_content
    assert ids(synced.next("chat").removed) == [1]


def test_held_removals_are_listed_again_once_approved(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.next()
    run = synced.sync(LIST[15:])
    found = synced.next()
    assert (found.held, found.removed) == ((run.run_id, 15), [])
    assert run.run_id is not None
    review_run(synced.engine, run.run_id, Review.APPROVED, RemovalThreshold())
    found = synced.next()
    assert (found.held, ids(found.removed)) == (None, list(range(1, 16)))
    assert not synced.next().has_content


def test_lost_tracks_and_changed_titles_are_listed(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.next()
    synced.sync([item(1, available_markets="GH,KE"), item(2, track_title="Corrected"), *LIST[2:]])
    found = synced.next()
    assert ids(found.lost) == [1]
    assert [(row["track_id"], row["field"], row["new_value"]) for row in found.facts] == [(2, "title", "Corrected")]
    assert not found.has_changes


def test_a_failed_run_is_listed(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.next()
    synced.time.shift(timedelta(days=1))
    source = FakeSource(list(LIST), before=lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sync_account(synced.engine, synced.account, source, RunOptions(concurrency=1))
    (trouble,) = synced.next().troubles
    assert trouble["outcome"] == "failed"


def test_a_digest_may_begin_at_an_instant(synced: SyncedAccount) -> None:
    synced.sync(LIST)
    synced.sync(LIST[1:])
    synced.sync(LIST[2:])
    assert ids(synced.since(DigestRange(instant=DAY + timedelta(days=2))).removed) == [1, 2]
    assert ids(synced.since(DigestRange(instant=DAY + timedelta(days=2, hours=1))).removed) == [2]


def test_a_missing_track_is_counted_then_listed_when_removed(synced: SyncedAccount) -> None:
    synced.sync(LIST, GRACE)
    synced.next()
    lost_at = DAY + timedelta(days=2)
    for _ in range(4):
        synced.sync(LIST[1:], GRACE)
    found = synced.next()
    assert (found.missing, found.newly_missing) == ([{"missing_since": lost_at, "tracks": 1}], 1)
    assert (found.removed, found.has_changes) == ([], False)
    assert not synced.next().has_content
    run = synced.sync(LIST[1:], GRACE)
    found = synced.next()
    (row,) = found.removed
    assert (row["track_id"], row["run_id"], row["removal_reason"]) == (1, run.run_id, "unfavourited")
    assert (row["not_before"], row["changed_at"]) == (DAY + timedelta(days=1), lost_at)
    assert (found.missing, found.newly_missing) == ([], 0)


def test_a_removal_belongs_to_the_day_of_its_recording(synced: SyncedAccount) -> None:
    synced.sync(LIST, GRACE)
    for _ in range(5):
        synced.sync(LIST[1:], GRACE)
    assert ids(synced.since(DigestRange(instant=DAY + timedelta(days=6))).removed) == [1]
    assert ids(synced.since(DigestRange(instant=DAY + timedelta(days=6, hours=1))).removed) == []


def test_a_withdrawn_track_has_its_reason(synced: SyncedAccount) -> None:
    synced.sync(LIST, GRACE)
    for _ in range(8):
        synced.sync([*LIST[:2], *LIST[3:]], GRACE)
    (row,) = synced.next().removed
    assert (row["track_id"], row["removal_reason"]) == (3, "withdrawn")


def test_a_removal_is_listed_once_while_others_are_missing(synced: SyncedAccount) -> None:
    synced.sync(LIST, GRACE)
    for _ in range(4):
        synced.sync(LIST[1:], GRACE)
    synced.sync(LIST[2:], GRACE)
    found = synced.next()
    assert (ids(found.removed), found.newly_missing) == ([1], 1)
    assert not synced.next().has_content


def test_missing_tracks_are_listed_once_approved(synced: SyncedAccount) -> None:
    synced.sync(LIST, GRACE)
    synced.sync(LIST[1:], GRACE)
    assert synced.next().newly_missing == 1
    review_account(synced.engine, synced.account, Review.APPROVED, RemovalThreshold())
    assert ids(synced.next().removed) == [1]
    assert not synced.next().has_content

"""Whole runs with a grace: missing first, then removed; reviews, reasons, owners that are not confirmed. On both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from etl import clock
from etl.db.engine import read_transaction
from etl.errors import ApiUnreachable, UsageError, WrongUser
from etl.load.baseline import read_memory
from etl.model.records import Outcome, RemovalGrace, RemovalThreshold, Review
from etl.replay.favourites import diff_favourites
from etl.replay.review import review_account, review_run
from tests.support.database import Database, open_database
from tests.support.lists import START, FakeSource, item

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Return the current time of the test in a list; the test changes it."""
    current = [START]
    monkeypatch.setattr(clock, "now", lambda: current[0])
    return current


@pytest.fixture
def database(database_url: str, now: list[datetime]) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened
        with read_transaction(opened.engine) as connection:
            account = opened.account()
            difference, replayed = diff_favourites(connection, account.account_id, RemovalThreshold())
            assert not difference
            assert replayed.state.memory == read_memory(connection, account.account_id)


def listed(*track_ids: int) -> FakeSource:
    return FakeSource([item(track_id) for track_id in track_ids])


def days(
    database: Database,
    now: list[datetime],
    source: FakeSource,
    length: timedelta,
    every: timedelta = timedelta(hours=6),
) -> list[Any]:
    """Sync so often for this long."""
    results = []
    end = now[0] + length
    while now[0] < end:
        now[0] += every
        results.append(database.sync(source, grace=GRACE))
    return results


def test_a_removal_is_recorded_after_the_grace(database, now):
    database.sync(listed(*range(1, 31)), grace=GRACE)
    began = now[0]
    results = days(database, now, listed(*range(2, 31)), timedelta(hours=60))
    assert [(each.outcome, each.missing, each.removed) for each in results[:2]] == [
        (Outcome.SUCCEEDED, 1, 0),
        (Outcome.UNCHANGED, 1, 0),
    ]
    assert sum(each.removed for each in results) == 1
    assert (results[-1].missing, results[-1].outcome) == (0, Outcome.UNCHANGED)
    ((valid_to, removed_after, reason),) = database.rows(
        "SELECT valid_to, removed_after, removal_reason FROM favourites WHERE valid_to IS NOT NULL"
    )
    first = began + timedelta(hours=6)
    assert (str(valid_to)[:16].replace("T", " "), reason) == (f"{first:%Y-%m-%d %H:%M}", "unknown")
    assert str(removed_after)[:16].replace("T", " ") == f"{began:%Y-%m-%d %H:%M}"


def test_a_track_that_returns_was_never_removed(database, now):
    database.sync(listed(*range(1, 31)), grace=GRACE)
    days(database, now, listed(*range(2, 31)), timedelta(hours=42))
    (back,) = days(database, now, listed(*range(1, 31)), timedelta(hours=6))
    assert (back.added, back.missing, back.outcome) == (0, 0, Outcome.SUCCEEDED)
    assert database.rows("SELECT count(*) FROM favourites WHERE missing_since IS NOT NULL OR valid_to IS NOT NULL") == [
        (0,)
    ]


def test_an_account_is_approved_while_tracks_are_missing(database, now):
    database.sync(listed(*range(1, 31)), grace=GRACE)
    days(database, now, listed(*range(3, 31)), timedelta(hours=6))
    run_id, count = review_account(database.engine, database.account(), Review.APPROVED, RemovalThreshold())
    assert (count, database.removed_tracks()) == (2, [1, 2])
    assert database.run(run_id).reason == "the operator approved 2 removals of missing favourites"
    with pytest.raises(UsageError, match="no removal of account ada waits"):
        review_account(database.engine, database.account(), Review.APPROVED, RemovalThreshold())


def test_an_identical_held_list_keeps_its_first_number(database, now):
    database.sync(listed(1, 2, 3), grace=GRACE)
    first, second = days(database, now, listed(), timedelta(hours=12))
    assert (first.outcome, second.outcome) == (Outcome.HELD, Outcome.HELD)
    assert "the list is empty" in first.reason
    assert review_run(database.engine, first.run_id, Review.APPROVED, RemovalThreshold()) == 3
    assert database.open_tracks() == set()


def test_a_rejection_holds_while_the_list_stays_the_same(database, now):
    database.sync(listed(1, 2, 3), grace=GRACE)
    (held,) = days(database, now, listed(), timedelta(hours=6))
    review_run(database.engine, held.run_id, Review.REJECTED, RemovalThreshold())
    results = days(database, now, listed(), timedelta(days=3), timedelta(hours=12))
    assert {each.outcome for each in results} <= {Outcome.SUCCEEDED, Outcome.UNCHANGED}
    assert database.open_tracks() == {1, 2, 3}


class Unknown(FakeSource):
    """A service whose user info fails."""

    def user(self) -> Any:
        raise ApiUnreachable("user info: no answer")


def test_nothing_is_closed_while_the_owner_is_unconfirmed(database, now):
    database.sync(listed(*range(1, 31)), grace=GRACE)
    results = days(database, now, Unknown([item(n) for n in range(2, 32)]), timedelta(days=9), timedelta(days=1))
    assert database.open_tracks() == set(range(1, 32))
    assert "did not confirm the owner" in results[-1].reason


def test_another_users_list_changes_nothing_and_is_named(database, now):
    database.sync(listed(*range(1, 31)), grace=GRACE)
    foreign = [item(n) for n in range(101, 131)]
    (result,) = days(database, now, Unknown(foreign), timedelta(hours=6))
    assert "this looks like another user's list" in result.reason
    assert database.open_tracks() == set(range(1, 31))
    mixed = Unknown([item(n) for n in (*range(1, 31), 200)])
    (unconfirmed,) = days(database, now, mixed, timedelta(hours=6))
    (failed,) = days(database, now, FakeSource(foreign, user_id="another"), timedelta(hours=6))
    assert isinstance(failed.error, WrongUser)
    assert f"`favsync runs retract {unconfirmed.run_id}`" in failed.error.remedy


def test_the_owner_is_checked_daily_in_quiet_times(database, now):
    source = listed(*range(1, 31))
    database.sync(source, grace=GRACE)
    source.user_id = "another"
    results = days(database, now, source, timedelta(hours=24))
    assert [each.outcome for each in results] == [*["unchanged"] * 3, "failed"]


class Catalogued(FakeSource):
    """A service with a catalogue: every track but the withdrawn ones."""

    withdrawn: frozenset[int] = frozenset()
    asked: list[int]

    def catalogue(self, track_ids: Any, known_id: int | None) -> Any:
        self.asked = [*getattr(self, "asked", []), *track_ids]
        return {each: None if each in self.withdrawn else item(each) for each in track_ids}


def test_the_catalogue_says_why_a_track_left(database, now):
    database.sync(listed(*range(1, 31)), grace=GRACE)
    source = Catalogued([item(n) for n in range(3, 31)])
    source.withdrawn = frozenset({2})
    days(database, now, source, timedelta(days=8), timedelta(days=1))
    found = database.rows(
        "SELECT track_id, removal_reason FROM favourites WHERE valid_to IS NOT NULL ORDER BY track_id"
    )
    assert found == [(1, "unfavourited"), (2, "withdrawn")]
    assert len(source.asked) < 20


def test_a_hidden_label_waits(database, now):
    tracks = [item(n, album_id=1000 if n > 40 else n) for n in range(1, 61)]
    database.sync(FakeSource(tracks), grace=GRACE)
    results = days(database, now, FakeSource(tracks[:40]), timedelta(days=6), timedelta(days=1))
    assert not database.removed_tracks()
    assert "all there were of an album or artist" in results[-1].reason


def test_a_page_total_that_contradicts_the_list_is_quoted(database, now):
    class Counting(FakeSource):
        def favourite_tracks(self, offset: int, limit: int) -> Any:
            from msgspec.structs import replace

            return replace(super().favourite_tracks(offset, limit), counts=200)

    database.sync(Counting([item(n) for n in range(1, 201)]), grace=GRACE)
    fewer = Counting([item(n) for n in range(1, 201) if n % 20 != 10])
    results = days(database, now, fewer, timedelta(days=4), timedelta(hours=12))
    assert results[-1].outcome == Outcome.HELD
    assert "the service says 200 favourites and lists 190" in results[-1].reason

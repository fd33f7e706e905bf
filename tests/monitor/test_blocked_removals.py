"""What `status` and `doctor` say about missing favourites and blocked removals, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select

from etl.boomplay.payloads import User
from etl.config import load
from etl.db.engine import open_engine, read_transaction
from etl.db.tables import favourites
from etl.errors import ApiUnreachable
from etl.load.accounts import find_account
from etl.model.records import Item, Outcome, Page, RemovalGrace, RemovalThreshold, Review
from etl.monitor.doctor import Finding, run_checks
from etl.monitor.status import HELD, NO_ID, NOT_PROVEN, OWNER, AccountStatus, statuses
from etl.replay.review import review_run
from etl.sync import RunOptions, RunResult, sync_account
from tests.support.lists import START, FakeSource, item, raw
from tests.support.past import account_in, import_past, past_snapshot

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))
LIST = [item(number) for number in range(1, 31)]
WITHOUT_ID = raw(b'{"track_title": "?"}')


class Unconfirmed(FakeSource):
    """A service that does not name the owner of the list."""

    def user(self) -> User:
        raise ApiUnreachable("GET /user/getUserInfo: the server answered 503")


class Unended(FakeSource):
    """A service whose list never ends: each page repeats the first one."""

    def favourite_tracks(self, offset: int, limit: int) -> Page:
        return super().favourite_tracks(0, limit)


class Watched:
    """An account that is synced once an hour."""

    def __init__(self, url: str, time: Any) -> None:
        self.url, self.time = url, time
        self.engine = open_engine(url)
        account_in(self.engine)

    def sync(self, items: list[Item], kind: type[FakeSource] = FakeSource, **more: Any) -> RunResult:
        self.time.shift(timedelta(hours=1))
        with read_transaction(self.engine) as connection:
            account = find_account(connection, "ada")
        return sync_account(self.engine, account, kind(list(items), **more), RunOptions(concurrency=1, grace=GRACE))

    @property
    def status(self) -> AccountStatus:
        (found,) = statuses(self.engine, "every 1h")
        return found

    def findings(self, subject: str) -> list[Finding]:
        environ = {"FAVSYNC_DATABASE_URL": self.url, "BOOMPLAY_API_URL": "http://127.0.0.1:9"}
        config = load({}, environ, None)
        return [finding for finding in run_checks(config) if finding.subject == subject]


@pytest.fixture
def watched(database_url: str) -> Iterator[Watched]:
    with time_machine.travel(START, tick=False) as time:
        made = Watched(database_url, time)
        yield made
        made.engine.dispose()


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def test_missing_favourites_are_counted_since_the_first(watched: Watched) -> None:
    watched.sync(LIST)
    assert (watched.status.missing, watched.status.missing_since) == (0, None)
    watched.sync(LIST[1:])
    watched.sync(LIST[2:])
    found = watched.status
    with read_transaction(watched.engine) as connection:
        query = select(func.count(), func.min(favourites.c.missing_since, type_=favourites.c.missing_since.type))
        counted = connection.execute(query.where(favourites.c.missing_since.is_not(None))).one()
    assert (found.missing, found.missing_since) == tuple(counted) == (2, hour(2))
    assert (found.removals_blocked_since, found.removals_blocked_seconds, found.exit_code) == (None, 0, 0)
    (finding,) = watched.findings("removals")
    assert (finding.level, finding.finding) == (
        "ok",
        "nothing blocks removals; 2 favourites are missing, and not recorded as removed yet",
    )


def test_a_held_run_blocks_removals_until_it_is_decided(watched: Watched) -> None:
    watched.sync(LIST)
    watched.sync([])
    run = watched.sync([])
    found = watched.status
    assert (found.removals_blocked_by, found.removals_blocked_since) == (HELD, hour(2))
    assert "the list is empty" in (found.removals_blocked_reason or "")
    (finding,) = watched.findings("removals")
    assert finding.level == "look"
    assert f"favsync runs approve {run.run_id}" in finding.remedy
    assert run.run_id is not None
    review_run(watched.engine, run.run_id, Review.APPROVED, RemovalThreshold())
    assert watched.status.removals_blocked_by is None


def test_an_unconfirmed_owner_blocks_removals_if_any_are_missing(watched: Watched) -> None:
    watched.sync(LIST)
    watched.sync(LIST, Unconfirmed)
    assert watched.status.removals_blocked_by is None
    watched.sync(LIST[1:], Unconfirmed)
    watched.sync(LIST[1:], Unconfirmed)
    found = watched.status
    assert (found.removals_blocked_by, found.removals_blocked_since) == (OWNER, hour(3))
    assert "did not confirm the owner" in (found.removals_blocked_reason or "")
    watched.sync(LIST[1:])
    assert watched.status.removals_blocked_by is None


def test_an_entry_without_an_id_blocks_removals(watched: Watched) -> None:
    watched.sync(LIST)
    watched.sync([*LIST, WITHOUT_ID])
    watched.sync([*LIST, WITHOUT_ID])
    found = watched.status
    assert (found.removals_blocked_by, found.removals_blocked_since) == (NO_ID, hour(2))
    assert found.removals_blocked_seconds == timedelta(hours=1).total_seconds()
    assert "no readable id" in (found.removals_blocked_reason or "")
    watched.sync(LIST)
    assert watched.status.removals_blocked_by is None


def test_a_list_that_is_mostly_unreadable_is_not_called_free(watched: Watched) -> None:
    watched.sync(LIST)
    unreadable = [raw(b'{"track_title": "%d"}' % number) for number in range(20)]
    assert watched.sync(unreadable).outcome == Outcome.FAILED
    watched.time.shift(timedelta(days=3))
    (finding,) = watched.findings("removals")
    assert finding.finding == "nothing blocks removals, but stale accounts record none"


def test_a_list_that_is_not_proven_blocks_removals(watched: Watched) -> None:
    watched.sync(LIST)
    assert watched.sync(LIST, Unended).outcome == Outcome.PARTIAL
    found = watched.status
    assert (found.removals_blocked_by, found.removals_blocked_since) == (NOT_PROVEN, hour(2))


def test_an_import_of_a_part_blocks_nothing(watched: Watched) -> None:
    watched.sync(LIST)
    with read_transaction(watched.engine) as connection:
        account = find_account(connection, "ada")
    import_past(watched.engine, account, past_snapshot(0.2, [1, 2], whole=False))
    assert watched.status.removals_blocked_by is None


def test_a_run_in_the_future_is_a_stale_account(watched: Watched) -> None:
    watched.sync(LIST)
    watched.time.shift(timedelta(days=365))
    watched.sync(LIST)
    watched.time.shift(timedelta(days=-365))
    assert watched.status.is_stale
    (finding,) = watched.findings("freshness")
    assert "in the future" in finding.finding
    assert "set the clock" in finding.remedy

"""One Boomplay user belongs to one account: the transaction that writes a list checks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etl.boomplay.payloads import User
from tests.support.database import Database, open_database
from tests.support.lists import FakeSource, item


class SourceWithEvent(FakeSource):
    """A source that calls ``on_user`` when it is asked for its user, before it answers."""

    on_user: Callable[[], object] = staticmethod(lambda: None)

    def user(self) -> User:
        """Return the one user."""
        self.on_user()
        return super().user()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


def without_runs(database: Database) -> dict[str, Any]:
    return {name: rows for name, rows in database.sizes().items() if name != "runs"}


def test_second_account_of_the_same_user_is_refused(database: Database) -> None:
    database.sync(FakeSource(items=[item(1), item(2)]), "ada")
    database.account("ben")
    before = without_runs(database)
    report = database.sync(FakeSource(items=[item(2), item(3)]), "ben")
    assert (report.outcome, report.exit_code) == ("failed", 4)
    assert "account ada" in (report.reason or "")
    assert without_runs(database) == before
    assert database.open_tracks("ben") == set()


def test_user_taken_by_another_account_during_a_run_is_refused(database: Database) -> None:
    database.account("ben")
    source = SourceWithEvent(items=[item(2), item(3)])
    source.on_user = lambda: database.sync(FakeSource(items=[item(1)]), "ada")
    report = database.sync(source, "ben")
    assert (report.outcome, report.exit_code) == ("failed", 4)
    assert database.open_tracks("ben") == set()
    assert database.open_tracks("ada") == {1}
    assert database.rows("SELECT count(*) FROM tracks") == [(1,)]

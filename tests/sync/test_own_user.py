"""One Boomplay user belongs to one account: the transaction that writes a list checks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etl.boomplay.payloads import User
from tests.support.lists import FakeSource, item
from tests.support.stage import Stage, stage_at


class SourceWithEvent(FakeSource):
    """A source that calls ``on_user`` when it is asked for its user, before it answers."""

    on_user: Callable[[], object] = staticmethod(lambda: None)

    def user(self) -> User:
        """Return the one user."""
        self.on_user()
        return super().user()


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    with stage_at(database_url) as opened:
        yield opened


def without_runs(stage: Stage) -> dict[str, Any]:
    return {name: rows for name, rows in stage.sizes().items() if name != "runs"}


def test_second_account_of_the_same_user_is_refused(stage: Stage) -> None:
    stage.sync(FakeSource(items=[item(1), item(2)]), "ada")
    stage.account("ben")
    before = without_runs(stage)
    report = stage.sync(FakeSource(items=[item(2), item(3)]), "ben")
    assert (report.outcome, report.exit_code) == ("failed", 4)
    assert "account ada" in (report.reason or "")
    assert without_runs(stage) == before
    assert stage.open_tracks("ben") == set()


def test_user_taken_by_another_account_during_a_run_is_refused(stage: Stage) -> None:
    stage.account("ben")
    source = SourceWithEvent(items=[item(2), item(3)])
    source.on_user = lambda: stage.sync(FakeSource(items=[item(1)]), "ada")
    report = stage.sync(source, "ben")
    assert (report.outcome, report.exit_code) == ("failed", 4)
    assert stage.open_tracks("ben") == set()
    assert stage.open_tracks("ada") == {1}
    assert stage.rows("SELECT count(*) FROM tracks") == [(1,)]

"""The sums over many accounts: equal to those of the single accounts, at a cost that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from msgspec.structs import replace
from sqlalchemy import Engine, event, text

from etl import clock
from etl.accounts.token_rows import TokenLocation, TokenRow, TokenStatus, put_token_row
from etl.cli import main
from etl.config import load
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.load.accounts import ensure_account, find_account
from etl.load.calendar import add_missing_rows
from etl.model.records import Item, RemovalThreshold, Review
from etl.monitor.metrics import Metrics
from etl.monitor.overview import OverviewReader, calendar_and_budgets
from etl.replay.review import review_run
from etl.scheduler.due_sync import settle_manual
from etl.sync import RunOptions, RunResult, sync_account
from tests.conftest import ENGINES, FilledDatabase
from tests.monitor.test_blocked_removals import LIST, WITHOUT_ID, Unconfirmed, Unended
from tests.support.lists import START, FakeSource
from tests.support.sandbox_accounts import change


class ManyAccounts:
    """Accounts that are synced once in a while."""

    def __init__(self, url: str, time: Any) -> None:
        self.url, self.engine, self.time = url, open_engine(url), time
        self._config = load({}, {"FAVSYNC_DATABASE_URL": url}, None)

    def add(self, name: str) -> None:
        with write_transaction(self.engine) as connection:
            ensure_account(connection, name, clock.now())

    def sync(self, name: str, items: list[Item], kind: type[FakeSource] = FakeSource) -> RunResult:
        """Sync a minute later."""
        self.time.shift(timedelta(minutes=1))
        self.add(name)
        with read_transaction(self.engine) as connection:
            account = find_account(connection, name)
        options = RunOptions(concurrency=1, settle=settle_manual(self._config, account.account_id))
        options = replace(options, grace=self._config.grace)
        return sync_account(self.engine, account, kind(list(items), user_id=name), options)

    def overview(self, limit: int, max_age: timedelta | None = None) -> OverviewReader:
        return OverviewReader(self.engine, "every 1h", limit=limit, max_age=max_age)


@pytest.fixture
def many(database_url: str) -> Iterator[ManyAccounts]:
    with time_machine.travel(START, tick=False) as time:
        made = ManyAccounts(database_url, time)
        yield made
        made.engine.dispose()


@pytest.fixture(params=ENGINES)
def troubled(request: pytest.FixtureRequest, filled_database: FilledDatabase[datetime]) -> Iterator[ManyAccounts]:
    """Return accounts after `lives`; the test runs once per engine."""
    url, end = filled_database(request.param, troubled_accounts)
    with time_machine.travel(end, tick=False) as time:
        made = ManyAccounts(url, time)
        yield made
        made.engine.dispose()


def troubled_accounts(url: str) -> datetime:
    """Return when the lives of the accounts end."""
    with time_machine.travel(START, tick=False) as time:
        many = ManyAccounts(url, time)
        lives(many)
        many.engine.dispose()
        return clock.now()


def lives(many: ManyAccounts) -> None:
    """Let accounts get into every kind of trouble, and out of it."""
    many.add("never, and old")
    many.sync("stale", LIST)
    many.sync("disabled", LIST)
    many.time.shift(timedelta(days=2))
    for name in ("fresh", "held", "approved", "owner", "no id", "in part", "dead", "missing", "recovered"):
        many.sync(name, LIST)
    many.sync("held", [])
    run = many.sync("approved", [])
    assert run.run_id
    review_run(many.engine, run.run_id, Review.APPROVED, RemovalThreshold())
    many.sync("owner", LIST[1:], Unconfirmed)
    many.sync("no id", [*LIST, WITHOUT_ID])
    many.sync("in part", LIST, Unended)
    many.sync("recovered", LIST, Unended)
    many.sync("recovered", LIST)
    many.sync("missing", LIST[2:])
    many.add("new")
    change(many.engine, "disabled", enabled=False)
    change(many.engine, "recovered", enabled=False)
    change(many.engine, "recovered", enabled=True)
    with write_transaction(many.engine) as connection:
        dead = find_account(connection, "dead")
        row = TokenRow(account_id=dead.account_id, place=TokenLocation.FILE, reference="x", updated_at=clock.now())
        put_token_row(connection, replace(row, state=TokenStatus.DEAD))


def test_the_sums_equal_those_of_the_single_accounts(troubled: ManyAccounts) -> None:
    for max_age in (None, timedelta(minutes=7), timedelta(days=3)):
        require_equal_sums(troubled, max_age)


def require_equal_sums(many: ManyAccounts, max_age: timedelta | None) -> None:
    exact, quick = many.overview(1_000, max_age).read(), many.overview(0, max_age).read()
    assert exact.accounts is not None
    assert quick.accounts is None
    assert asdict(quick.summary) == asdict(exact.summary)
    assert (exact.summary.held, exact.summary.token_dead, exact.summary.blocked) == (1, 1, 4)
    assert (exact.summary.missing, exact.summary.missing_accounts) != (0, 0)
    worst = many.overview(0, max_age).need_attention(100)
    troubled = {each.account for each in exact.accounts if each.needs_attention}
    assert {each.account for each in worst} == troubled
    assert worst[0].account == "dead"
    assert len(many.overview(0, max_age).need_attention(2)) == 2


def test_a_wrong_clock_makes_an_account_stale(many: ManyAccounts) -> None:
    many.sync("ahead", LIST)
    many.time.shift(timedelta(hours=-1))
    exact, quick = many.overview(1_000).read(), many.overview(0).read()
    assert exact.summary.stale == quick.summary.stale == 1


def fetched(engine: Engine, reader: OverviewReader) -> tuple[int, int]:
    """Return how many statements a status and a scrape take, and how many rows they return."""
    rows: list[int] = []

    def count(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.split(None, 1)[0] in ("SELECT", "WITH"):
            counted = cursor.connection.execute(f"SELECT count(*) FROM ({statement}) AS asked", parameters)
            rows.append(counted.fetchone()[0])

    event.listen(engine, "after_cursor_execute", count)
    assert reader.read().accounts is None
    assert len(reader.need_attention(10)) == 10
    Metrics(reader.read, calendar=lambda: calendar_and_budgets(engine)).text()
    event.remove(engine, "after_cursor_execute", count)
    return len(rows), sum(rows)


def test_3000_accounts_cost_no_more_than_1000(many: ManyAccounts) -> None:
    costs = []
    for first, last in ((1, 1_000), (1_001, 3_000)):
        with write_transaction(many.engine) as connection:
            rows = [
                {"name": f"user {number}", "at": f"{START:%Y-%m-%dT%H:%M:%S}.000000Z"}
                for number in range(first, last + 1)
            ]
            connection.execute(text("INSERT INTO accounts (name, created_at) VALUES (:name, :at)"), rows)
            add_missing_rows(connection, START)
        with time_machine.travel(START + timedelta(days=2), tick=False):
            costs.append(fetched(many.engine, many.overview(999)))
    assert costs[0] == costs[1]


def test_status_of_many_accounts_shows_sums_and_the_worst(
    troubled: ManyAccounts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OverviewReader.__init__, "__kwdefaults__", {"max_age": None, "limit": 3})
    assert main(["status", "--database-url", troubled.url]) == 4
    out, err = capsys.readouterr()
    assert "12 enabled accounts: 1 with a dead token, 2 stale, 1 held, 4 with blocked removals, 2 never synced" in out
    assert "token is dead" in err
    assert "fresh" not in out.splitlines()[1:]
    assert "favsync status --all" in err
    assert main(["status", "--all", "--database-url", troubled.url]) == 4
    assert "recovered" in capsys.readouterr().out
    assert main(["status", "--json", "--database-url", troubled.url]) == 4
    assert capsys.readouterr().out.count('"account":') == 13

"""One budget of requests for all processes of a database."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from sqlalchemy import Engine, text

from etl.accounts.session import connect, http_options
from etl.boomplay.waiting import MOST_RESERVED, RateLimiter, forget_limiters
from etl.db.budget import DatabaseBudget, budget_waits
from etl.db.engine import read_transaction
from etl.db.migrate import ready_engine
from etl.errors import RateLimited
from etl.sandbox import Sandbox
from tests.conftest import NewDatabase
from tests.support.sandbox_accounts import add, settings


@pytest.fixture
def engine(new_database: NewDatabase) -> Iterator[Engine]:
    engine = ready_engine(new_database("postgresql"))
    yield engine
    engine.dispose()


def server_time(engine: Engine, sql: str = "clock_timestamp()") -> float:
    with read_transaction(engine) as connection:
        return float(connection.execute(text(f"SELECT extract(epoch FROM {sql})")).scalar_one())


def next_at(engine: Engine) -> float:
    return server_time(engine, "(SELECT next_at FROM budgets)")


@pytest.mark.postgresql
def test_processes_take_turns_from_one_budget(engine: Engine) -> None:
    first, second = (DatabaseBudget(engine, "app", 10) for _ in range(2))
    before = server_time(engine)
    for _ in range(10):
        first.take(5)
        second.take(5)
    assert before + 10 <= next_at(engine) <= server_time(engine) + 10
    other = DatabaseBudget(engine, "another app", 10)
    assert other.take(1) == 0
    assert budget_waits(engine)[1][0] == 10


@pytest.mark.postgresql
def test_a_pause_holds_for_every_process(engine: Engine) -> None:
    first, second = (DatabaseBudget(engine, "app", 1000) for _ in range(2))
    first.take(1)
    before = server_time(engine)
    first.pause(3600)
    assert next_at(engine) >= before + 3600
    second.pause(60)
    assert second.take(1) > 3000


@pytest.mark.postgresql
def test_one_429_stops_the_requests_of_other_processes(engine: Engine) -> None:
    with Sandbox(tracks=5, users=["ada"]) as sandbox:
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        config = settings(url, sandbox, FAVSYNC_REQUESTS_PER_SECOND="1000")
        add(config, engine, sandbox)
        sandbox.script(["http_429_hours"])
        for _ in range(2):
            with connect(config, engine, "ada") as client, pytest.raises(RateLimited):
                client.favourite_tracks(0, 50)
            sent = len(sandbox.requests)
            forget_limiters()  # another process has none yet
        assert len(sandbox.requests) == sent
    assert http_options(config, None, engine).budget == DatabaseBudget(
        engine, f"{config.app_id} {config.api_url}", 1000
    )


class CountingBudget:
    """Has all turns free at once, and counts how it is asked."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def take(self, turns: int) -> float:
        self.taken.append(turns)
        return 0.0

    def pause(self, seconds: float) -> None:
        raise AssertionError(seconds)


def shared(rate: float) -> tuple[RateLimiter, CountingBudget]:
    limiter, budget = RateLimiter(rate), CountingBudget()
    limiter.share(budget)
    return limiter, budget


def test_a_busy_process_takes_many_turns_and_spends_them_evenly() -> None:
    limiter, budget = shared(1000)
    turns = [limiter.take_turn(now=place / 1000) for place in range(1000)]
    assert len(budget.taken) < 100
    assert max(budget.taken) == MOST_RESERVED
    assert all(later - earlier > 0.0009 for earlier, later in pairwise(turns))


def test_a_slow_rate_takes_single_turns() -> None:
    limiter, budget = shared(1)
    assert [limiter.take_turn(now=place) for place in range(3)] == [0, 1, 2]
    assert budget.taken == [1, 1, 1]


def test_turns_that_were_not_used_in_time_are_lost() -> None:
    limiter, budget = shared(1000)
    for _ in range(100):
        limiter.take_turn(now=0)
    asked = len(budget.taken)
    assert limiter.take_turn(now=60) == 60
    assert len(budget.taken) == asked + 1


def test_without_a_limit_no_budget_is_asked() -> None:
    limiter, budget = shared(0)
    assert limiter.take_turn(now=7) == 7
    assert budget.taken == []

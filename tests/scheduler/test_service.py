"""The service, tick by tick: which accounts run when, and what failures do. On both engines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, func, select, text

from etl import clock
from etl.accounts import manage
from etl.accounts.session import connect
from etl.config import Config
from etl.db.engine import read_transaction
from etl.db.migrate import ready_engine
from etl.db.tables import raw_blocks
from etl.errors import SettingsError, UsageError
from etl.load.accounts import find_account
from etl.load.run_lock import run_lock
from etl.monitor.status import statuses
from etl.sandbox import Sandbox
from etl.scheduler.due_sync import reschedule_account, settle_manual
from etl.scheduler.schedule import parse
from etl.scheduler.service import FinishedRun, Service
from etl.sync import RunOptions, RunResult, sync_account
from tests.support.sandbox_accounts import (
    add,
    change,
    next_run,
    number,
    open_tracks,
    outcomes,
    postpone,
    settings,
    token_row,
)

LONG = 1e6
Move = Callable[..., None]


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Move:
    """Return a function that moves the clock of favsync and of the sandbox."""
    now = [clock.now()]  # the client of the API computes Retry-After from the real clock
    monkeypatch.setattr(clock, "now", lambda: now[0])

    def move(**by: float) -> None:
        now[0] += timedelta(**by)

    return move


@pytest.fixture
def sandbox(move: Move) -> Iterator[Sandbox]:
    users = ["ada", "ben", "cy"]
    with Sandbox(tracks=30, users=users, now=clock.now) as running:
        running.switch(token_lifetime_seconds=1e9)
        for name in users:
            running.new_token(name)
        yield running


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = ready_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def serving(database_url: str, engine: Engine, sandbox: Sandbox) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(**more: str | int | float) -> Service:
        options = {name: more.pop(name) for name in ("workers", "grace_seconds") if name in more}
        made.append(Service(settings(database_url, sandbox, **more), engine, **options))
        return made[-1]

    yield make
    for service in made:
        service.stop()


def tick(service: Service, *, is_last: bool = False) -> None:
    """Tick until no run is active and no account is due; stop the service after its last tick."""
    service.tick()
    assert service.wait(LONG)
    service.tick()
    assert service.wait(LONG)
    if is_last:
        service.stop()


def sync_by_hand(config: Config, engine: Engine, options: RunOptions) -> RunResult:
    """Sync ada as `favsync sync` does."""
    with read_transaction(engine) as connection:
        ada = find_account(connection, "ada")
    with connect(config, engine, "ada") as client:
        return sync_account(engine, ada, client, replace(options, settle=settle_manual(config, ada.account_id)))


def test_a_scheduled_run_uses_the_settings_of_a_manual_one(database_url, engine, sandbox, serving):
    add(settings(database_url, sandbox), engine, sandbox)
    tick(serving(FAVSYNC_KEEP_RAW="false"))
    assert outcomes(engine, "ada") == ["succeeded"]
    with read_transaction(engine) as connection:
        assert connection.execute(select(func.count()).select_from(raw_blocks)).scalar_one() == 0


def test_a_new_account_runs_at_once_then_on_schedule(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox)
    service = serving()
    tick(service)
    assert [outcomes(engine, name) for name in sandbox.users] == [["succeeded"]] * 3
    assert open_tracks(engine, "ada") == set(sandbox.favourites("ada"))
    coming = next_run(engine, "ada").next_run_at
    assert coming == parse("every 1h").next_after(clock.now(), number(engine, "ada"))
    tick(service)
    assert outcomes(engine, "ada") == ["succeeded"]
    move(hours=1)
    tick(service)
    assert outcomes(engine, "ada") == ["succeeded", "unchanged"]


def test_downtime_is_caught_up_once(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    before, after = serving(), serving()
    tick(before)
    before.stop()
    move(days=3)
    tick(after)
    assert outcomes(engine, "ada") == ["succeeded", "unchanged"]
    assert next_run(engine, "ada").next_run_at <= clock.now() + timedelta(hours=1)


def test_changed_accounts_are_noticed_while_it_runs(database_url, engine, sandbox, serving, move):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada")
    service = serving()
    tick(service)
    add(config, engine, sandbox, "ben", "cy")
    change(engine, "ada", enabled=False)
    move(hours=1)
    tick(service)
    assert [len(outcomes(engine, name)) for name in ("ada", "ben", "cy")] == [1, 1, 1]
    manage.disable_account(engine, "ben")
    manage.set_account(config, engine, "cy", {"schedule": "0 3 * * *"})
    reschedule_account(config, engine, "cy")
    move(minutes=1)
    tick(service)
    assert next_run(engine, "cy").next_run_at == parse("0 3 * * *").next_after(clock.now(), number(engine, "cy"))
    move(seconds=30)
    tick(service)
    assert [len(outcomes(engine, name)) for name in ("ada", "ben", "cy")] == [1, 1, 1]
    change(engine, "ada", enabled=True)
    tick(service)
    assert len(outcomes(engine, "ada")) == 2


def test_an_outage_backs_off_until_it_ends(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    service = serving()
    tick(service)
    move(hours=1)
    waits = []
    for _ in range(4):
        sandbox.script(["http_500"] * 2)
        tick(service)
        waits.append((next_run(engine, "ada").next_run_at - clock.now()) / timedelta(minutes=1))
        sandbox.scripted.clear()
        move(minutes=waits[-1])
    assert [round(least <= wait <= 1.2 * least) for wait, least in zip(waits, (5, 10, 20, 40), strict=True)] == [1] * 4
    assert next_run(engine, "ada").failures_in_a_row == 4
    tick(service)
    assert outcomes(engine, "ada") == ["succeeded", *["failed"] * 4, "unchanged"]
    assert next_run(engine, "ada").failures_in_a_row == 0
    assert open_tracks(engine, "ada") == set(sandbox.favourites("ada"))


def test_an_account_waits_as_long_as_the_service_asks(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    service = serving()
    tick(service)
    move(hours=1)
    sandbox.script(["http_429_hours"])
    tick(service)
    row = next_run(engine, "ada")
    assert abs(row.parked_until - clock.now() - timedelta(seconds=74_214)) < timedelta(hours=2)
    assert row.next_run_at >= row.parked_until
    sent = len(sandbox.requests)
    move(hours=18)
    tick(service)
    assert len(sandbox.requests) == sent


def test_a_successful_manual_run_ends_the_back_off(database_url, engine, sandbox, serving, move):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada", "ben")
    service, until = serving(), clock.now() + timedelta(hours=10)
    for name in ("ada", "ben"):
        postpone(engine, name, until, failures=3)
    move(minutes=1)
    assert sync_by_hand(config, engine, RunOptions()).proven
    assert [each.failures_in_a_row for each in statuses(engine, "every 1h")] == [0, 3]
    tick(service)
    ada, ben = next_run(engine, "ada"), next_run(engine, "ben")
    assert ada.next_run_at <= clock.now() + timedelta(hours=1)
    assert (ada.failures_in_a_row, ada.parked_until) == (0, None)
    assert (ben.failures_in_a_row, ben.next_run_at) == (3, until)


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("schedule", ["every 1h", "0 3 * * *", "@monthly"])
@pytest.mark.parametrize("failures", [0, 2])
def test_a_next_run_from_a_wrong_clock_is_recomputed(schedule, failures, database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada", schedule=schedule)
    service = serving()
    tick(service)
    move(days=365)
    postpone(engine, "ada", clock.now() + timedelta(hours=1), failures, schedule)
    move(days=-365, hours=1)
    tick(service)
    plan = parse(schedule)
    assert next_run(engine, "ada").next_run_at == plan.next_after(clock.now(), number(engine, "ada"))
    assert next_run(engine, "ada").failures_in_a_row == failures
    move(seconds=plan.gap(clock.now()).total_seconds() + 120)
    tick(service)
    assert len(outcomes(engine, "ada")) == 2


def test_a_dead_token_stops_only_its_account(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox)
    service = serving(BOOMPLAY_APP_SECRET="")
    tick(service)
    before = open_tracks(engine, "ada")
    sandbox.revoke_token("ada")
    for _ in range(4):
        move(hours=1)
        tick(service)
    assert token_row(engine, "ada").state == "dead"
    assert outcomes(engine, "ada") == ["succeeded", "failed", "failed"]
    assert outcomes(engine, "ben") == ["succeeded", *["unchanged"] * 4]
    assert open_tracks(engine, "ada") == before
    given = manage.TokenInput(admin_token(sandbox, "ada"), token_row(engine, "ada").place)
    manage.give_token(settings(database_url, sandbox), engine, "ada", given)
    tick(service)
    assert outcomes(engine, "ada")[-1] == "unchanged"


def admin_token(sandbox: Sandbox, name: str):
    from etl.boomplay.payloads import Token

    return Token(sandbox.new_token(name))


def test_no_more_runs_at_a_time_than_workers(database_url, engine, sandbox, serving):
    add(settings(database_url, sandbox), engine, sandbox)
    service = serving(workers=2)
    running, counts, changed = set(), [], threading.Condition()

    def begin(name: str) -> None:
        with changed:
            running.add(name)
            counts.append(len(running))
            changed.notify_all()
            changed.wait_for(lambda: len(counts) >= 2)  # both workers are busy before either goes on

    def end(ran: FinishedRun) -> None:
        with changed:
            running.discard(ran.report.account)

    service.before_run.append(begin)
    service.after_run.append(end)
    tick(service)
    assert max(counts) == 2
    assert {name: outcomes(engine, name) for name in sandbox.users} == {name: ["succeeded"] for name in sandbox.users}


def test_the_pool_has_a_connection_for_each_worker(engine):
    with ExitStack() as held:
        connections = [held.enter_context(read_transaction(engine)) for _ in range(20)]
        assert {connection.execute(text("SELECT 1")).scalar() for connection in connections} == {1}


def test_a_busy_account_is_tried_again_later(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    service = serving()
    with run_lock(engine, number(engine, "ada"), "ada"):
        tick(service)
        assert outcomes(engine, "ada") == []
        assert next_run(engine, "ada").failures_in_a_row == 0
    move(minutes=1)
    tick(service)
    assert outcomes(engine, "ada") == ["succeeded"]


def test_a_bug_in_a_run_or_hook_does_not_stop_the_service(database_url, engine, sandbox, serving, monkeypatch):
    from etl.scheduler import due_sync as module

    add(settings(database_url, sandbox), engine, sandbox)
    carry_out = module.sync_account

    def sync_account(engine, account, source, way):
        if account.name == "ben":
            raise ZeroDivisionError("a bug")
        return carry_out(engine, account, source, way)

    def fail(_ran: FinishedRun) -> None:
        raise ZeroDivisionError("another bug")

    monkeypatch.setattr(module, "sync_account", sync_account)
    service, seen = serving(), []
    service.after_run += [fail, lambda ran: seen.append(ran.report.account)]
    tick(service)
    assert sorted(seen) == ["ada", "ben", "cy"]
    assert [outcomes(engine, name) for name in ("ada", "ben", "cy")] == [["succeeded"], [], ["succeeded"]]
    assert next_run(engine, "ben").failures_in_a_row == 1


def test_an_unwritable_next_run_is_no_endless_loop(database_url, engine, sandbox, serving, monkeypatch):
    from etl.errors import DatabaseError
    from etl.scheduler import queue
    from etl.scheduler import service as module

    add(settings(database_url, sandbox), engine, sandbox, "ada")

    def full(*_args: object, **_kwargs: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(queue, "set_next_run", full)
    monkeypatch.setattr(module, "COOLING_SECONDS", LONG)
    service = serving()
    tick(service)
    tick(service)
    assert outcomes(engine, "ada") == ["None"]  # begun once; what it read is stored with its next run or not at all


def test_an_unreadable_schedule_falls_back_to_the_default(database_url, engine, sandbox, serving):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    change(engine, "ada", schedule="whenever")
    tick(serving())
    assert next_run(engine, "ada").next_run_at == parse("every 1h").next_after(clock.now(), number(engine, "ada"))


def test_invalid_settings_prevent_the_start(database_url, engine, sandbox):
    with pytest.raises(UsageError, match="not a schedule"):
        Service(settings(database_url, sandbox, FAVSYNC_SCHEDULE="often"), engine)
    with pytest.raises(SettingsError, match="app id"):
        Service(settings(database_url, sandbox, BOOMPLAY_APP_ID=""), engine)

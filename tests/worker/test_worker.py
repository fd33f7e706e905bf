"""Workers on the queue of a PostgreSQL database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from etl import clock
from etl.config import Config
from etl.db.engine import read_transaction, write_transaction
from etl.errors import DatabaseError
from etl.load.run_lock import run_lock
from etl.sandbox import Sandbox
from etl.scheduler import queue
from etl.scheduler.due_sync import DueSync, FinishedRun
from etl.scheduler.schedule import parse
from etl.worker.engine_tables import list_workers
from etl.worker.jobs import LEASE, Dispatcher
from etl.worker.service import Worker
from tests.support.sandbox_accounts import add, call_soon, change, next_run, number, open_tracks, outcomes

pytestmark = pytest.mark.postgresql
MakeConfig = Callable[..., Config]


def work_once(config: Config, engine: Engine) -> list[FinishedRun]:
    """Let a worker do everything that is due, and return its runs."""
    worker, runs = Worker(config, engine), list[FinishedRun]()
    worker.sync.after_run.append(runs.append)
    worker.run_once(threading.Event())
    return runs


def jobs(engine: Engine) -> list[tuple[str, str]]:
    """Return status and lock of the jobs of syncs."""
    with read_transaction(engine) as connection:
        query = "SELECT status, lock FROM procrastinate_jobs WHERE task_name = 'favsync.sync_account' ORDER BY id"
        return [tuple(row) for row in connection.execute(text(query))]


def test_a_worker_syncs_what_is_due_and_writes_the_next_run(config: MakeConfig, engine: Engine, sandbox: Sandbox):
    add(config(), engine, sandbox)
    assert len(work_once(config(), engine)) == 3
    for name in sandbox.users:
        assert outcomes(engine, name) == ["succeeded"]
        assert open_tracks(engine, name) == set(sandbox.favourites(name))
        row = next_run(engine, name)
        assert row.next_run_at == parse("every 1h").next_after(row.updated_at, number(engine, name))
        assert row.claimed_until is None
    assert jobs(engine) == []
    assert work_once(config(), engine) == []


def test_a_job_without_a_next_run_is_repeated(
    config: MakeConfig, engine: Engine, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    add(config(), engine, sandbox, "ada")

    def fail(*_: object) -> None:
        raise DatabaseError("the server is shutting down")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "set_next_run", fail)
        assert [run.is_settled for run in work_once(config(), engine)] == [False]
    assert jobs(engine) == [("todo", f"account {number(engine, 'ada')}")]
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now()"))
    assert [run.report.outcome for run in work_once(config(), engine)] == ["succeeded"]
    assert jobs(engine) == []


def test_an_account_is_dispatched_once(config: MakeConfig, engine: Engine, sandbox: Sandbox):
    add(config(), engine, sandbox, "ada", "ben")
    change(engine, "ben", enabled=False)
    dispatcher = Dispatcher(config(), engine)
    assert dispatcher.dispatch() == 1
    account = f"account {number(engine, 'ada')}"
    call_soon(engine, "ada")
    assert dispatcher.dispatch() == 0
    assert jobs(engine) == [("todo", account)]
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    assert dispatcher.dispatch() == 0
    with write_transaction(engine) as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))
    assert dispatcher.dispatch() == 1


def test_a_second_delivery_of_a_job_finds_nothing_due(config: MakeConfig, engine: Engine, sandbox: Sandbox):
    add(config(), engine, sandbox, "ada")
    with write_transaction(engine) as connection:
        (account_id,) = queue.claim(connection, 10, LEASE)
    sync = DueSync(config(), engine)
    assert sync.sync_due_account(account_id) is not None
    assert sync.sync_due_account(account_id) is None
    assert outcomes(engine, "ada") == ["succeeded"]


def test_a_claim_without_a_job_ends_with_its_lease(config: MakeConfig, engine: Engine, sandbox: Sandbox):
    add(config(), engine, sandbox, "ada")
    with write_transaction(engine) as connection:
        assert len(queue.claim(connection, 10, LEASE)) == 1
        assert queue.claim(connection, 10, LEASE) == []
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE schedules SET next_run_at = next_run_at - interval '11 minutes'"))
        assert len(queue.claim(connection, 10, LEASE)) == 1


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_machine_whose_clock_is_off_writes_true_times(
    hours: int, config: MakeConfig, engine: Engine, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    add(config(), engine, sandbox, "ada")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=hours))
    assert len(work_once(config(), engine)) == 1
    monkeypatch.undo()
    row = next_run(engine, "ada")
    assert row.next_run_at == parse("every 1h").next_after(row.updated_at, number(engine, "ada"))
    with read_transaction(engine) as connection:
        assert connection.execute(
            text("SELECT abs(extract(epoch FROM now() - updated_at)) < 1800 FROM schedules")
        ).scalar()


def test_the_job_of_a_lost_worker_is_done_by_another(config: MakeConfig, engine: Engine, sandbox: Sandbox):
    import asyncio

    import procrastinate

    from etl.worker.jobs import app_with_jobs, rescue_stalled

    add(config(), engine, sandbox, "ada")
    dispatcher = Dispatcher(config(), engine)
    assert dispatcher.dispatch() == 1
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))  # its worker's row is gone
    call_soon(engine, "ada")  # enqueued again meanwhile
    assert dispatcher.dispatch() == 0

    async def rescue() -> None:
        conninfo = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=1)
        app = app_with_jobs(connector, DueSync(config(), engine), dispatcher, is_periodic=False)
        async with app.open_async():
            await rescue_stalled(app)

    asyncio.run(rescue())
    assert jobs(engine) == [("todo", f"account {number(engine, 'ada')}")]
    assert len(work_once(config(), engine)) == 1
    assert outcomes(engine, "ada") == ["succeeded"]
    assert jobs(engine) == []


def test_a_stopped_worker_makes_its_account_due_again(config: MakeConfig, engine: Engine, sandbox: Sandbox):
    add(config(), engine, sandbox, "ada")
    worker, stop = Worker(config(), engine, grace_seconds=0), threading.Event()
    reached, release = threading.Event(), threading.Event()

    def hold(_request: object) -> None:
        reached.set()
        release.wait()

    sandbox.before_request = hold
    thread = threading.Thread(target=worker.run, args=(stop,))
    worker._dispatcher.dispatch()
    thread.start()
    reached.wait()
    assert [(each.accounts, bool(each.process)) for each in list_workers(engine)] == [(["ada"], True)]
    stop.set()
    worker._abandon.wait()
    release.set()
    thread.join()
    assert open_tracks(engine, "ada") == set()
    assert next_run(engine, "ada").claimed_until is None
    sandbox.before_request = None
    assert [run.report.outcome for run in work_once(config(), engine)] == ["succeeded"]
    assert list_workers(engine) == []


def test_an_account_that_another_run_holds_is_tried_again(config: MakeConfig, engine: Engine, sandbox: Sandbox):
    add(config(), engine, sandbox, "ada")
    with run_lock(engine, number(engine, "ada"), "ada"):
        (run,) = work_once(config(), engine)
    assert run.report.exit_code == 75
    assert next_run(engine, "ada").failures_in_a_row == 0
    assert outcomes(engine, "ada") == []

"""How the service ends, and what a second one does then. On both engines."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from etl.db.engine import write_transaction
from etl.db.locks import LockKind, lock
from etl.db.migrate import ready_engine
from etl.sandbox import Sandbox
from etl.scheduler.service import Service
from tests.scheduler.test_service import LONG, engine, move, sandbox, serving, tick
from tests.support.sandbox_accounts import add, next_run, open_tracks, outcomes, settings

__all__ = ["engine", "move", "sandbox", "serving"]


def test_a_second_scheduler_stands_by_and_takes_over_when_the_first_is_gone(
    database_url, engine, sandbox, serving, move
):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    first, second = serving(), serving()
    tick(first)
    move(hours=1)
    tick(second)
    assert (first.pulse.is_leader, second.pulse.is_leader) == (True, False)
    assert outcomes(engine, "ada") == ["succeeded"]
    first.stop()
    tick(second)
    assert second.pulse.is_leader
    assert outcomes(engine, "ada") == ["succeeded", "unchanged"]


@pytest.mark.postgresql
def test_a_scheduler_whose_connection_is_cut_finds_out_and_does_not_go_on_beside_another(new_database, sandbox, move):
    url = new_database("postgresql")
    engine = ready_engine(url)
    add(settings(url, sandbox), engine, sandbox, "ada")
    service = Service(settings(url, sandbox), engine)
    tick(service)
    with write_transaction(engine) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    with lock(engine, LockKind.SCHEDULER, 0, LONG):  # the server ends the session a moment later
        move(hours=1)
        tick(service)
        assert not service.pulse.is_leader
        assert outcomes(engine, "ada") == ["succeeded"]
    tick(service)
    assert outcomes(engine, "ada") == ["succeeded", "unchanged"]
    service.stop()
    engine.dispose()


def test_told_to_stop_it_lets_a_run_end_within_the_grace(database_url, engine, sandbox, serving):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    service, stop, thread = started(serving(grace_seconds=LONG), sandbox, latency_seconds=0.3)
    stop.set()
    thread.join()
    assert outcomes(engine, "ada") == ["succeeded"]
    assert not service.pulse.is_leader or service.wait(0)


def test_told_to_stop_it_abandons_what_takes_longer_which_changes_nothing(database_url, engine, sandbox, serving):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    service, stop, thread = started(serving(grace_seconds=0), sandbox, latency_seconds=30)
    stop.set()
    thread.join()
    assert service.wait(LONG)
    sandbox.switch(latency_seconds=0)
    assert open_tracks(engine, "ada") == set()
    assert next_run(engine, "ada") is None
    tick(serving())
    assert outcomes(engine, "ada")[-1] == "succeeded"
    assert open_tracks(engine, "ada") == set(sandbox.favourites("ada"))


def started(
    service: Service, sandbox: Sandbox, latency_seconds: float
) -> tuple[Service, threading.Event, threading.Thread]:
    """Run the service in a thread, and return once a request is under way."""
    asked = threading.Event()
    sandbox.switch(latency_seconds=latency_seconds)
    sandbox.before_request = lambda _record: asked.set()
    service.before_run.append(lambda _name: asked.set())
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop, 0.05))
    thread.start()
    assert asked.wait(LONG)
    return service, stop, thread

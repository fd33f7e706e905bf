"""How the service stops, and when a second one takes over. On both engines."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from etl import clock
from etl.db.engine import write_transaction
from etl.db.locks import LockKind, lock
from etl.db.migrate import ready_engine
from etl.sandbox import Sandbox
from etl.scheduler.service import Service
from tests.scheduler.test_service import LONG, engine, move, sandbox, serving, tick
from tests.support.sandbox_accounts import add, next_run, open_tracks, outcomes, settings

__all__ = ["engine", "move", "sandbox", "serving"]


def test_a_second_scheduler_takes_over_when_the_first_stops(database_url, engine, sandbox, serving, move):
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
def test_a_scheduler_that_loses_its_connection_stops_leading(new_database, sandbox, move):
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


def test_a_stop_lets_a_run_end_within_the_grace_period(database_url, engine, sandbox, serving, blocked):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    service, stop = serving(grace_seconds=LONG), threading.Event()
    thread = threading.Thread(target=service.run, args=(stop, LONG))
    thread.start()
    blocked.reached.wait()
    blocked.release_when_waited_for(service)
    stop.set()
    thread.join()
    assert outcomes(engine, "ada") == ["succeeded"]
    assert next_run(engine, "ada") is not None


def test_a_stop_abandons_a_longer_run_without_a_change(database_url, engine, sandbox, serving, blocked):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    service = serving(grace_seconds=0)
    sandbox.script(["http_500"])
    service.tick()
    blocked.reached.wait()
    service.stop()
    blocked.release.set()
    assert service.wait(LONG)
    assert open_tracks(engine, "ada") == set()
    assert next_run(engine, "ada").next_run_at <= clock.now()
    sandbox.scripted.clear()
    tick(serving())
    assert outcomes(engine, "ada")[-1] == "succeeded"
    assert open_tracks(engine, "ada") == set(sandbox.favourites("ada"))


class Blocked:
    """Blocks the first request to the sandbox. ``reached`` is set when it arrives; it goes on after ``release``."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.reached, self.release = threading.Event(), threading.Event()
        sandbox.before_request = self._hold

    def _hold(self, _request: object) -> None:
        self.reached.set()
        self.release.wait()

    def release_when_waited_for(self, service: Service) -> None:
        """Release the request once the service waits for its runs."""
        wait = service._pool.wait

        def released(seconds: float) -> bool:
            self.release.set()
            return wait(seconds)

        service._pool.wait = released


@pytest.fixture
def blocked(sandbox: Sandbox) -> Iterator[Blocked]:
    blocked = Blocked(sandbox)
    yield blocked
    blocked.release.set()

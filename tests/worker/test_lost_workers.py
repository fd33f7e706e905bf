"""Workers that are killed or overtaken in the middle of a run: the history stays right, and no account is stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from etl.config import Config
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.sandbox import Sandbox
from etl.worker.service import Worker
from tests.deploy.history import faults
from tests.house.source import ROOT
from tests.support.sandbox_accounts import add, next_run, open_tracks, outcomes, variables

pytestmark = pytest.mark.postgresql
MakeConfig = Callable[..., Config]


class Gate:
    """Holds the first request for favourites until it is opened."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        sandbox.before_request = self._hold

    def _hold(self, _request: object) -> None:
        if not self.reached.is_set():
            self.reached.set()
            self.opened.wait()


@contextmanager
def worker_in_a_request(url: str, sandbox: Sandbox, gate: Gate, pooling: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker process, and wait until it is in the middle of a run."""
    environ = os.environ | variables(url, sandbox, FAVSYNC_DATABASE_POOLING=pooling, BOOMPLAY_APP_SECRET="")
    command = [sys.executable, "-m", "etl", "worker", "--concurrency", "1"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE) as process:
        try:
            while not gate.reached.wait(0.1):
                assert process.poll() is None, process.stderr.read()
            yield process
        finally:
            gate.opened.set()
            process.kill()


def give_up_on_workers(engine: Engine) -> None:
    """Let the signs of life of all workers be an hour old."""
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))


def require_truth(engine: Engine, url: str, sandbox: Sandbox) -> None:
    """Check that the histories are those of the service, and that nothing is claimed or in work."""
    for name in sandbox.users:
        assert open_tracks(engine, name) == set(sandbox.favourites(name))
        assert next_run(engine, name).claimed_until is None
        assert outcomes(engine, name)[-1] == "succeeded"
    with read_transaction(engine) as connection:
        jobs = "SELECT status FROM procrastinate_jobs WHERE task_name = 'favsync.sync_account'"
        assert connection.execute(text(jobs)).all() == []
    assert faults(url) == []


def test_a_killed_worker_loses_no_account(url: str, config: MakeConfig, engine: Engine, sandbox: Sandbox):
    add(config(), engine, sandbox)
    gate = Gate(sandbox)
    with worker_in_a_request(url, sandbox, gate, "direct") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    give_up_on_workers(engine)
    Worker(config(), engine).run_once(threading.Event())
    require_truth(engine, url, sandbox)
    assert sorted(len(outcomes(engine, name)) for name in sandbox.users) == [1, 1, 2]


def test_an_overtaken_worker_cannot_write(url: str, config: MakeConfig, sandbox: Sandbox):
    engine = open_engine(url, pooling="transaction")
    add(config(), engine, sandbox)
    gate = Gate(sandbox)
    with worker_in_a_request(url, sandbox, gate, "transaction") as process:
        process.send_signal(signal.SIGSTOP)
        gate.opened.set()  # the answer waits for it
        give_up_on_workers(engine)
        Worker(config(), engine).run_once(threading.Event())
        require_truth(engine, url, sandbox)
        with read_transaction(engine) as connection:
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database IS NOT NULL"
            assert connection.execute(text(held)).scalar() == 0
        before = [outcomes(engine, name) for name in sandbox.users]
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert b"lost its lock" in errors
    assert [outcomes(engine, name) for name in sandbox.users] == before
    require_truth(engine, url, sandbox)
    engine.dispose()

"""`favsync worker`, `enqueue` and `workers`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from etl import clock
from etl.cli import main, worker
from etl.config import Config
from etl.db.engine import open_engine, write_transaction
from etl.db.migrate import ready_engine
from etl.sandbox import Sandbox
from etl.worker import engine_tables
from tests.conftest import NewDatabase
from tests.support.database import ROOT
from tests.support.sandbox_accounts import add, change, next_run, outcomes, postpone, settings, variables
from tests.support.waiting import wait_until

MakeConfig = Callable[..., Config]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Callable[[str], None]:
    """Return a function that sets the settings for the sandbox and a database."""

    def use(url: str) -> None:
        for name, value in variables(url, sandbox, BOOMPLAY_APP_SECRET="").items():
            monkeypatch.setenv(name, value)

    return use


def two_processes() -> subprocess.Popen[bytes]:
    """Start a worker of two processes."""
    command = [sys.executable, "-m", "etl", "worker", "--processes", "2"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)


@pytest.mark.postgresql
def test_once_syncs_what_is_due_and_ends(url: str, config: MakeConfig, engine: Engine, sandbox: Sandbox, environment):
    environment(url)
    add(config(), engine, sandbox)
    sandbox.revoke_token("ben")
    assert main(["worker", "--once"]) == 4
    assert [outcomes(engine, name) for name in ("ada", "ben", "cy")] == [["succeeded"], ["failed"], ["succeeded"]]
    assert main(["worker", "--once"]) == 0
    assert main(["enqueue", "ada"]) == 0
    assert main(["worker", "--once"]) == 0
    assert outcomes(engine, "ada") == ["succeeded", "unchanged"]


@pytest.mark.postgresql
def test_processes_share_the_queue_until_a_signal(url: str, config: MakeConfig, engine: Engine, sandbox, environment):
    environment(url)
    add(config(), engine, sandbox)
    with two_processes() as running:
        wait_until(lambda: all(outcomes(engine, name) == ["succeeded"] for name in sandbox.users), running)
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate()
    assert running.returncode == 0, errors
    with write_transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM procrastinate_workers")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM schedules WHERE claimed_until IS NOT NULL")).scalar() == 0


@pytest.mark.postgresql
def test_processes_end_when_their_supervisor_is_killed(
    url: str, config: MakeConfig, engine: Engine, sandbox, environment
):
    environment(url)
    add(config(), engine, sandbox)
    with two_processes() as running:
        wait_until(lambda: all(outcomes(engine, name) == ["succeeded"] for name in sandbox.users), running)
        running.send_signal(signal.SIGKILL)
        errors = running.stderr.read().decode()  # ends when no process has it open any more
    assert errors.count("worker stopped") == 2, errors
    with write_transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM procrastinate_workers")).scalar() == 0


def test_enqueue_makes_accounts_due(database_url: str, sandbox: Sandbox, environment, capsys):
    environment(database_url)
    engine = ready_engine(database_url)
    add(settings(database_url, sandbox), engine, sandbox)
    until = clock.now() + timedelta(days=3)
    for name in sandbox.users:
        postpone(engine, name, until)
    change(engine, "cy", enabled=False)
    assert main(["enqueue", "ada"]) == 0
    assert next_run(engine, "ada").next_run_at <= clock.now()
    assert next_run(engine, "ben").next_run_at == until
    assert main(["enqueue", "b*"]) == 0
    assert next_run(engine, "ben").next_run_at <= clock.now()
    capsys.readouterr()
    assert main(["enqueue", "--all", "--spread", "2h", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"accounts": ["ada", "ben"], "spread_seconds": 7200}
    apart = next_run(engine, "ben").next_run_at - next_run(engine, "ada").next_run_at
    assert timedelta(minutes=59) < apart < timedelta(minutes=61)
    assert next_run(engine, "cy").next_run_at > until
    assert main(["enqueue"]) == main(["enqueue", "ada", "--all"]) == 2
    assert main(["enqueue", "--all", "--spread", "often"]) == 2
    engine.dispose()


def test_a_process_that_a_stop_finds_starting_is_no_failure(monkeypatch):
    started = [sys.executable, "-c", "import sys; sys.stdin.read()"]  # it does not handle signals yet
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(worker, "stop_event", lambda: nullcontext(stop))
    monkeypatch.setattr(worker, "_start", lambda *_: subprocess.Popen(started, stdin=subprocess.PIPE))
    assert worker._supervise(2, None, once=False) == []


def test_workers_need_postgresql(new_database: NewDatabase, environment, capsys):
    environment(new_database("sqlite"))
    for words in (["worker"], ["workers"]):
        assert main(words) == 2
        assert "`favsync schedule` serves SQLite" in capsys.readouterr().err


@pytest.mark.postgresql
def test_missing_extra_or_tables_are_named(new_database: NewDatabase, environment, capsys, monkeypatch):
    url = new_database("postgresql")
    environment(url)
    assert main(["worker"]) == 5
    assert "the tables of the queue are missing" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(engine_tables, "is_installed", lambda: False)
        assert main(["worker"]) == 2
        assert "pip install 'favsync[worker]'" in capsys.readouterr().err
        assert main(["db", "upgrade"]) == 0
        assert "queue" not in capsys.readouterr().out
    assert main(["db", "upgrade"]) == 0
    assert "the tables of the workers' queue were upgraded" in capsys.readouterr().out
    assert main(["db", "upgrade"]) == main(["db", "check"]) == main(["worker", "--once"]) == 0
    capsys.readouterr()
    assert main(["workers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.postgresql
def test_a_newer_engine_gets_its_migrations(url: str, monkeypatch, tmp_path: Path):
    newer = tmp_path / "99.00.00_01_pre_column.sql"
    newer.write_text("ALTER TABLE procrastinate_jobs ADD COLUMN later int; SELECT 1;")
    migrations = engine_tables._migrations()
    monkeypatch.setattr(engine_tables, "_migrations", lambda: [*migrations, newer])
    engine = open_engine(url)
    with pytest.raises(engine_tables.SchemaOutdated, match="are 1 migrations behind"):
        engine_tables.require_workers(engine)
    assert engine_tables.install(engine)
    engine_tables.require_workers(engine)
    assert not engine_tables.install(engine)
    engine.dispose()

"""docs/engines.md: the adapters for Celery and Dramatiq, run as documented, with brokers in memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from celery.contrib.testing.worker import start_worker
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import Engine

from etl.config import Config
from etl.db.migrate import ready_engine
from etl.sandbox import Sandbox
from tests.house.source import ROOT
from tests.support.logging import restored_logs
from tests.support.sandbox_accounts import add, call_soon, next_run, open_tracks, outcomes, settings
from tests.support.waiting import wait_until

GUIDE = (ROOT / "docs/engines.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _restored_logs() -> Iterator[None]:
    """Celery's worker sets the level of the root logger."""
    with restored_logs():
        yield


@pytest.fixture
def adapter(database_url: str, sandbox: Sandbox, monkeypatch) -> Callable[[str, Any], dict[str, Any]]:
    """Return a function that runs the documented code of an engine, with the sandbox's accounts in the database."""
    from etl import config as module

    config: Config = settings(database_url, sandbox)
    engine = ready_engine(database_url)
    add(config, engine, sandbox)

    def run(title: str, broker: Any) -> dict[str, Any]:
        monkeypatch.setattr(module, "load", lambda *_: config)
        (code,) = re.findall(rf"^## {title}\n.*?```python\n(.*?)```", GUIDE, re.DOTALL | re.MULTILINE)
        names: dict[str, Any] = {"BROKER": broker, "__name__": "adapter"}
        exec(compile(code, f"docs/engines.md: {title}", "exec"), names)
        return names

    return run


def require_synced(engine: Engine, sandbox: Sandbox, runs: list[str]) -> None:
    for name in sandbox.users:
        assert outcomes(engine, name) == runs
        assert open_tracks(engine, name) == set(sandbox.favourites(name))
        assert next_run(engine, name).claimed_until is None


def test_dramatiq_syncs_what_is_due_once(adapter, sandbox: Sandbox):
    broker = StubBroker()
    names = adapter("Dramatiq", broker)
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=2)
    worker.start()
    for _ in range(2):  # nothing is due the second time
        names["dispatch"].send()
        broker.join(names["dispatch"].queue_name, fail_fast=True)
        worker.join()
    require_synced(names["engine"], sandbox, ["succeeded"])
    call_soon(names["engine"], "ada")
    names["dispatch"]()
    broker.join(names["sync_account"].queue_name, fail_fast=True)
    worker.join()
    assert outcomes(names["engine"], "ada") == ["succeeded", "unchanged"]
    worker.stop()
    names["engine"].dispose()


def test_celery_syncs_what_is_due_once(adapter, sandbox: Sandbox):
    names = adapter("Celery", "memory://")
    app = names["app"]
    app.conf.broker_transport_options = {"polling_interval": 0.01}  # of the queues in memory; by default a second
    app.conf.update(result_backend="cache+memory://", task_ignore_result=False, worker_hijack_root_logger=False)
    app.loader.import_module("celery.contrib.testing.tasks")
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=threading.TIMEOUT_MAX):
        names["dispatch"].apply().get()
        wait_until(lambda: all(outcomes(names["engine"], name) == ["succeeded"] for name in sandbox.users))
        app.control.shutdown()  # the worker notices the end of the block only after two seconds
    assert app.conf.beat_schedule["favsync"]["task"] == names["dispatch"].name
    names["dispatch"].apply().get()  # nothing is due any more, so nothing is sent
    require_synced(names["engine"], sandbox, ["succeeded"])
    names["engine"].dispose()

"""deploy/kubernetes/keda: the query, asked of a database with due accounts, and the names that the file refers to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
import yaml

from etl import clock
from etl.db.engine import write_transaction
from etl.db.migrate import ready_engine
from etl.load.accounts import ensure_account
from etl.load.calendar import set_due
from etl.scheduler import queue
from tests.conftest import NewDatabase
from tests.house.source import ROOT

FOLDER = ROOT / "deploy/kubernetes"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


SCALED, AUTHENTICATION = documents("keda/worker-scaledobject.yaml")
(TRIGGER,) = SCALED["spec"]["triggers"]


@pytest.mark.postgresql
def test_the_query_counts_what_is_due_or_claimed(new_database: NewDatabase) -> None:
    url = new_database("postgresql")
    engine = ready_engine(url)
    with write_transaction(engine) as connection:
        for name in ("ada", "ben", "cy", "dan"):
            ensure_account(connection, name, clock.now() - timedelta(minutes=1))
        set_due(connection, 4, clock.now() + timedelta(days=1))
    with psycopg.connect(url) as connection:
        assert connection.execute(TRIGGER["metadata"]["query"].encode()).fetchall() == [(3,)]
    with write_transaction(engine) as claiming:
        assert len(queue.claim(claiming, 2, timedelta(minutes=10))) == 2
    with psycopg.connect(url) as connection:
        assert connection.execute(TRIGGER["metadata"]["query"].encode()).fetchall() == [(3,)]
    engine.dispose()


def test_the_scaled_object_refers_to_what_exists() -> None:
    (deployment,) = [each for each in documents("worker-deployment.yaml") if each["kind"] == "Deployment"]
    assert SCALED["spec"]["scaleTargetRef"] == {"name": deployment["metadata"]["name"]}
    assert TRIGGER["type"] == "postgresql"
    assert set(TRIGGER["metadata"]) == {"query", "targetQueryValue"}
    assert float(TRIGGER["metadata"]["targetQueryValue"]) > 0
    assert TRIGGER["authenticationRef"]["name"] == AUTHENTICATION["metadata"]["name"]
    secrets = {each["metadata"]["name"]: each["stringData"] for each in documents("secret.example.yaml")}
    (reference,) = AUTHENTICATION["spec"]["secretTargetRef"]
    assert reference["parameter"] == "connection"
    assert reference["key"] in secrets[reference["name"]]

"""`favsync schedule --once` syncs the accounts that are due and ends. On both engines."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta

import pytest
from werkzeug import Response

from etl import clock, logs
from etl.cli import main
from etl.errors import RunInProgress
from etl.load.run_lock import run_lock
from etl.scheduler.service import Service
from tests.scheduler.test_service import engine, move, sandbox, serving, tick
from tests.support.sandbox_accounts import KEY, add, call_soon, next_run, number, outcomes, postpone, settings

__all__ = ["engine", "move", "sandbox", "serving"]


def once(service: Service) -> bool:
    return service.run_once(threading.Event())


def test_once_syncs_every_due_account_with_one_worker(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox)
    assert once(serving(workers=1))
    assert [outcomes(engine, name) for name in ("ada", "ben", "cy")] == [["succeeded"]] * 3
    assert once(serving(workers=1))
    move(hours=1)
    assert once(serving(workers=1))
    assert [outcomes(engine, name) for name in ("ada", "ben", "cy")] == [["succeeded", "unchanged"]] * 3


def test_an_account_due_later_waits_for_the_next_call(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    service = serving(workers=1)
    service.after_run.append(lambda _ran: move(hours=2))
    assert once(service)
    assert (outcomes(engine, "ada"), outcomes(engine, "ben")) == (["succeeded"], ["succeeded"])


def test_a_postponed_account_is_not_synced(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    until = clock.now() + timedelta(hours=5)
    postpone(engine, "ada", until, failures=1)
    move(hours=2)
    assert once(serving())
    assert (outcomes(engine, "ada"), outcomes(engine, "ben")) == ([], ["succeeded"])


def test_once_beside_an_active_scheduler_is_refused(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    first = serving()
    tick(first)
    move(hours=2)
    with pytest.raises(RunInProgress, match="another scheduler"):
        once(serving())
    assert outcomes(engine, "ada") == ["succeeded"]


def test_once_recomputes_what_a_wrong_clock_postponed(database_url, engine, sandbox, serving, move):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    move(days=365)
    assert once(serving())
    move(days=-365)
    assert once(serving())
    assert outcomes(engine, "ada") == ["succeeded"]
    assert next_run(engine, "ada").next_run_at <= clock.now() + timedelta(hours=1)
    move(hours=1)
    assert once(serving())
    assert len(outcomes(engine, "ada")) == 2


@pytest.fixture
def environment(database_url, sandbox, monkeypatch):
    for name, value in {
        "FAVSYNC_DATABASE_URL": database_url,
        "FAVSYNC_ENCRYPTION_KEY": KEY,
        "FAVSYNC_LOG_FORMAT": "json",
        "FAVSYNC_MAX_RETRIES": "0",
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
    }.items():
        monkeypatch.setenv(name, value)
    yield monkeypatch
    logs.configure("text", "warning")


def test_the_worst_run_sets_the_exit_code_and_logs_are_json(database_url, engine, sandbox, environment, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    sandbox.revoke_token("ada")
    assert main(["schedule", "--once", "--http", "127.0.0.1:0"]) == 4
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logged = {line["account"]: line["outcome"] for line in lines if "account" in line}
    assert logged == {"ada": "failed", "ben": "succeeded"}
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    assert all("run_id" in line for line in lines if "account" in line)
    assert any("/metrics" in line["event"] for line in lines)


def test_a_wrong_setting_is_named_in_json(engine, environment, capsys):
    environment.setenv("FAVSYNC_SCHEDULE", "every now and then")
    assert main(["schedule"]) == 2
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["exit_code"]) == ("error", 2)
    assert line["error"].startswith("FAVSYNC_SCHEDULE: ")
    assert "every 15m" in line["remedy"]
    environment.delenv("FAVSYNC_SCHEDULE")
    environment.setenv("FAVSYNC_PING_URL", "ftp://x.example")
    assert main(["schedule"]) == 2
    assert "FAVSYNC_SCHEDULE" not in capsys.readouterr().err


def test_without_accounts_the_message_names_accounts_add(engine, environment, capsys):
    assert main(["schedule", "--once"]) == 0
    assert "favsync accounts add NAME" in capsys.readouterr().err


@pytest.fixture
def pings(httpserver, environment):
    """The pings that a healthcheck service received, by path and body."""
    got: list[tuple[str, str]] = []

    def answer(request):
        got.append((request.path, request.get_data(as_text=True)))
        return Response("OK")

    httpserver.expect_request(re.compile("/.*")).respond_with_handler(answer)
    environment.setenv("FAVSYNC_PING_URL", httpserver.url_for("/uuid"))
    return got


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("words", [("sync",), ("schedule", "--once")])
def test_a_round_pings_start_and_result(words, database_url, engine, sandbox, pings, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    assert main(list(words)) == 0
    assert [path for path, _ in pings] == ["/uuid/start", "/uuid"]
    sandbox.revoke_token("ben")
    call_soon(engine, "ben")
    assert main(list(words)) == 4
    assert [path for path, _ in pings[2:]] == ["/uuid/start", "/uuid/fail"]
    assert pings[-1][1].startswith("ben: ")


def test_a_round_with_a_waiting_failed_account_pings_failure(database_url, engine, sandbox, pings, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada", "ben")
    sandbox.revoke_token("ben")
    assert main(["schedule", "--once"]) == 4
    assert main(["schedule", "--once"]) == 0
    assert [path for path, _ in pings[2:]] == ["/uuid/start", "/uuid/fail"]
    assert pings[-1][1].startswith("ben: failed 1 times in a row")


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("words", [("sync",), ("schedule", "--once")])
def test_a_round_blocked_by_another_run_pings_no_result(words, database_url, engine, sandbox, serving, pings, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    scheduler = serving()
    tick(scheduler)
    with run_lock(engine, number(engine, "ada"), "ada"):
        assert main(list(words)) == 75
    assert [path for path, _ in pings] == ["/uuid/start"]


def test_a_partial_sync_or_a_plan_pings_nothing(database_url, engine, sandbox, pings, capsys):
    add(settings(database_url, sandbox), engine, sandbox, "ada")
    assert main(["sync", "ada"]) == main(["sync", "--plan"]) == 0
    assert pings == []


def test_a_round_that_cannot_start_pings_failure(engine, pings, environment, capsys):
    environment.setenv("FAVSYNC_DATABASE_URL", "sqlite:////dev/null/favsync.db")
    environment.setenv("BOOMPLAY_ACCESS_TOKEN", "x" * 20)
    assert main(["sync"]) == 5
    assert [path for path, _ in pings] == ["/uuid/start", "/uuid/fail"]

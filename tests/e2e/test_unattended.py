"""Accounts, status, doctor and the scheduler, as a user meets them: the installed command against the sandbox."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import datetime

import pytest

from etl.sandbox import Sandbox
from tests.e2e.conftest import FAVSYNC
from tests.support.sandbox_accounts import new_key
from tests.support.waiting import wait_until


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tracks=40, users=["ada", "ben"]) as running:
        yield running


@pytest.fixture
def run(favsync, sandbox, home, monkeypatch):
    """Run ``favsync`` with a key, and settings that lead to the sandbox."""
    for name, value in {
        "FAVSYNC_DATABASE_URL": f"sqlite:///{home}/favsync.db",
        "FAVSYNC_ENCRYPTION_KEY": new_key(),
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
    }.items():
        monkeypatch.setenv(name, value)

    return favsync


def test_account_is_added_synced_changed_and_removed(run, sandbox, home):
    added = run("accounts", "add", "ada", stdin=f"{sandbox.users['ada'].access_token}\n")
    assert (added.code, added.out) == (0, "added: account ada is ada, region NG\n")
    assert "encrypted" in added.err
    assert run("accounts", "add", "two", stdin=sandbox.users["ada"].access_token).code == 2
    never = run("status", "--json")
    assert (never.code, never.json[0]["freshness"]) == (0, "never synced")
    assert run("sync").code == 0
    fresh = run("status", "--json").json[0]
    assert (fresh["freshness"], fresh["favourites"], fresh["token"]) == ("fresh", 40, "valid")
    assert run("status", "--max-age", "1m").code == 0
    assert (
        run("accounts", "set", "ada", "--schedule", "0 3 * * 1 Africa/Lagos", "--region", "ke", "--name", "me").code
        == 0
    )
    listed = run("accounts", "list", "--json").json
    assert (listed[0]["account"], listed[0]["schedule"], listed[0]["region"]) == ("me", "0 3 * * 1 Africa/Lagos", "KE")
    wrong = run("accounts", "set", "me", "--schedule", "0 3 * * 9")
    assert (wrong.code, "day-of-week" in wrong.err) == (2, True)
    assert run("accounts", "check", "--json").json[0]["works"] is True
    removed = run("accounts", "remove", "me")
    assert "its history is kept" in removed.out
    with sqlite3.connect(home / "favsync.db") as connection:
        assert connection.execute("SELECT count(*) FROM favourites").fetchone() == (40,)
        assert connection.execute("SELECT count(*) FROM tokens").fetchone() == (0,)
    connection.close()


def test_a_token_never_shows_and_is_no_argument(run, sandbox, home):
    token = sandbox.users["ada"].access_token
    results = [
        run("accounts", "add", "ada", "--json", stdin=token),
        run("accounts", "list"),
        run("accounts", "check", "--debug"),
        run("status", "--json"),
        run("doctor", "--debug"),
    ]
    assert [result.code for result in results] == [0] * 5
    assert token not in "".join(result.out + result.err for result in results)
    assert token.encode() not in (home / "favsync.db").read_bytes()
    assert "--token-env" in run("accounts", "add", "--help").out


def test_removing_a_history_asks_first(run, sandbox, home):
    run("accounts", "add", "ada", stdin=sandbox.users["ada"].access_token)
    refused = run("accounts", "remove", "ada", "--erase")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert run("accounts", "list", "--json").json[0]["account"] == "ada"
    run("sync")
    erased = run("accounts", "remove", "ada", "--erase", "--yes")
    assert erased.code == 0
    assert erased.out.startswith("account ada and its history are deleted: 1 run, ")
    with sqlite3.connect(home / "favsync.db") as connection:
        for table in ("accounts", "favourites", "runs", "tokens", "schedules"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.close()


def test_dead_token_is_exit_4_until_it_is_replaced(run, sandbox, home):
    run("accounts", "add", "ada", stdin=sandbox.users["ada"].access_token)
    assert run("sync").code == 0
    sandbox.revoke_token("ada")
    assert run("sync").code == 4
    with sqlite3.connect(home / "favsync.db") as connection:
        connection.execute("UPDATE tokens SET suspect_since = '2020-01-01T00:00:00.000000Z'")
    connection.close()
    assert run("accounts", "check").code == 4
    sent = len(sandbox.requests)
    dead = run("sync")
    assert (dead.code, len(sandbox.requests)) == (4, sent)
    assert "favsync accounts login ada" in dead.err
    told = run("status")
    assert (told.code, "token is dead" in told.err) == (4, True)
    assert run("accounts", "set", "ada", "--token", stdin=sandbox.new_token("ada")).code == 0
    assert run("sync").code == 0
    assert run("status").code == 0


def test_the_doctor_says_what_is_wrong_and_what_to_do(run, sandbox, home):
    both = run("doctor", env={"FAVSYNC_SCHEDULE": "every banana", "BOOMPLAY_APP_ID": ""})
    assert "there is no app id" in both.out
    assert "'every banana' is not a schedule" in both.out
    nothing = run("doctor")
    assert nothing.code == 5
    assert "there is no database" in nothing.out
    run("accounts", "add", "ada", stdin=sandbox.users["ada"].access_token)
    run("sync")
    well = run("doctor", "--json")
    assert (well.code, {each["level"] for each in well.json}) == (0, {"ok"})
    (home / "favsync.db").chmod(0o644)
    assert "chmod 600" in run("doctor").out
    sandbox.expire_token("ada")
    ill = run("doctor", env={"FAVSYNC_ENCRYPTION_KEY": ""})
    assert ill.code == 4
    assert "the token of account ada is encrypted, and no FAVSYNC_ENCRYPTION_KEY is set" in ill.out
    assert run("doctor").code == 4
    sandbox.stop()
    away = run("doctor", "--json")
    assert [each["exit_code"] for each in away.json if each["subject"] == "api"] == [3]
    assert [each["finding"] for each in away.json if each["subject"] == "tokens"] == [
        "not tried, as the API does not answer"
    ]


def test_the_scheduler_serves_syncs_and_ends_well(run, sandbox, home):
    for name in ("ada", "ben"):
        run("accounts", "add", name, stdin=sandbox.users[name].access_token)
    command = [FAVSYNC, "schedule", "--http", "127.0.0.1:0", "--log-format", "json"]
    with subprocess.Popen(command, env=os.environ, cwd=home, stderr=subprocess.PIPE, text=True) as service:
        try:
            url = json.loads(service.stderr.readline())["event"].removeprefix("serving ").split("/metrics")[0]
            for wanted in (
                'favsync_runs_total{outcome="succeeded"} 2.0',
                'favsync_age_of_last_proven_sync_seconds{account="ben"}',
            ):
                wait_until(lambda wanted=wanted: wanted in fetched(f"{url}/metrics"), service)
            assert fetched(f"{url}/healthz") == "ok\n"
            assert fetched(f"{url}/readyz") == "ready: it syncs\n"
        finally:
            service.send_signal(signal.SIGTERM)
        log = [json.loads(line) for line in service.stderr]
    assert service.returncode == 0
    synced = [line for line in log if line["event"] == "synced"]
    # A set: where the hourly turn of an account is due by chance, it is synced a second time.
    assert {(line["account"], line["favourites"]) for line in synced} == {("ada", 40), ("ben", 40)}
    assert all(line["run_id"] and datetime.fromisoformat(line["timestamp"]) for line in synced)
    assert log[-1]["event"] == "scheduler stopped"
    coming = run("status", "--json").json
    assert all(each["next_run_at"] for each in coming)


def fetched(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


def test_the_numbers_of_one_shot_runs_go_to_a_file(run, sandbox, home):
    run("accounts", "add", "ada", stdin=sandbox.users["ada"].access_token)
    run("sync")
    assert run("status", "--prometheus", "favsync.prom").code == 0
    assert 'favsync_favourites{account="ada"} 40.0' in (home / "favsync.prom").read_text()


def test_signing_in_by_pasting_needs_no_browser(run, sandbox, monkeypatch):
    import re

    import httpx

    uri = "http://localhost:8888/"
    monkeypatch.setenv("BOOMPLAY_REDIRECT_URI", uri)
    command = [FAVSYNC, "accounts", "login", "ben", "--no-browser"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ, **pipes) as login:
        said = ""
        while not (found := re.search(r"(http\S+state=\S+)\n", said)):
            said += login.stderr.readline()
        location = httpx.get(f"{found[1]}&user=ben&decision=approve").headers["location"]
        out, _ = login.communicate(f"{location}\n")
    assert (login.returncode, out) == (0, "signed in: account ben is ben, region GH\n")
    assert run("accounts", "list", "--json").json[0]["token"] == "expiring"

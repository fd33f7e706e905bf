"""`favsync sync`, as a user would try it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import FAVSYNC

CONTRACT_FIELDS = {
    "account", "run_id", "trigger", "outcome", "reason", "proven", "favourites", "added", "removed", "held", "missing",
    "changed", "rejected", "pages", "requests", "retries", "started_at", "observed_at", "finished_at",
}  # fmt: skip


def database(home: Path) -> Path:
    return home / ".local/share/favsync/favsync.db"


def rows(home: Path, sql: str) -> list[tuple]:
    with sqlite3.connect(database(home)) as connection:
        return connection.execute(sql).fetchall()


def test_the_first_sync_makes_the_database_and_says_what_came(favsync, connected, home):
    result = favsync("sync")
    assert result.code == 0
    assert "default: succeeded: 120 favourites, 120 added" in result.out
    assert "Traceback" not in result.err
    assert rows(home, "SELECT count(*) FROM report_current_favourites") == [(120,)]
    assert database(home).stat().st_mode & 0o777 == 0o600


WEIGHED = """
import json, resource, subprocess, sys
(report,) = json.loads(subprocess.check_output([sys.argv[1], "sync", "--json"], stderr=subprocess.DEVNULL))
print(json.dumps([report, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)]))
"""
"""A process between, as the peak of a process begins with the memory of the one that started it."""


def weighed(env: dict[str, str]) -> tuple[dict, int]:
    """Return the report of a sync and the most memory that it took, in bytes."""
    done = subprocess.check_output([sys.executable, "-c", WEIGHED, FAVSYNC], env=dict(os.environ) | env)
    report, most = json.loads(done)
    return report, most


@pytest.mark.usefixtures("existing_database")
def test_json_has_the_contracts_fields(favsync, connected):
    (report,) = favsync("sync", "--json").json
    assert report.keys() >= CONTRACT_FIELDS
    assert (report["outcome"], report["proven"], report["added"]) == ("succeeded", True, 120)
    (plan,) = favsync("sync", "--json", "--plan").json
    assert plan["plan"] == {"added": [], "removed": [], "held": [], "missing": []}


@pytest.mark.usefixtures("existing_database")
def test_the_settings_hold_for_a_sync(favsync, connected, home):
    assert favsync("sync", env={"FAVSYNC_KEEP_RAW": "false"}).code == 0
    assert rows(home, "SELECT count(*) FROM raw_blocks") == [(0,)]
    connected.set_favourites("ada", connected.favourites("ada")[:116])
    held = favsync("sync", "--json", env={"FAVSYNC_KEEP_RAW": "false", "FAVSYNC_REMOVAL_BRAKE": "3,0.01"})
    assert (held.code, held.json[0]["outcome"]) == (7, "held")


@pytest.mark.usefixtures("existing_database")
def test_changes_between_syncs_become_history(favsync, connected, home):
    favsync("sync")
    assert not list(home.glob("*.db-*")), "all of it is in the one file once the process has ended"
    gone, back = connected.favourites("ada")[3], connected.favourites("ada")[60]
    connected.unfavourite("ada", gone)
    connected.unfavourite("ada", back)
    (second,) = favsync("sync", "--json").json
    assert (second["outcome"], second["added"], second["removed"]) == ("succeeded", 0, 2)
    connected.favourite("ada", back)
    (third,) = favsync("sync", "--json").json
    assert (third["added"], third["removed"]) == (1, 0)
    stays = rows(home, f"SELECT is_current FROM report_favourite_history WHERE track_id = {back} ORDER BY valid_from")
    assert stays == [(0,), (1,)]
    assert favsync("db", "check").code == 0


@pytest.mark.usefixtures("existing_database")
def test_a_removed_favourite_is_missing_until_it_is_approved(favsync, connected, monkeypatch):
    monkeypatch.delenv("FAVSYNC_REMOVAL_GRACE")
    favsync("sync")
    gone = connected.favourites("ada")[3:6]
    for track_id in gone:
        connected.unfavourite("ada", track_id)
    (plan,) = favsync("sync", "--plan", "--json").json
    assert plan["plan"] == {"added": [], "removed": [], "held": [], "missing": sorted(gone)}
    missing = favsync("sync")
    assert missing.code == 0
    assert "default: succeeded: 120 favourites, 3 missing (" in missing.out
    assert "3 missing from the list: removals are recorded when they are certain" in missing.out
    assert "missing: 3\n" in favsync("runs", "show", "2").out
    approved = favsync("runs", "approve", "--account", "default")
    assert (approved.code, approved.out) == (0, "run 2 approved: 3 removals recorded\n")
    assert favsync("rebuild", "--check").code == 0
    (after,) = favsync("sync", "--json").json
    assert (after["outcome"], after["favourites"], after["missing"]) == ("unchanged", 117, 0)


@pytest.mark.usefixtures("existing_database")
def test_an_unchanged_list_writes_one_row(favsync, connected, home):
    favsync("sync")
    before = counts(home)
    (second,) = favsync("sync", "--json").json
    assert (second["outcome"], second["requests"]) == ("unchanged", 5)
    after = counts(home)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {"runs": 1}


def counts(home: Path) -> dict[str, int]:
    names = [name for (name,) in rows(home, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: rows(home, f"SELECT count(*) FROM {name}")[0][0] for name in names}


def test_a_plan_writes_nothing_at_all(favsync, connected, home):
    planned = favsync("sync", "--plan")
    assert planned.code == 0
    assert "would end as succeeded: 120 favourites, 120 added" in planned.out
    assert list(home.iterdir()) == []
    favsync("sync")
    connected.unfavourite("ada", connected.favourites("ada")[0])
    before = {path: path.read_bytes() for path in database(home).parent.iterdir() if not path.name.endswith(("-shm",))}
    (planned,) = favsync("sync", "--plan", "--json").json
    assert len(planned["plan"]["removed"]) == 1
    assert {path: path.read_bytes() for path in before} == before
    assert rows(home, "SELECT count(*) FROM runs") == [(1,)]


@pytest.mark.usefixtures("existing_database")
def test_an_emptied_list_takes_one_approval(favsync, connected, home):
    favsync("sync")
    connected.set_favourites("ada", [])
    held = favsync("sync")
    assert held.code == 7
    assert "120 held" in held.out
    assert rows(home, "SELECT count(*) FROM report_current_favourites") == [(120,)]
    approved = favsync("runs", "approve", "2")
    assert approved.code == 0
    assert rows(home, "SELECT count(*) FROM report_current_favourites") == [(0,)]
    assert favsync("runs", "approve", "2").code == 2
    assert favsync("sync").code == 0


@pytest.mark.usefixtures("existing_database")
def test_a_held_run_that_was_superseded_is_refused_and_says_so(favsync, connected):
    favsync("sync")
    former = connected.favourites("ada")
    connected.set_favourites("ada", [])
    favsync("sync")
    connected.set_favourites("ada", former)
    assert favsync("sync").code == 0
    refused = favsync("runs", "approve", "2")
    assert refused.code == 2
    assert "run 3 read the list after it" in refused.err
    assert "superseded by run 3" in favsync("runs", "show", "2").out


def test_sync_without_credentials_writes_nothing(favsync, home):
    result = favsync("sync")
    assert result.code == 2
    assert "BOOMPLAY_ACCESS_TOKEN" in result.err
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("existing_database")
def test_token_of_another_user_is_refused_before_a_write(favsync, monkeypatch, home):
    from etl.sandbox import Sandbox

    with Sandbox(tracks=60, seed=3, users=("ada", "bola")) as sandbox:
        sandbox.unfavourite("bola", sandbox.favourites("bola")[0])
        env = {
            "BOOMPLAY_API_URL": sandbox.url,
            "BOOMPLAY_APP_ID": sandbox.app_id,
            "BOOMPLAY_ACCESS_TOKEN": sandbox.users["ada"].access_token,
        }
        assert favsync("sync", env=env).code == 0
        swapped = favsync("sync", env=env | {"BOOMPLAY_ACCESS_TOKEN": sandbox.users["bola"].access_token})
    assert swapped.code == 4
    assert "another Boomplay user" in swapped.err
    assert rows(home, "SELECT outcome, added, removed FROM runs WHERE run_id = 2") == [("failed", 0, 0)]


@pytest.mark.usefixtures("existing_database")
def test_an_unknown_account_is_named_with_those_that_are_there(favsync, connected):
    favsync("sync")
    result = favsync("sync", "nobody")
    assert result.code == 2
    assert "'nobody'" in result.err
    assert "default" in result.err


@pytest.mark.usefixtures("existing_database")
def test_ten_thousand_favourites_keep_request_and_memory_limits():
    from etl.sandbox import Sandbox

    with Sandbox(tracks=10_000, seed=5) as sandbox:
        env = {
            "BOOMPLAY_API_URL": sandbox.url,
            "BOOMPLAY_APP_ID": sandbox.app_id,
            "BOOMPLAY_ACCESS_TOKEN": sandbox.users["ada"].access_token,
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "FAVSYNC_REMOVAL_GRACE": "0",
            "FAVSYNC_PAGE_CONCURRENCY": "4",  # holds more pages at a time than 1 does
        }
        (first, most_first), (second, most_second) = (weighed(env) for _ in range(2))
        for track_id in sandbox.favourites("ada")[::1000]:
            sandbox.unfavourite("ada", track_id)
        third, most_third = weighed(env)
    assert first["favourites"] == 10_000
    assert first["requests"] <= 210
    assert second["outcome"] == "unchanged"
    assert second["requests"] <= 210
    assert third["removed"] == 10
    assert max(most_first, most_second, most_third) < 120_000_000

"""One run at a time for each account; different accounts side by side. With real processes, on both engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from etl.db.engine import open_engine
from etl.errors import RunInProgress
from etl.load.run_lock import run_lock
from etl.model.records import RemovalThreshold, Review
from etl.replay.review import review_run
from etl.sandbox import Sandbox
from tests.conftest import NewDatabase
from tests.support.commands import run_command
from tests.support.database import ROOT, Database, open_database, settings
from tests.support.lists import FakeSource, item
from tests.support.parallel_accounts import USERS, play
from tests.support.waiting import wait_until

ROUNDS = int(os.environ.get("FAVSYNC_TEST_ROUNDS", "2"))  # `make hostile` plays twenty


@contextmanager
def run_under_way(sandbox: Sandbox, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a sync that is in the middle of its walk as long as the block lasts."""
    has_begun, may_go_on = threading.Event(), threading.Event()

    def hold(_request: object) -> None:
        has_begun.set()
        may_go_on.wait()

    sandbox.before_request = hold
    command = [sys.executable, "-m", "etl", "sync"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            while not has_begun.wait(0.1):
                assert run.poll() is None
            yield run
        finally:
            sandbox.before_request = None
            may_go_on.set()
            run.communicate()


def test_second_run_of_an_account_ends_and_names_the_first(database_url: str) -> None:
    with Sandbox(tracks=5) as sandbox, open_database(database_url) as database:
        environ = settings(sandbox, database_url)
        assert run_command(environ, "sync").returncode == 0
        with run_under_way(sandbox, environ) as first:
            (told,) = json.loads(run_command(environ, "sync", "--json").stdout)
            assert (told["outcome"], told["run_id"], told["favourites"]) == ("failed", None, 5)
            second = run_command(environ, "sync")
            assert second.returncode == 75
            started_at = database.run(2).started_at
            assert f"run 2 of account default is in progress since {started_at:%Y-%m-%d %H:%M:%S} UTC" in second.stderr
            assert f":{first.pid}" in second.stderr
            assert len(second.stderr.splitlines()) == 2
            assert database.sizes()["runs"] == 2
        assert first.returncode == 0
        assert database.open_tracks("default") == set(sandbox.favourites("ada"))
        assert run_command(environ, "sync").returncode == 0


def test_killed_run_releases_its_account(database_url: str) -> None:
    with Sandbox(tracks=5) as sandbox, open_database(database_url) as database:
        environ = settings(sandbox, database_url)
        with run_under_way(sandbox, environ) as first:
            first.kill()
            first.wait()
            with open_database(database_url) as other:
                wait_until(lambda: not _is_held(other))
        assert run_command(environ, "sync").returncode == 0
        assert [(row[0], row[1]) for row in database.rows("SELECT outcome, reason FROM runs ORDER BY run_id")] == [
            ("failed", "interrupted"),
            ("succeeded", None),
        ]


def _is_held(database: Database) -> bool:
    try:
        with run_lock(database.engine, 1, "default"):
            return False
    except RunInProgress:
        return True


def test_locked_account_blocks_its_review_but_no_other_account(database_url: str) -> None:
    with open_database(database_url) as database:
        source = FakeSource(items=[item(n) for n in range(1, 20)])
        database.sync(source)
        held = database.sync(FakeSource())
        assert held.outcome == "held"
        with run_lock(database.engine, database.account("ada").account_id, "ada"):
            with pytest.raises(RunInProgress):
                database.sync(source, "ada")
            with pytest.raises(RunInProgress):
                review_run(database.engine, held.run_id or 0, Review.APPROVED, RemovalThreshold())
            assert database.sync(FakeSource(items=[item(3)], user_id="ben"), "ben").outcome == "succeeded"
        assert review_run(database.engine, held.run_id or 0, Review.APPROVED, RemovalThreshold()) == 19


def test_run_lock_is_released_after_an_error(database_url: str) -> None:
    with open_database(database_url) as database:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), run_lock(database.engine, 1, "ada"):
                raise ZeroDivisionError
        with run_lock(database.engine, 1, "ada"), run_lock(database.engine, 2, "ben"):
            assert _is_held(database)


@pytest.mark.postgresql
def test_run_that_lost_its_lock_writes_nothing(new_database: NewDatabase) -> None:
    url = new_database("postgresql")
    first_engine = open_engine(url)
    with open_database(url) as database:
        first = Database(first_engine)
        database.sync(FakeSource(items=[item(1), item(2)]))

        def lose_it(number: int) -> None:
            if number == 1:
                others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid IN "
                with database.engine.begin() as connection:
                    connection.execute(text(f"{others} (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"))
                wait_until(lambda: not _is_held(database))
                assert database.sync(FakeSource(items=[item(2), item(3)])).outcome == "succeeded"

        report = first.sync(FakeSource(items=[item(9)], before=lose_it))
        assert report.exit_code == 5
        assert "another run changed" in (report.reason or "")
        assert database.open_tracks() == {2, 3}
        assert (database.run(2).outcome, database.run(2).reason) == ("failed", "interrupted")
        assert database.equals_replay()
    first_engine.dispose()


def test_eight_processes_sync_overlapping_lists_at_once(database_url: str) -> None:
    result = play(database_url, ROUNDS)
    assert result.bad_runs == []
    assert result.wrong == []
    assert result.runs == 1 + ROUNDS * len(USERS)  # one before all
    assert result.open_versions == result.tracks


@pytest.mark.postgresql
def test_lock_that_cannot_be_released_ends_with_its_connection(new_database: NewDatabase) -> None:
    """Else the pool would keep a connection that holds the account, and no run of it would begin any more."""
    url = new_database("postgresql")

    def refuse(*given: object) -> None:
        if "pg_advisory_unlock" in str(given[2]):
            raise OperationalError(str(given[2]), {}, Exception("canceling statement due to statement timeout"))

    with open_database(url) as database, open_database(url) as other:
        account = database.account()
        event.listen(database.engine, "before_cursor_execute", refuse)
        with run_lock(database.engine, account.account_id, account.name):
            assert _is_held(other)
        wait_until(lambda: not _is_held(other))  # the server ends a session some time after its client has gone

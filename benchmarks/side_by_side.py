"""Eight accounts with overlapping lists, synced side by side by eight processes into one database: does any of them suffer?

    python -m benchmarks.side_by_side --rounds 20 --database-url postgresql://…

Each process changes its own user's list and a fact of a track that others have too, syncs, and does so again. At the end the
database must tell the truth about all eight, without a deadlock that anybody noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from sqlalchemy import text

from etl import clock, logs
from etl.boomplay.client import Boomplay
from etl.boomplay.http import HttpOptions
from etl.boomplay.tokens import StaticToken
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.extract.snapshot import RunOptions
from etl.load.accounts import ensure_account, find_accounts
from etl.sandbox import Sandbox
from etl.sync import sync_account

USERS = ("ada", "ben", "chi", "dayo", "efua", "femi", "gugu", "hawa")
TRACKS = 60
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Result:
    """What came of it. ``wrong``: users whose history does not end at the truth. ``bad_runs``: runs that did not end well."""

    runs: int
    bad_runs: list[tuple[Any, ...]]
    wrong: list[str]
    open_versions: int
    tracks: int
    seconds: float

    @property
    def is_right(self) -> bool:
        """Say whether nobody suffered."""
        return not self.bad_runs and not self.wrong and self.open_versions == self.tracks


def play(url: str, rounds: int, seed: int = 1) -> Result:
    """Let all users change and sync ``rounds`` times at once into the migrated database at ``url``."""
    started = time.monotonic()
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        for user in USERS:
            ensure_account(connection, user, clock.now())
    with Sandbox(tracks=TRACKS, seed=seed, users=USERS) as sandbox:
        orders = [_order(sandbox, url, user, rounds, seed) for user in USERS]
        command = [sys.executable, "-m", "benchmarks.side_by_side", "--work"]
        work = subprocess.run(
            command, cwd=ROOT, input=json.dumps(orders), stderr=subprocess.PIPE, text=True, check=False
        )
        if work.returncode:
            raise RuntimeError(f"a process failed: {work.stderr[-2000:]}")
        wrong = [user for user in USERS if _open_tracks(engine, user) != set(sandbox.favourites(user))]
    with read_transaction(engine) as connection:
        told = [
            tuple(row) for row in connection.execute(text("SELECT run_id, outcome, reason FROM runs ORDER BY run_id"))
        ]
        versions = connection.execute(text("SELECT count(*) FROM track_versions WHERE valid_to IS NULL")).scalar_one()
        tracks = connection.execute(text("SELECT count(*) FROM tracks")).scalar_one()
    engine.dispose()
    bad = [row for row in told if row[1] not in ("succeeded", "unchanged")]
    return Result(len(told), bad, wrong, versions, tracks, time.monotonic() - started)


def _order(sandbox: Sandbox, url: str, user: str, rounds: int, seed: int) -> dict[str, Any]:
    return {
        "url": url, "user": user, "rounds": rounds, "seed": seed,
        "api_url": sandbox.url, "app_id": sandbox.app_id, "token": sandbox.users[user].access_token,
    }  # fmt: skip


def _work_all(orders: list[dict[str, Any]]) -> int:
    """Become one process for each order, and wait for all; return how many failed."""
    logs.configure("text", "error")
    for order in orders:
        if os.fork() == 0:
            try:
                _work(order)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    return sum(os.wait()[1] != 0 for _ in orders)


def _work(order: dict[str, Any]) -> None:
    """Be one of the processes."""
    chance = random.Random(f"{order['seed']} {order['user']}")
    engine = open_engine(order["url"])
    with read_transaction(engine) as connection:
        account = find_accounts(connection, [order["user"]])[0]
    for number in range(order["rounds"]):
        _change(order, chance, number)
        options = HttpOptions(api_url=order["api_url"], app_id=order["app_id"], requests_per_second=0)
        with Boomplay(StaticToken(order["token"]), options) as client:
            report = sync_account(engine, account, client, RunOptions())
        if report.error is not None:
            raise report.error


def _change(order: dict[str, Any], chance: random.Random, number: int) -> None:
    user = order["user"]
    for _ in range(2):
        _post(order, "favourite", user=user)
    with urlopen(f"{order['api_url']}/_sandbox/state?user={user}") as answer:
        tracks = json.load(answer)["favourites"]
    _post(order, "unfavourite", user=user, track_id=chance.choice(tracks))
    _post(order, "change", track_id=chance.choice(tracks), fields={"track_title": f"{user} {number}"})


def _post(order: dict[str, Any], action: str, **body: Any) -> None:
    request = Request(f"{order['api_url']}/_sandbox/{action}", json.dumps(body).encode(), method="POST")
    urlopen(request).close()


def _open_tracks(engine: Any, user: str) -> set[int]:
    sql = "SELECT track_id FROM favourites JOIN accounts USING (account_id) WHERE name = :user AND valid_to IS NULL"
    with read_transaction(engine) as connection:
        return {row[0] for row in connection.execute(text(sql), {"user": user})}


def main() -> int:
    """Play, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database-url", help="a new database; by default a SQLite file in a temporary folder")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return _work_all(json.load(sys.stdin))
    with tempfile.TemporaryDirectory() as folder:
        url = options.database_url or f"sqlite:///{folder}/favsync.db"
        upgrade(url)
        result = play(url, options.rounds, options.seed)
    print(
        f"{result.runs} runs by {len(USERS)} processes in {result.seconds:.1f} s; accounts that are wrong: {result.wrong}"
    )
    print(
        f"runs that did not end well: {result.bad_runs[:5]}; {result.tracks} tracks, {result.open_versions} current versions"
    )
    return 0 if result.is_right else 1


if __name__ == "__main__":
    sys.exit(main())

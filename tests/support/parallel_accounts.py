"""Eight accounts with overlapping lists, synced at once by eight processes into one database.

Each process changes its own user's list and a field of a track that others have too, and syncs; then it does so again. At the
end the database must hold the truth about all eight, and no run may have failed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
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
from etl.boomplay.transport import close_clients
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.extract.snapshot import RunOptions
from etl.load.accounts import ensure_account, find_account
from etl.sandbox import Sandbox
from etl.sync import sync_account
from tests.support.shared_statements import shared_statements

USERS = ("ada", "ben", "chi", "dayo", "efua", "femi", "gugu", "hawa")
TRACKS = 60
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """``wrong``: users whose history does not end at the truth. ``bad_runs``: runs that failed or were held."""

    runs: int
    bad_runs: list[tuple[Any, ...]]
    wrong: list[str]
    open_versions: int
    tracks: int

    @property
    def is_right(self) -> bool:
        """True if every run succeeded and every account is right."""
        return not self.bad_runs and not self.wrong and self.open_versions == self.tracks


def play(url: str, rounds: int, seed: int = 1) -> Result:
    """Let all users change and sync ``rounds`` times at once, into the migrated database at ``url``."""
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        for user in USERS:
            ensure_account(connection, user, clock.now())
    with Sandbox(tracks=TRACKS, seed=seed, users=USERS) as sandbox:
        orders = [_order(sandbox, url, user, rounds, seed) for user in USERS]
        command = [sys.executable, "-m", "tests.support.parallel_accounts"]
        work = subprocess.run(
            command, cwd=ROOT, input=json.dumps(orders), stderr=subprocess.PIPE, text=True, check=False
        )
        if work.returncode:
            raise RuntimeError(f"a process failed: {work.stderr[-2000:]}")
        wrong = [user for user in USERS if _open_tracks(engine, user) != set(sandbox.favourites(user))]
    with read_transaction(engine) as connection:
        rows = [
            tuple(row) for row in connection.execute(text("SELECT run_id, outcome, reason FROM runs ORDER BY run_id"))
        ]
        versions = connection.execute(text("SELECT count(*) FROM track_versions WHERE valid_to IS NULL")).scalar_one()
        tracks = connection.execute(text("SELECT count(*) FROM tracks")).scalar_one()
    engine.dispose()
    bad = [row for row in rows if row[1] not in ("succeeded", "unchanged")]
    return Result(len(rows), bad, wrong, versions, tracks)


def _order(sandbox: Sandbox, url: str, user: str, rounds: int, seed: int) -> dict[str, Any]:
    return {
        "url": url, "user": user, "rounds": rounds, "seed": seed,
        "api_url": sandbox.url, "app_id": sandbox.app_id, "token": sandbox.users[user].access_token,
    }  # fmt: skip


def _work_all(orders: list[dict[str, Any]]) -> int:
    """Fork a process for each order and wait for all; return how many failed.

    The first user syncs once before: the processes inherit the modules and the compiled statements of that.
    """
    logs.configure("text", "error")
    with shared_statements():
        _work(orders[0] | {"rounds": 1})
        close_clients()
        return _fork_all(orders)


def _fork_all(orders: list[dict[str, Any]]) -> int:
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
    chance = random.Random(f"{order['seed']} {order['user']}")
    engine = open_engine(order["url"])
    with read_transaction(engine) as connection:
        account = find_account(connection, order["user"])
    for number in range(order["rounds"]):
        _change(order, chance, number)
        where = {"api_url": order["api_url"], "app_id": order["app_id"]}
        options = HttpOptions(**where, requests_per_second=0, timeout_seconds=3600)
        with Boomplay(StaticToken(order["token"]), options) as client:
            report = sync_account(engine, account, client, RunOptions())
        if report.error is not None:
            raise report.error
    engine.dispose()


def _change(order: dict[str, Any], chance: random.Random, number: int) -> None:
    user = order["user"]
    for _ in range(2):
        _post(order, "favourite", user=user)
    with urlopen(f"{order['api_url']}/_sandbox/") as answer:
        tracks = json.load(answer)["users"][user]["favourites"]
    # A removal of the last track of a list that grew looks like a result window, so it would wait for a review.
    _post(order, "unfavourite", user=user, track_id=chance.choice(tracks[:-1]))
    _post(order, "change", track_id=chance.choice(tracks), fields={"track_title": f"{user} {number}"})


def _post(order: dict[str, Any], action: str, **body: Any) -> None:
    request = Request(f"{order['api_url']}/_sandbox/{action}", json.dumps(body).encode(), method="POST")
    urlopen(request).close()


def _open_tracks(engine: Any, user: str) -> set[int]:
    sql = "SELECT track_id FROM favourites JOIN accounts USING (account_id) WHERE name = :user AND valid_to IS NULL"
    with read_transaction(engine) as connection:
        return {row[0] for row in connection.execute(text(sql), {"user": user})}


if __name__ == "__main__":
    sys.exit(_work_all(json.load(sys.stdin)))

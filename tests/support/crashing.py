"""A process whose children die on request: for a line on stdin it forks one, which is killed at its n-th step. Not a test.

Steps are what can be answer apart from outside: a request to the service, a statement that is no question, a commit (before and
after it).
``kill -9`` is `os.kill(own id, SIGKILL)`: no handler runs, no connection is closed by hand, as in a power cut.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, event

from etl import logs
from etl.boomplay.client import Boomplay
from etl.boomplay.http import HttpOptions
from etl.boomplay.tokens import StaticToken
from etl.boomplay.transport import close_clients
from etl.db.engine import open_engine, read_transaction
from etl.extract import snapshot
from etl.load.accounts import find_account
from etl.model.records import RemovalThreshold, Review
from etl.replay.review import review_run
from etl.sync import sync_account
from tests.support.shared_statements import shared_statements

REQUESTS = 4  # requests after these are like these
STATEMENTS = 2  # of a transaction: death at a later one is like death at its commit, which is a step too


class Steps:
    """Counts steps, and dies at the one chosen."""

    def __init__(self, fatal: int) -> None:
        self.taken = 0
        self.fatal = fatal
        self.requests = 0
        self.statements = 0

    def feed(self) -> None:
        self.taken += 1
        if self.taken == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def take_if_it_writes(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW")):
            self.statements += 1
            takes_effect = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
            if takes_effect or self.statements <= STATEMENTS:
                self.feed()

    def begin(self, _connection: Any) -> None:
        self.statements = 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.feed()
            result = function(*args, **kwargs)
            self.feed()
            return result

        return stepped

    def asking(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.requests += 1
            if self.requests <= REQUESTS:
                self.feed()
            return function(*args, **kwargs)

        return stepped


def act(order: dict[str, Any], api_url: str, app_id: str, token: str) -> None:
    """Carry out one order to its end, or to its fatal step."""
    steps = Steps(order["at"])
    engine = open_engine(order["url"])
    event.listen(engine, "begin", steps.begin)
    event.listen(engine, "before_cursor_execute", steps.take_if_it_writes)
    engine.dialect.do_commit = steps.around(engine.dialect.do_commit)  # type: ignore[method-assign]
    if order["action"] == "sync":
        with read_transaction(engine) as connection:
            account = find_account(connection, "ada")
        options = HttpOptions(api_url=api_url, app_id=app_id, requests_per_second=0, timeout_seconds=3600)
        with Boomplay(StaticToken(token), options) as client:
            client.favourite_tracks = steps.asking(client.favourite_tracks)  # type: ignore[method-assign]
            report = sync_account(engine, account, client, snapshot.RunOptions(concurrency=1))
        if report.error is not None:
            raise report.error
    else:
        review_run(engine, order["run"], Review(order["action"]), RemovalThreshold())
    engine.dispose()


def main() -> None:
    """Answer each order with the signal that ended the child (0: none) and its exit code."""
    logs.configure("text", "error")
    snapshot.YOUNG = timedelta(0)  # the removal of a new favourite takes more walks, which are like the first two
    with shared_statements():
        for line in sys.stdin:
            sys.stdout.write(json.dumps(carry_out(json.loads(line))) + "\n")
            sys.stdout.flush()


def carry_out(order: dict[str, Any]) -> dict[str, int]:
    """Carry out an order, in a child if it has a fatal step: the children inherit statements that are compiled already."""
    if not order["at"]:
        act(order, *sys.argv[1:])
        close_clients()  # or a child would share their sockets
        return {"signal": 0, "status": 0}
    child = os.fork()
    if child == 0:
        act(order, *sys.argv[1:])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "status": status}


if __name__ == "__main__":
    main()

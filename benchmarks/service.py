"""The sandbox in a process of its own, which does not share the measured one's processor time or memory."""

from __future__ import annotations

import signal
import time
from bisect import bisect_left
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection

from etl.sandbox import Sandbox

USER = "ada"
SEED = 1


class Service:
    """Lists of favourites behind HTTP. The same requests give every tool the same lists. ``latency``: seconds of an answer."""

    def __init__(self, tracks: int, users: Sequence[str] = (USER,), latency: float = 0.0) -> None:
        spawn = get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, tracks, users, latency), daemon=True)
        self._process.start()
        theirs.close()
        self.address: dict[str, str] = self._pipe.recv()

    def ask(self, name: str, *arguments: object) -> float:
        """Call one of `Answers`, and return its answer."""
        self._pipe.send((name, *arguments))
        return float(self._pipe.recv())

    def stop(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.join()


class Answers:
    """What the process of a service does when it is asked."""

    def __init__(self, sandbox: Sandbox, user: str) -> None:
        self._sandbox, self._user = sandbox, user
        self._first, self._before = sandbox.favourites(user), 0

    def reset(self) -> int:
        """Serve the first list again, and count requests from now on."""
        self._sandbox.set_favourites(self._user, self._first)
        self._before = len(self._sandbox.requests)
        return 0

    def added(self, share: float) -> int:
        """Add a share of the favourites at the front."""
        now = self._sandbox.favourites(self._user)
        there, count = set(now), max(1, round(len(now) * share))
        fresh = [track_id for track_id in self._sandbox.catalogue.track_ids if track_id not in there][:count]
        self._sandbox.set_favourites(self._user, fresh + now)
        return count

    def requests(self) -> int:
        """Count the requests since ``reset``."""
        return len(self._sandbox.requests) - self._before

    def worst(self) -> int:
        """Return the most requests in one second since ``reset``."""
        times = sorted(record.time.timestamp() for record in self._sandbox.requests[self._before :])
        return max((bisect_left(times, at + 1) - place for place, at in enumerate(times)), default=0)

    def cpu(self) -> float:
        """Return the processor seconds so far."""
        return time.process_time()


def _serve(pipe: Connection, tracks: int, users: Sequence[str], latency: float) -> None:
    """Answer until the other end closes. Ctrl-C is the caller's, who may still ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Sandbox(tracks=tracks, seed=SEED, users=users) as sandbox:
        sandbox.switch(latency_seconds=latency)
        pipe.send({"url": sandbox.url, "app_id": sandbox.app_id, "token": sandbox.users[users[0]].access_token})
        answers = Answers(sandbox, users[0])
        try:
            while True:
                name, *arguments = pipe.recv()
                pipe.send(getattr(answers, name)(*arguments))
        except EOFError:
            return

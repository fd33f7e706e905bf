"""The sandbox in a process of its own, which does not share the measured one's processor time or memory."""

from __future__ import annotations

import os
import signal
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.managers import BaseManager

from etl.sandbox import Sandbox

USER = "ada"
SEED = 1


class Answers:
    """Lists of favourites behind HTTP, and what their process does when it is asked.

    The same requests give every tool the same lists. ``latency``: seconds of an answer.
    """

    def __init__(self, tracks: int, users: Sequence[str] = (USER,), latency: float = 0.0) -> None:
        self.sandbox, self._user = Sandbox(tracks=tracks, seed=SEED, users=users), users[0]
        self.sandbox.switch(latency_seconds=latency)
        self._first, self._before = self.sandbox.favourites(self._user), 0

    def start(self) -> dict[str, str]:
        """Begin to listen, and return the settings of a client of the first user. The process ends with that of the caller."""
        threading.Thread(target=_end_with_parent, daemon=True).start()
        self.sandbox.start()
        return {
            "BOOMPLAY_API_URL": self.sandbox.url,
            "BOOMPLAY_APP_ID": self.sandbox.app_id,
            "BOOMPLAY_ACCESS_TOKEN": self.sandbox.users[self._user].access_token,
        }

    def reset(self) -> None:
        """Serve the first list again, and count requests from now on."""
        self.sandbox.set_favourites(self._user, self._first)
        self._before = len(self.sandbox.requests)

    def added(self, share: float) -> int:
        """Add a share of the favourites at the front."""
        now = self.sandbox.favourites(self._user)
        there, count = set(now), max(1, round(len(now) * share))
        fresh = [track_id for track_id in self.sandbox.catalogue.track_ids if track_id not in there][:count]
        self.sandbox.set_favourites(self._user, fresh + now)
        return count

    def requests(self) -> int:
        """Count the requests since ``reset``."""
        return len(self.sandbox.requests) - self._before

    def worst(self) -> int:
        """Return the most requests in one second since ``reset``."""
        times = sorted(record.time.timestamp() for record in self.sandbox.requests[self._before :])
        return max((bisect_left(times, at + 1) - place for place, at in enumerate(times)), default=0)

    def cpu(self) -> float:
        """Return the processor seconds so far."""
        return time.process_time()


def _end_with_parent() -> None:
    """End this process once the one that started it is gone, however that ended."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(0)


class Service(BaseManager):
    """A process with `Answers`: ``service.answers`` are asked from here. It ends with ``shutdown``."""

    answers: Answers
    api: dict[str, str]

    @classmethod
    def begin(cls, tracks: int, users: Sequence[str] = (USER,), latency: float = 0.0) -> Service:
        """Start it. Ctrl-C is the caller's, who may still ask."""
        service = cls(ctx=get_context("spawn"))
        service.start(signal.signal, (signal.SIGINT, signal.SIG_IGN))
        service.answers = service.Answers(tracks, users, latency)
        service.api = service.answers.start()
        return service


Service.register("Answers", Answers)

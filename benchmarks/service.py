"""The sandbox as a process of its own, controlled by lines of JSON.

    python -m benchmarks.service 10000

Each line is a request, answered by one line: ``["reset"]``, ``["added", 0.01]``, ``["requests"]``. The same requests give every tool the same lists.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from etl.sandbox import Sandbox

USER = "ada"
SEED = 1


class Service:
    """A list that can be changed and reset."""

    def __init__(self, tracks: int) -> None:
        self.sandbox = Sandbox(tracks=tracks, seed=SEED)
        self.sandbox.start()
        self._first = self.sandbox.favourites(USER)

    def answer(self, request: list[Any]) -> object:
        """Carry out ``request`` and return its answer."""
        name, *arguments = request
        return getattr(self, name)(*arguments)

    def reset(self) -> None:
        """Serve the first list again."""
        self.sandbox.set_favourites(USER, self._first)

    def added(self, share: float) -> int:
        """Add a share of the favourites at the front."""
        now = self.sandbox.favourites(USER)
        fresh = self._fresh(now, max(1, round(len(now) * share)))
        self.sandbox.set_favourites(USER, fresh + now)
        return len(fresh)

    def _fresh(self, now: list[int], count: int) -> list[int]:
        there = set(now)
        return [track_id for track_id in self.sandbox.catalogue.track_ids if track_id not in there][:count]

    def requests(self) -> int:
        """Count the requests so far."""
        return len(self.sandbox.requests)


def main() -> None:
    """Serve until standard input ends."""
    service = Service(int(sys.argv[1]))
    box = service.sandbox
    hello = {"url": box.url, "app_id": box.app_id, "token": box.users[USER].access_token}
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        print(json.dumps(service.answer(json.loads(line))), flush=True)
    box.stop()


if __name__ == "__main__":
    main()

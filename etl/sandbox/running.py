"""Running the stand-in in the foreground, for ``favsync sandbox``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from etl.sandbox.sandbox import Sandbox
from etl.sandbox.switches import Switches


def run(
    host: str = "127.0.0.1",
    port: int = 0,
    tracks: int = 200,
    seed: int = 1,
    scenario: str | None = None,
    switches: Switches | None = None,
    announce: Callable[[Sandbox], None] | None = None,
    users: Sequence[str] = ("ada",),
) -> None:
    """Serve these users until SIGINT or SIGTERM; ``announce`` is called once with the running sandbox.

    Raises: ValueError for an unknown scenario or a host that is not loopback; OSError for a port that is taken.
    """
    with _sigterm_like_sigint(), suppress(KeyboardInterrupt):
        sandbox = Sandbox(
            tracks=tracks, seed=seed, switches=switches, scenario=scenario, host=host, port=port, users=users
        )
        with sandbox:
            if announce:
                announce(sandbox)
            threading.Event().wait()


@contextmanager
def _sigterm_like_sigint() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt

"""The sandbox as one object with a server, for tests, the demo and the benchmarks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from types import FrameType, TracebackType
from typing import Self

from etl.sandbox import app
from etl.sandbox.catalogue import DOCUMENTED_EXAMPLE, DOCUMENTED_TRACK
from etl.sandbox.messages import SandboxReply, SandboxRequest
from etl.sandbox.server import Server
from etl.sandbox.switches import Switches
from etl.sandbox.world import APP_ID, APP_SECRET, World, utc_now


class Sandbox(World):
    """A stand-in for the Boomplay API on loopback, modelled on the documentation; a context manager.

    ``tracks`` is the number of favourites of each of ``users``; the catalogue has half as many again, and the documented
    example. ``scenario`` is a name in `SCENARIOS`. ``latency_seconds`` and ``fault_rate`` override those of ``switches``.
    ``now`` is its clock. The same ``seed`` gives the same tracks, lists, tokens and faults.

    Raises: ValueError for an unknown scenario or no user.
    """

    documented_example = DOCUMENTED_EXAMPLE
    documented_track = DOCUMENTED_TRACK
    app_id = APP_ID
    app_secret = APP_SECRET

    def __init__(  # noqa: PLR0913 - each is chosen by itself in tests
        self,
        *,
        tracks: int = 200,
        seed: int = 1,
        switches: Switches | None = None,
        scenario: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_seconds: float = 0.0,
        fault_rate: float | None = None,
        users: Sequence[str] = ("ada",),
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        base = switches or Switches()
        base = replace(
            base,
            latency_seconds=latency_seconds or base.latency_seconds,
            fault_rate=base.fault_rate if fault_rate is None else fault_rate,
        )
        super().__init__(tracks, seed, base, users, now)
        self.play(scenario)
        self._address = (host, port)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; then raise the first failure inside, for example of the hook, unless another error is being raised."""
        self.stop()
        if raised is None and self.failures:
            raise self.failures[0]

    def start(self) -> None:
        """Begin to listen.

        Raises: ValueError for a host that is not loopback; OSError for a port that is taken.
        """
        if self._server is None:
            self._server = Server(self.answer, *self._address)

    def stop(self) -> None:
        """Break off every connection and return when no thread is left. The state stays."""
        server, self._server = self._server, None
        if server:
            server.stop()

    @property
    def url(self) -> str:
        """The address it listens on, without a slash at the end.

        Raises: RuntimeError before `start` and after `stop`.
        """
        if self._server is None:
            raise RuntimeError("The sandbox is not running; use it in a with statement, or call start().")
        return self._server.url

    def answer(self, request: SandboxRequest) -> SandboxReply:
        """Return the reply to a request, without a socket."""
        return app.answer(self, request)


def run(
    announce: Callable[[Sandbox], None] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tracks: int = 200,
    seed: int = 1,
    scenario: str | None = None,
    switches: Switches | None = None,
    users: Sequence[str] = ("ada",),
) -> None:
    """Serve these users in the foreground until SIGINT or SIGTERM; ``announce`` is called once with the running sandbox.

    Raises: ValueError for an unknown scenario or a host that is not loopback; OSError for a port that is taken.
    """
    sandbox = Sandbox(host=host, port=port, tracks=tracks, seed=seed, scenario=scenario, switches=switches, users=users)
    with _sigterm_like_sigint(), suppress(KeyboardInterrupt), sandbox:
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

"""The sandbox as one object with a server, for tests, the demo and the benchmarks."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from etl.sandbox import app
from etl.sandbox.catalogue import DOCUMENTED_EXAMPLE, DOCUMENTED_TRACK
from etl.sandbox.messages import SandboxReply, SandboxRequest
from etl.sandbox.server import Server
from etl.sandbox.world import APP_ID, APP_SECRET, World


class Sandbox(World):
    """A stand-in for the Boomplay API on loopback, modelled on the documentation; a context manager.

    ``tracks`` is the number of favourites of each of ``users``; the catalogue has half as many again, and the documented
    example. ``now`` is its clock. The same ``seed`` makes the same tracks, lists, tokens and faults.

    Raises: ValueError without a user.
    """

    documented_example = DOCUMENTED_EXAMPLE
    documented_track = DOCUMENTED_TRACK
    app_id = APP_ID
    app_secret = APP_SECRET
    _server: Server | None = None
    _port = 0

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

    def start(self, port: int = 0) -> None:
        """Begin to listen, unless it does already; port 0 is that of an earlier call, else a free one.

        Raises: OSError for a port that is taken.
        """
        self._port = port or self._port
        if self._server is None:
            self._server = Server(self.answer, self._port)

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

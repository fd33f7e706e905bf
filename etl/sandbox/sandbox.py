"""The stand-in as one object, for tests, the demo and the benchmarks.

Every method may be called from any thread at any time, also from the hook ``before_request``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from etl.sandbox.app import App
from etl.sandbox.catalogue import DOCUMENTED_EXAMPLE, DOCUMENTED_TRACK, Catalogue
from etl.sandbox.control import account_of
from etl.sandbox.faults import Fault, named
from etl.sandbox.scenarios import Effect
from etl.sandbox.server import Server
from etl.sandbox.state import SandboxList, SandboxUser, ScriptedChange
from etl.sandbox.switches import Switches
from etl.sandbox.world import APP_ID, APP_SECRET, RequestRecord, World, utc_now

_WARMED = 100_000
REDIRECT_URIS = ("http://localhost:8888/", "http://127.0.0.1:8888/callback")


class Sandbox:
    """A stand-in Boomplay API on loopback, modelled on the documentation; a context manager.

    ``tracks`` is the number of favourites of each of ``users``; the catalogue has half as many again, and the documented
    example. ``scenario`` is a name in `SCENARIOS`. ``latency_seconds`` and ``fault_rate`` go over those of ``switches``.
    ``now`` is its clock. The same ``seed`` gives the same tracks, lists, tokens and mishaps.

    Raises: ValueError for an unknown scenario, a host that is not loopback, or no user.
    """

    documented_example = DOCUMENTED_EXAMPLE
    documented_track = DOCUMENTED_TRACK
    app_id = APP_ID
    app_secret = APP_SECRET

    def __init__(  # noqa: PLR0913 - each a fact about the stand-in that tests choose on its own
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
        redirect_uris: Iterable[str] = REDIRECT_URIS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if not users:
            raise ValueError("a sandbox needs at least one user")
        base = switches or Switches()
        base = replace(
            base,
            latency_seconds=latency_seconds or base.latency_seconds,
            fault_rate=base.fault_rate if fault_rate is None else fault_rate,
        )
        self.catalogue = Catalogue(tracks + tracks // 2 + 40, seed)
        self._world = World(seed, self.catalogue, base, set(redirect_uris), now)
        self._world.play(scenario)
        self.users: dict[str, SandboxUser] = {name: self._world.add_user(name, tracks) for name in users}
        for account in self._world.accounts.values():
            self.catalogue.warm(account.tracks[:_WARMED])
        self._address = (host, port)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; then raise what failed inside, for example in the hook, unless something else is being raised."""
        self.stop()
        if raised is None and self.failures:
            raise self.failures[0]

    def start(self) -> None:
        """Begin to listen.

        Raises: ValueError for a host that is not loopback; OSError for a port that is taken.
        """
        if self._server is None:
            self._server = Server(App(self._world).answer, *self._address)

    def stop(self) -> None:
        """Break off every connection and return when no thread is left. The state stays."""
        server, self._server = self._server, None
        if server:
            server.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end.

        Raises: RuntimeError before `start` and after `stop`.
        """
        if self._server is None:
            raise RuntimeError("the sandbox is not running; use it in a with statement, or call start()")
        return self._server.url

    @property
    def switches(self) -> Switches:
        """The positions in force, those of the scenario included."""
        return self._world.switches

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests so far, but for those to the control path."""
        with self._world.lock:
            return list(self._world.records)

    @property
    def failures(self) -> list[BaseException]:
        """What failed inside while answering, which the client saw as a 500."""
        return self._world.failures

    @property
    def before_request(self) -> Callable[[RequestRecord], None] | None:
        """Called before each favourites answer is computed, one at a time, the lists free to be changed.

        It runs while all other requests wait, so it must not send one itself.
        """
        return self._world.before_request

    @before_request.setter
    def before_request(self, hook: Callable[[RequestRecord], None] | None) -> None:
        with self._world.lock:
            self._world.before_request = hook

    def favourites(self, user: str | SandboxUser) -> list[int]:
        """Return the true current list of favourite tracks, in the API's order."""
        with self._world.lock:
            return list(self._account(user).tracks)

    def favourite_albums(self, user: str | SandboxUser) -> list[int]:
        """Return the list of favourite albums, which never changes."""
        return list(self._account(user).albums)

    def favourite_playlists(self, user: str | SandboxUser) -> list[int]:
        """Return the list of favourite playlists, which never changes."""
        return list(self._account(user).playlists)

    def favourite(self, user: str | SandboxUser, track_id: int, at: int | None = None) -> None:
        """Add a favourite at index ``at``; None = the front, or under ``order="insertion"`` the end.

        Raises: ValueError if it is one already; LookupError for a track that the catalogue does not have.
        """
        with self._world.lock:
            self._world.favourite(self._account(user), track_id, at)

    def unfavourite(self, user: str | SandboxUser, track_id: int) -> None:
        """Remove a favourite.

        Raises: ValueError if it is none.
        """
        with self._world.lock:
            self._account(user).remove(track_id)

    def move_to_front(self, user: str | SandboxUser, track_id: int) -> None:
        """Make a favourite the first of the list.

        Raises: ValueError if it is none.
        """
        with self._world.lock:
            self._world.carry_out(self._account(user), Effect("move", track_id, 0))

    def set_favourites(self, user: str | SandboxUser, track_ids: Iterable[int]) -> None:
        """Make the list exactly this, in this order, at one instant.

        Raises: ValueError if a track is named twice; LookupError for one that the catalogue does not have.
        """
        wanted = list(track_ids)
        with self._world.lock:
            for track_id in wanted:
                self.catalogue.item(track_id)
            self._account(user).replace(wanted)

    def history(self, user: str | SandboxUser) -> list[ScriptedChange]:
        """Return every true change of the list since the beginning, in order: (instant in UTC, change, track id)."""
        with self._world.lock:
            return list(self._account(user).history)

    def change_track(self, track_id: int, **wire_fields: Any) -> None:
        """Serve the track with these fields from now on, for example ``track_title="New"``.

        Raises: LookupError for a track that the catalogue does not have.
        """
        with self._world.lock:
            self.catalogue.change(track_id, wire_fields)

    def set_raw_item(self, track_id: int, body: bytes) -> None:
        """Serve exactly ``body`` as the track, which need not exist yet."""
        with self._world.lock:
            self.catalogue.set_raw(track_id, body)

    def script(self, faults: Iterable[Fault | str | None]) -> None:
        """Queue what goes wrong with the next favourites requests, one each: faults, names in `FAULTS`, None = nothing.

        Raises: ValueError for an unknown name.
        """
        queued = [named(fault) for fault in faults]
        with self._world.lock:
            self._world.script.extend(queued)

    def play(self, scenario: str | None) -> None:
        """Follow this scenario from now on; None = quiet.

        Raises: ValueError for an unknown name.
        """
        with self._world.lock:
            self._world.play(scenario)

    def switch(self, **positions: Any) -> None:
        """Change switches from now on.

        Raises: ValueError for a position that does not exist; TypeError for a switch that does not.
        """
        with self._world.lock:
            self._world.base = replace(self._world.base, **positions)
            self._world.play(self._world.scenario.name)

    def new_token(self, user: str | SandboxUser, lifetime_seconds: float | None = None) -> str:
        """Issue another access token for a user, and return it."""
        with self._world.lock:
            known = self._account(user).user
            lifetime = self.switches.token_lifetime_seconds if lifetime_seconds is None else lifetime_seconds
            known.access_token = self._world.tokens.access(known.name, lifetime)
            return known.access_token

    def expire_token(self, user: str | SandboxUser) -> None:
        """Let all access tokens of a user expire now."""
        with self._world.lock:
            self._world.tokens.expire(self._account(user).user.name)

    def revoke_token(self, user: str | SandboxUser) -> None:
        """Make all tokens of a user useless, refresh tokens too."""
        with self._world.lock:
            self._world.tokens.revoke(self._account(user).user.name)

    def register_redirect_uri(self, uri: str) -> None:
        """Accept this redirect_uri on the consent page, character for character."""
        with self._world.lock:
            self._world.redirect_uris.add(uri)

    def _account(self, user: str | SandboxUser) -> SandboxList:
        return account_of(self._world, user if isinstance(user, str) else user.name)

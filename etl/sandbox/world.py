"""The sandbox's whole state: catalogue, users, tokens, switches, scenario and the record of requests.

Everything that changes is changed under ``lock``, so every method may be called from any thread. What goes wrong with the
n-th favourites request depends on (seed, n) alone, besides what was scripted.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from etl.sandbox.catalogue import Catalogue
from etl.sandbox.distortions import ActiveDistortion, Distortion
from etl.sandbox.faults import FAULTS, Fault
from etl.sandbox.rng import random_for
from etl.sandbox.scenarios import scenario_named
from etl.sandbox.state import SandboxList, SandboxUser, ScriptedChange, Tokens, user_id
from etl.sandbox.switches import Switches

APP_ID = "sandbox-app"
APP_SECRET = "sandbox-secret-opens-nothing"  # noqa: S105 - it opens nothing
REDIRECT_URIS = ("http://localhost:8888/", "http://127.0.0.1:8888/callback")
_REGIONS = ("NG", "GH", "KE", "TZ", "ZA", "ET", "CD", "CI", "EG", "AO")
_REMEMBERED_REQUESTS = 200_000
_WARMED = 100_000


def utc_now() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class RequestRecord:
    """One request as received, and its result. ``token`` is masked, ``status`` is 0 until answered.

    ``offset`` and ``limit`` are None if absent or no number.
    """

    number: int
    time: datetime
    method: str
    path: str
    query: dict[str, str]
    token: str = ""
    user: str | None = None
    status: int = 0
    fault: str | None = None
    offset: int | None = field(init=False)
    limit: int | None = field(init=False)

    def __post_init__(self) -> None:
        """Read the numbers of the query."""
        self.offset, self.limit = (
            int(text) if text.removeprefix("-").isdecimal() else None
            for text in (self.query.get("offset", ""), self.query.get("limit", ""))
        )


class World:
    """The state of one sandbox, and the methods that look at it and change it.

    ``before_request`` is called before each favourites answer is computed, one at a time; it may change the lists. All other
    requests wait meanwhile, so it must not send one itself. ``scripted`` are the faults of the next favourites requests.
    ``failures`` are the errors inside the sandbox, which the client saw as HTTP 500. ``redirect_uris`` are those that the consent
    page accepts, character for character. A ``user`` is a name or a `SandboxUser`.
    Methods raise LookupError for an unknown user or track, and ValueError for a change that is impossible.
    """

    def __init__(
        self,
        *,
        tracks: int = 200,
        seed: int = 1,
        switches: Switches | None = None,
        users: Sequence[str] = ("ada",),
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if not users:
            raise ValueError("A sandbox needs at least one user.")
        self.seed = seed
        self.now = now
        self.catalogue = Catalogue(tracks + tracks // 2 + 40, seed)
        self.tokens = Tokens(seed, now)
        self.redirect_uris = set(REDIRECT_URIS)
        self.lock = threading.RLock()
        self.records: deque[RequestRecord] = deque(maxlen=_REMEMBERED_REQUESTS)
        self.counts: Counter[str] = Counter()
        self.scripted: deque[Fault | None] = deque()
        self.failures: list[BaseException] = []
        self.before_request: Callable[[RequestRecord], None] | None = None
        self.base = switches or Switches()
        self.lists: dict[str, SandboxList] = {}
        self._withdrawn: list[tuple[int, SandboxList, int]] = []
        self.users = {name: self._add_user(name, tracks) for name in users}
        self.play(None)
        for account in self.lists.values():
            for track_id in account.tracks[:_WARMED]:
                self.catalogue.item(track_id)  # encoded now, so that the first reader does not wait for it

    def _add_user(self, name: str, tracks: int) -> SandboxUser:
        user = SandboxUser(name, user_id(self.seed, name), _REGIONS[len(self.lists) % len(_REGIONS)], "Free")
        made_up = self.catalogue.track_ids[:-1]
        favourites = random_for(self.seed, "favourites", name).sample(made_up, min(tracks, len(made_up)))
        self.lists[name] = SandboxList(user, favourites, self.now)
        user.access_token = self.tokens.access(name, self.base.token_lifetime_seconds)
        user.refresh_token = self.tokens.refresh(name)
        return user

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests so far, without those to the control path."""
        with self.lock:
            return list(self.records)

    def list_of(self, user: str | SandboxUser | None) -> SandboxList:
        """Return the list of a user; None = the first user."""
        name = user.name if isinstance(user, SandboxUser) else user or next(iter(self.lists))
        if name not in self.lists:
            raise LookupError(f"The sandbox has no user {name!r}, only {', '.join(self.lists)}.")
        return self.lists[name]

    def favourites(self, user: str | SandboxUser) -> list[int]:
        """Return the true current list of favourite tracks, in the API's order."""
        with self.lock:
            return list(self.list_of(user).tracks)

    def history(self, user: str | SandboxUser) -> list[ScriptedChange]:
        """Return every true change of the list since the beginning, in order: (instant in UTC, change, track id)."""
        with self.lock:
            return list(self.list_of(user).history)

    def favourite(self, user: str | SandboxUser | None, track_id: int, at: int | None = None) -> None:
        """Add a favourite at index ``at``; None = the front, or the end under ``order="insertion"``."""
        with self.lock:
            self.catalogue.item(track_id)
            self.list_of(user).add(track_id, at)

    def unfavourite(self, user: str | SandboxUser | None, track_id: int) -> None:
        """Remove a favourite."""
        with self.lock:
            self.list_of(user).remove(track_id)

    def move_to_front(self, user: str | SandboxUser, track_id: int) -> None:
        """Make a favourite the first of the list."""
        with self.lock:
            self.list_of(user).move(track_id, 0)

    def set_favourites(self, user: str | SandboxUser, track_ids: Iterable[int]) -> None:
        """Make the list exactly this, in this order, at one instant."""
        wanted = list(track_ids)
        with self.lock:
            for track_id in wanted:
                self.catalogue.item(track_id)
            self.list_of(user).replace(wanted)

    def change_track(self, track_id: int, **wire_fields: Any) -> None:
        """Serve the track with these fields from now on, for example ``track_title="New"``."""
        with self.lock:
            self.catalogue.change(track_id, wire_fields)

    def script(self, faults: Iterable[Fault | str | None]) -> None:
        """Queue the faults of the next favourites requests, one each: faults, names in `FAULTS`, None = no fault."""
        queued = list(faults)
        if unknown := [name for name in queued if isinstance(name, str) and name not in FAULTS]:
            raise ValueError(f"There is no fault {unknown[0]!r}, only {', '.join(FAULTS)}.")
        with self.lock:
            self.scripted.extend(FAULTS[fault] if isinstance(fault, str) else fault for fault in queued)

    def play(self, scenario: str | None) -> None:
        """Follow this scenario from now on; None = quiet. Its switch positions and its distortion replace the others."""
        with self.lock:
            self.scenario_name, self.scenario = scenario_named(scenario)
            self._set_switches(self.base)
            self.distort(self.scenario.distortion)

    def switch(self, **positions: Any) -> None:
        """Change switches from now on. TypeError for a switch that does not exist."""
        with self.lock:
            self._set_switches(replace(self.base, **positions))

    def _set_switches(self, base: Switches) -> None:
        self.base = base
        self.switches = replace(base, **self.scenario.switches)
        self._rate = self.scenario.rate if base.fault_rate is None else base.fault_rate
        self.catalogue.set_malformed(self.switches.malformed, self.switches.malformed_share)
        for account in self.lists.values():
            account.appends = self.switches.order == "insertion"

    def distort(self, distortion: Distortion | None) -> None:
        """Be wrong in this way from now on, by the sandbox's clock; None = be right."""
        with self.lock:
            tracks = dict.fromkeys(track_id for each in self.lists.values() for track_id in each.tracks)
            self._distortion = distortion and ActiveDistortion(
                distortion, self.seed, self.now(), self.catalogue, tracks
            )

    def active_distortion(self) -> ActiveDistortion | None:
        """Return the distortion that applies now."""
        distortion = self._distortion
        return distortion if distortion and distortion.is_active(self.now()) else None

    def withdraw_track(self, track_id: int, region: str | None = None) -> None:
        """Withdraw a track: it leaves the lists, and the catalogue or only the market ``region``."""
        with self.lock:
            fields = self.catalogue.fields(track_id)
            if region is None:
                self.catalogue.withdrawn.add(track_id)
            else:
                markets = [code for code in str(fields["available_markets"]).split(",") if code != region]
                self.catalogue.change(track_id, {"available_markets": ",".join(markets)})
            for each in self.lists.values():
                if track_id in each and region in (None, each.user.region):
                    self._withdrawn.append((track_id, each, each.tracks.index(track_id)))
                    each.remove(track_id)

    def restore_tracks(self) -> None:
        """Undo every `withdraw_track`: the tracks come back into the lists that they left. Their markets stay changed."""
        with self.lock:
            self.catalogue.withdrawn.clear()
            while self._withdrawn:
                track_id, each, index = self._withdrawn.pop()
                if track_id not in each:
                    each.add(track_id, min(index, len(each.tracks)))

    def new_token(self, user: str | SandboxUser, lifetime_seconds: float | None = None) -> str:
        """Issue another access token for a user, and return it."""
        with self.lock:
            known = self.list_of(user).user
            lifetime = self.switches.token_lifetime_seconds if lifetime_seconds is None else lifetime_seconds
            known.access_token = self.tokens.access(known.name, lifetime)
            return known.access_token

    def expire_token(self, user: str | SandboxUser) -> None:
        """Let all access tokens of a user expire now."""
        with self.lock:
            name = self.list_of(user).user.name
            for grant in self.tokens.grants.values():
                if grant.user == name:
                    grant.expires_at = min(grant.expires_at, self.now())

    def revoke_token(self, user: str | SandboxUser) -> None:
        """Revoke all tokens of a user, refresh tokens too."""
        with self.lock:
            name, refreshable = self.list_of(user).user.name, self.tokens.refreshable
            for grant in self.tokens.grants.values():
                grant.is_revoked = grant.is_revoked or grant.user == name
            self.tokens.refreshable = {token: owner for token, owner in refreshable.items() if owner != name}

    def rng(self, purpose: str, number: int) -> Random:
        """Return the generator of the ``number``-th request of a kind, for one purpose."""
        return random_for(self.seed, self.scenario_name, purpose, number)

    def count(self, group: str) -> int:
        """Return the number of this request in its group, from 1."""
        self.counts[group] += 1
        return self.counts[group]

    def change_list(self, account: SandboxList, record: RequestRecord, number: int) -> None:
        """Let the hook and the scenario change the list before this favourites request."""
        if self.before_request:
            self.before_request(record)
        rng = self.rng("change", number)
        if self.scenario.change and rng.random() < self._rate:
            self.scenario.change(rng, account, self.catalogue.track_ids, record.offset or 0)

    def next_fault(self, group: str, number: int) -> Fault | None:
        """Return the fault of this request: the next one of the script, else the scenario's choice."""
        if group == "favourites" and self.scripted:
            return self.scripted.popleft()
        if not self.scenario.fault or not (group == "favourites" or self.scenario.hits_all):
            return None
        rng = self.rng(f"{group} fault", number)
        return self.scenario.fault(rng) if rng.random() < self._rate else None

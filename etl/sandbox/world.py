"""The stand-in's whole state, and the decisions about each request.

Invariants: everything that changes is changed under ``lock``; what goes wrong with the n-th favourites request depends on
(seed, n) alone, besides what was scripted.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

from etl.sandbox.catalogue import Catalogue
from etl.sandbox.chance import random_for
from etl.sandbox.faults import Fault
from etl.sandbox.scenarios import Effect, RequestContext, Scenario, mutation, scenario_named
from etl.sandbox.state import SandboxList, SandboxUser
from etl.sandbox.switches import Switches
from etl.sandbox.tokens import Tokens, user_id

APP_ID = "sandbox-app"
APP_SECRET = "sandbox-secret-opens-nothing"  # noqa: S105 - it opens nothing
_REGIONS = ("NG", "GH", "KE", "TZ", "ZA", "ET", "CD", "CI", "EG", "AO")
_REMEMBERED_REQUESTS = 200_000


@dataclass(slots=True)
class RequestRecord:
    """One request as it was received, and what became of it; ``token`` is masked, ``status`` 0 until answered."""

    number: int
    time: datetime
    method: str
    path: str
    query: dict[str, str]
    token: str = ""
    user: str | None = None
    status: int = 0
    fault: str | None = None

    @property
    def offset(self) -> int | None:
        """The ``offset`` asked for, None if absent or no number."""
        return _number(self.query.get("offset"))

    @property
    def limit(self) -> int | None:
        """The ``limit`` asked for, None if absent or no number."""
        return _number(self.query.get("limit"))


@dataclass(slots=True)
class World:
    """Catalogue, accounts, tokens, switches, scenario, script and records of one stand-in."""

    seed: int
    catalogue: Catalogue
    base: Switches
    redirect_uris: set[str]
    now: Callable[[], datetime]
    switches: Switches = field(init=False)
    scenario: Scenario = field(init=False)
    tokens: Tokens = field(init=False)
    accounts: dict[str, SandboxList] = field(default_factory=dict)
    script: deque[Fault | None] = field(default_factory=deque)
    records: deque[RequestRecord] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_REQUESTS))
    failures: list[BaseException] = field(default_factory=list)
    before_request: Callable[[RequestRecord], None] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Start quiet."""
        self.tokens = Tokens(self.seed, self.now)
        self.play(None)

    def play(self, scenario: str | None) -> None:
        """Follow this scenario from now on; its switch positions go over the base ones.

        Raises: ValueError for an unknown name.
        """
        self.scenario = scenario_named(scenario)
        self.switches = replace(self.base, **self.scenario.positions)
        self.catalogue.set_dirt(self.switches.dirt, self.switches.dirt_share)

    def add_user(self, name: str, tracks: int) -> SandboxUser:
        """Add a user with ``tracks`` favourites, and tokens."""
        number = len(self.accounts)
        user = SandboxUser(name, user_id(self.seed, name), _REGIONS[number % len(_REGIONS)], "Free")
        chance = random_for(self.seed, "favourites", name)
        made_up = self.catalogue.track_ids[:-1]
        self.accounts[name] = SandboxList(
            user,
            chance.sample(made_up, min(tracks, len(made_up))),
            albums=_some(chance, self.catalogue.album_ids),
            playlists=_some(chance, self.catalogue.playlist_ids),
            now=self.now,
        )
        user.access_token = self.tokens.access(name, self.switches.token_lifetime_seconds)
        user.refresh_token = self.tokens.refresh(name)
        return user

    def newest_index(self, account: SandboxList) -> int:
        """Return where the service puts a new favourite: the front, or the end under ``order="insertion"``."""
        return len(account.tracks) if self.switches.order == "insertion" else 0

    def favourite(self, account: SandboxList, track_id: int, at: int | None) -> None:
        """Add a favourite.

        Raises: ValueError if it is one already; LookupError for a track that the catalogue does not have.
        """
        self.catalogue.item(track_id)
        account.add(track_id, self.newest_index(account) if at is None else at)

    def carry_out(self, account: SandboxList, intent: Effect) -> None:
        """Make the change that a scenario or the switch ``mutation`` intends."""
        match intent:
            case Effect("add", track_id, at):
                self.favourite(account, track_id, at)
            case Effect("remove", track_id):
                account.remove(track_id)
            case Effect("move", track_id, at):
                account.move(track_id, self.newest_index(account) if at is None else at)
            case Effect("empty"):
                account.replace(())
                account.was_emptied = True

    def chance(self, purpose: str, number: int) -> Random:
        """Return the chance of the ``number``-th request of a kind, for one purpose."""
        return random_for(self.seed, self.scenario.name, purpose, number)

    def disturb(self, account: SandboxList, record: RequestRecord, number: int) -> None:
        """Let the hook, the switch ``mutation`` and the scenario change the list before this favourites request."""
        if self.before_request:
            self.before_request(record)
        situation = RequestContext(account, self.catalogue.track_ids, record.offset or 0)
        if self.switches.mutation != "none":
            self._try(account, mutation(self.switches, self.chance("mutation", number), situation))
        if self.scenario.intent:
            chance = self.chance("change", number)
            if chance.random() < self.rate:
                self._try(account, self.scenario.intent(chance, situation))

    def fault(self, group: str, number: int) -> Fault | None:
        """Return what goes wrong with this request: the script's next entry, else the scenario's choice."""
        if group == "favourites" and self.script:
            return self.script.popleft()
        if not self.scenario.fault or not (group == "favourites" or self.scenario.hits_all):
            return None
        chance = self.chance(f"{group} fault", number)
        return self.scenario.fault(chance) if chance.random() < self.rate else None

    def count(self, group: str) -> int:
        """Return the number of this request in its group, from 1."""
        self.counts[group] += 1
        return self.counts[group]

    @property
    def rate(self) -> float:
        """How often the scenario strikes."""
        wanted = self.switches.fault_rate
        return self.scenario.rate if wanted is None else wanted

    def _try(self, account: SandboxList, intent: Effect | None) -> None:
        if intent:
            self.carry_out(account, intent)


def utc_now() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)


def masked(token: str) -> str:
    """Return enough of a token to tell it from another, and no more."""
    return f"{token[:4]}…" if token else ""


def _some(chance: Random, numbers: Sequence[int]) -> list[int]:
    return chance.sample(numbers, min(len(numbers), 30))


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None

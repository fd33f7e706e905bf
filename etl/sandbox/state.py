"""The users of the sandbox, their true lists, and their tokens.

A list holds a track once. Every change is recorded with its instant, in order. Tokens look like the documented ones: 44
characters of standard base64 with ``+`` and ``=``. They are made from the seed and open nothing but this sandbox.
"""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal, NamedTuple

_REMEMBERED_LISTS = 64
_CODE_LIFETIME = timedelta(minutes=10)


class ScriptedChange(NamedTuple):
    """One true change of a list; ``at`` is UTC."""

    at: datetime
    change: Literal["added", "removed", "moved"]
    track_id: int


@dataclass(slots=True)
class SandboxUser:
    """A user of the sandbox, with the tokens that were issued last."""

    name: str
    user_id: str
    region: str
    plan: str
    access_token: str = ""
    refresh_token: str = ""


class SandboxList:
    """One user's favourites, in the order in which the API lists them. ``appends``: new favourites go to the end.

    Methods raise ValueError for a change that is impossible.
    """

    def __init__(self, user: SandboxUser, track_ids: Iterable[int], now: Callable[[], datetime]) -> None:
        self.user = user
        self.tracks = list(track_ids)
        self.history: list[ScriptedChange] = []
        self.appends = False
        self.last_page: list[int] | None = None
        self.is_read_to_end = False
        self.was_emptied = False
        self._present = set(self.tracks)
        self._earlier: deque[tuple[datetime, list[int]]] = deque(maxlen=_REMEMBERED_LISTS)
        self._now = now

    def __contains__(self, track_id: int) -> bool:
        return track_id in self._present

    def add(self, track_id: int, at: int | None = None) -> None:
        """Add a track at index ``at``; None: where new favourites go."""
        if track_id in self._present:
            raise ValueError(f"Track {track_id} is a favourite of {self.user.name} already.")
        self._record("added", track_id)
        self._insert(track_id, at)
        self._present.add(track_id)

    def remove(self, track_id: int) -> None:
        """Remove a track."""
        self._record("removed", track_id)
        self.tracks.remove(track_id)
        self._present.remove(track_id)

    def move(self, track_id: int, at: int | None = None) -> None:
        """Move a track to index ``at``; None: where new favourites go."""
        self._record("moved", track_id)
        self.tracks.remove(track_id)
        self._insert(track_id, at)

    def replace(self, track_ids: Iterable[int]) -> None:
        """Make the list exactly ``track_ids`` at one instant. Of the tracks that stay, those whose rank changed are "moved"."""
        wanted = list(track_ids)
        if len(set(wanted)) != len(wanted):
            raise ValueError("A track can be a favourite only once.")
        instant, kept = self._now(), set(wanted)
        self._earlier.append((instant, self.tracks))
        self.history += [ScriptedChange(instant, "removed", gone) for gone in self.tracks if gone not in kept]
        self.history += [ScriptedChange(instant, "added", new) for new in wanted if new not in self._present]
        before = [track_id for track_id in self.tracks if track_id in kept]
        after = [track_id for track_id in wanted if track_id in self._present]
        moved = [new for old, new in zip(before, after, strict=True) if old != new]
        self.history += [ScriptedChange(instant, "moved", track_id) for track_id in moved]
        self.tracks, self._present = wanted, kept

    def stale(self, behind: int) -> list[int]:
        """Return the list as it was ``behind`` changes ago, or as far back as is remembered."""
        if not self._earlier or behind < 1:
            return self.tracks
        return self._earlier[max(0, len(self._earlier) - behind)][1]

    def as_of(self, instant: datetime) -> list[int]:
        """Return the list as it was at ``instant``, or as far back as is remembered."""
        return next((tracks for until, tracks in self._earlier if until > instant), self.tracks)

    def _insert(self, track_id: int, at: int | None) -> None:
        newest = len(self.tracks) if self.appends else 0
        self.tracks.insert(newest if at is None else at, track_id)

    def _record(self, change: Literal["added", "removed", "moved"], track_id: int) -> None:
        if change != "added" and track_id not in self._present:
            raise ValueError(f"Track {track_id} is no favourite of {self.user.name}.")
        instant = self._now()
        self._earlier.append((instant, self.tracks.copy()))
        self.history.append(ScriptedChange(instant, change, track_id))


@dataclass(slots=True)
class Grant:
    """Whom a token or code belongs to, and until when. ``user`` None = an app token. ``redirect_uri``: of a code."""

    user: str | None
    expires_at: datetime
    is_revoked: bool = False
    redirect_uri: str = ""


class Tokens:
    """All tokens and codes that were issued: grants by access token, users by refresh token, codes."""

    def __init__(self, seed: int, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._issued = 0
        self.grants: dict[str, Grant] = {}
        self.refreshable: dict[str, str] = {}
        self.codes: dict[str, Grant] = {}

    def access(self, user: str | None, lifetime_seconds: float) -> str:
        """Issue an access token; for ``user`` None, an app token."""
        token = self._new("access", 32)
        self.grants[token] = Grant(user, self._now() + timedelta(seconds=lifetime_seconds))
        return token

    def refresh(self, user: str) -> str:
        """Issue a refresh token, which works until it is used up or revoked."""
        token = self._new("refresh", 32)
        self.refreshable[token] = user
        return token

    def code(self, user: str, redirect_uri: str) -> str:
        """Issue a code for one exchange."""
        code = self._new("code", 24)
        self.codes[code] = Grant(user, self._now() + _CODE_LIFETIME, redirect_uri=redirect_uri)
        return code

    def _new(self, kind: str, size: int) -> str:
        while True:
            self._issued += 1
            token = _encoded(f"{self._seed}/{kind}/{self._issued}", size)
            if "+" in token:
                return token


def user_id(seed: int, name: str) -> str:
    """Return a user id like the documented one: 16 bytes in standard base64, with ``+``, ``/`` and ``==``."""
    made = (_encoded(f"{seed}/user/{name}/{number}", 16) for number in itertools.count())
    return next(each for each in made if "+" in each and "/" in each)


def _encoded(text: str, size: int) -> str:
    return b64encode(blake2b(text.encode(), digest_size=size).digest()).decode()

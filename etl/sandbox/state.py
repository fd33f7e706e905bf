"""The users of the sandbox and their true lists.

A list holds a track once. Every change is recorded with its instant, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

_REMEMBERED_LISTS = 64


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
    """One user's favourites, in the order in which the API lists them."""

    def __init__(self, user: SandboxUser, track_ids: Iterable[int], now: Callable[[], datetime]) -> None:
        self.user = user
        self.tracks = list(track_ids)
        self.history: list[ScriptedChange] = []
        self.last_page: list[int] | None = None
        self.is_read_to_end = False
        self.was_emptied = False
        self._present = set(self.tracks)
        self._earlier: deque[tuple[datetime, list[int]]] = deque(maxlen=_REMEMBERED_LISTS)
        self._now = now

    def __contains__(self, track_id: int) -> bool:
        return track_id in self._present

    def add(self, track_id: int, at: int) -> None:
        """Add a track at index ``at``.

        Raises: ValueError if it is a favourite already.
        """
        if track_id in self._present:
            raise ValueError(f"Track {track_id} is a favourite of {self.user.name} already.")
        self._record("added", track_id)
        self.tracks.insert(at, track_id)
        self._present.add(track_id)

    def remove(self, track_id: int) -> None:
        """Remove a track.

        Raises: ValueError if it is no favourite.
        """
        self._require(track_id)
        self._record("removed", track_id)
        self.tracks.remove(track_id)
        self._present.remove(track_id)

    def move(self, track_id: int, at: int) -> None:
        """Move a track to index ``at``.

        Raises: ValueError if it is no favourite.
        """
        self._require(track_id)
        self._record("moved", track_id)
        self.tracks.remove(track_id)
        self.tracks.insert(at, track_id)

    def replace(self, track_ids: Iterable[int]) -> None:
        """Make the list exactly ``track_ids`` at one instant. Of the tracks that stay, those whose rank changed are "moved".

        Raises: ValueError if a track is listed twice.
        """
        wanted = list(track_ids)
        if len(set(wanted)) != len(wanted):
            raise ValueError("A track can be a favourite only once.")
        instant, kept = self._now(), set(wanted)
        self._earlier.append((instant, self.tracks))
        self.history.extend(ScriptedChange(instant, "removed", gone) for gone in self.tracks if gone not in kept)
        self.history.extend(ScriptedChange(instant, "added", new) for new in wanted if new not in self._present)
        before = [track_id for track_id in self.tracks if track_id in kept]
        after = [track_id for track_id in wanted if track_id in self._present]
        self.history.extend(
            ScriptedChange(instant, "moved", new) for old, new in zip(before, after, strict=True) if old != new
        )
        self.tracks, self._present = wanted, kept

    def stale(self, behind: int) -> list[int]:
        """Return the list as it was ``behind`` changes ago, or as far back as is remembered."""
        if not self._earlier or behind < 1:
            return self.tracks
        return self._earlier[max(0, len(self._earlier) - behind)][1]

    def as_of(self, instant: datetime) -> list[int]:
        """Return the list as it was at ``instant``, or as far back as is remembered."""
        return next((tracks for until, tracks in self._earlier if until > instant), self.tracks)

    def _require(self, track_id: int) -> None:
        if track_id not in self._present:
            raise ValueError(f"Track {track_id} is no favourite of {self.user.name}.")

    def _record(self, change: Literal["added", "removed", "moved"], track_id: int) -> None:
        instant = self._now()
        self._earlier.append((instant, self.tracks.copy()))
        self.history.append(ScriptedChange(instant, change, track_id))

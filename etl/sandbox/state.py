"""The accounts of the stand-in and their true lists.

Invariants: a list holds a track once; every change is on record with its instant, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

_REMEMBERED_LISTS = 16


class ScriptedChange(NamedTuple):
    """One true change of a list; ``at`` is UTC."""

    at: datetime
    change: Literal["added", "removed", "moved"]
    track_id: int


@dataclass(slots=True)
class SandboxUser:
    """A user of the stand-in, with the tokens that were issued last."""

    name: str
    user_id: str
    region: str
    plan: str
    access_token: str = ""
    refresh_token: str = ""


class SandboxList:
    """One user's favourites: tracks in the order in which the API lists them, and fixed albums and playlists."""

    def __init__(
        self,
        user: SandboxUser,
        track_ids: Iterable[int],
        *,
        albums: Sequence[int] = (),
        playlists: Sequence[int] = (),
        now: Callable[[], datetime],
    ) -> None:
        self.user = user
        self.tracks = list(track_ids)
        self.albums = list(albums)
        self.playlists = list(playlists)
        self.history: list[ScriptedChange] = []
        self.last_page: dict[str, list[int]] = {}
        self.is_read_to_end = False
        self.was_emptied = False
        self._present = set(self.tracks)
        self._earlier: deque[list[int]] = deque(maxlen=_REMEMBERED_LISTS)
        self._now = now

    def __contains__(self, track_id: int) -> bool:
        return track_id in self._present

    def add(self, track_id: int, at: int) -> None:
        """Add a track at index ``at``.

        Raises: ValueError if it is a favourite already.
        """
        if track_id in self._present:
            raise ValueError(f"track {track_id} is a favourite of {self.user.name} already")
        self._remember("added", track_id)
        self.tracks.insert(at, track_id)
        self._present.add(track_id)

    def remove(self, track_id: int) -> None:
        """Remove a track.

        Raises: ValueError if it is no favourite.
        """
        self._must_hold(track_id)
        self._remember("removed", track_id)
        self.tracks.remove(track_id)
        self._present.remove(track_id)

    def move(self, track_id: int, at: int) -> None:
        """Move a track to index ``at``.

        Raises: ValueError if it is no favourite.
        """
        self._must_hold(track_id)
        self._remember("moved", track_id)
        self.tracks.remove(track_id)
        self.tracks.insert(at, track_id)

    def replace(self, track_ids: Iterable[int]) -> None:
        """Make the list exactly ``track_ids``, at one instant; "moved" are those whose rank among the stayers changed.

        Raises: ValueError if a track is named twice.
        """
        wanted = list(track_ids)
        if len(set(wanted)) != len(wanted):
            raise ValueError("a track can be a favourite only once")
        self._earlier.append(self.tracks.copy())
        instant, kept = self._now(), set(wanted)
        self.history.extend(ScriptedChange(instant, "removed", gone) for gone in self.tracks if gone not in kept)
        self.history.extend(ScriptedChange(instant, "added", new) for new in wanted if new not in self._present)
        self.history.extend(ScriptedChange(instant, "moved", moved) for moved in self._moved(wanted))
        self.tracks, self._present = wanted, set(wanted)

    def stale(self, behind: int) -> list[int]:
        """Return the list as it was ``behind`` changes ago, or as far back as is remembered."""
        if not self._earlier or behind < 1:
            return self.tracks
        return self._earlier[max(0, len(self._earlier) - behind)]

    def _moved(self, wanted: list[int]) -> list[int]:
        stayers = set(wanted) & self._present
        before = [track_id for track_id in self.tracks if track_id in stayers]
        after = [track_id for track_id in wanted if track_id in stayers]
        return [new for old, new in zip(before, after, strict=True) if old != new]

    def _must_hold(self, track_id: int) -> None:
        if track_id not in self._present:
            raise ValueError(f"track {track_id} is no favourite of {self.user.name}")

    def _remember(self, change: Literal["added", "removed", "moved"], track_id: int) -> None:
        self._earlier.append(self.tracks.copy())
        self.history.append(ScriptedChange(self._now(), change, track_id))

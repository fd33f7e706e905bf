"""Distortions: services that are wrong in the same way at every request, for a time or for good.

A fault hits one answer; a distortion is a wrong view of the list, so that the answers fit together and repeated readings agree.
Which tracks it hits depends on the seed and on the list at the moment it was set; what it shows also on the sandbox's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from etl.sandbox.catalogue import Catalogue
from etl.sandbox.rng import Rng, random_for
from etl.sandbox.state import SandboxList

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion:
    """How the service is wrong. The defaults are right; several fields can be combined. docs/sandbox.md describes them.

    ``begins_after_seconds`` and ``lasts_seconds`` (None = for good) count from `World.distort`.
    """

    begins_after_seconds: float = 0.0
    lasts_seconds: float | None = None
    window: int | None = None
    past_window: Literal["empty", "error"] = "empty"
    ends_early: float = 0.0
    hidden: Literal["none", "artist", "album", "creeping"] = "none"
    hidden_share: float = 0.24
    hidden_per_hour: int = 10
    hides_after_slice: bool = False
    flapping_share: float = 0.0
    duplicates: int = 0
    honest_counts: bool = True
    replicas: Literal["none", "by_offset", "in_turn", "sticky", "page"] = "none"
    lag_seconds: float = 7200.0
    cache_seconds: float = 0.0
    honours_no_cache: bool = True
    foreign_list: bool = False
    user_info: Literal["own", "other", "fails"] = "own"
    refused_offset: int | None = None


class ListRequest(NamedTuple):
    """What a distortion may look at: the number of the request, its offset and limit, and its connection."""

    number: int
    offset: int
    limit: int
    connection: int


class ServedPage(NamedTuple):
    """The track ids of a page, the length of the list that they come from, and whether the offset is refused."""

    ids: list[int]
    total: int
    is_refused: bool = False


class ActiveDistortion:
    """A distortion that was set at ``begun_at`` over lists that hold ``tracks``. ``cache``: answers by address."""

    def __init__(
        self, distortion: Distortion, seed: int, begun_at: datetime, catalogue: Catalogue, tracks: Iterable[int]
    ) -> None:
        self.distortion = distortion
        self.cache: dict[str, tuple[datetime, bytes]] = {}
        self._seed = seed
        self._begun_at = begun_at
        self._catalogue = catalogue
        self._order = sorted(tracks, key=lambda each: Rng(seed, "hide", each).below(1 << 30))
        self._labels: set[int] = set()
        if distortion.hidden in ("artist", "album"):
            # In the random order of the tracks, without labels that would hide far too much.
            wanted, total = distortion.hidden_share * len(self._order), 0
            for label, size in Counter(map(self._label, self._order)).items():
                if total < wanted and total + size <= max(1.2 * wanted, 1):
                    self._labels.add(label)
                    total += size

    def is_active(self, now: datetime) -> bool:
        """True if the distortion applies at ``now``."""
        passed, lasts = self._passed_seconds(now), self.distortion.lasts_seconds
        return passed >= 0 and (lasts is None or passed < lasts)

    def page(self, account: SandboxList, request: ListRequest, now: datetime) -> ServedPage:
        """Return the page that the distorted service serves."""
        how = self.distortion
        ids = account.tracks
        if how.foreign_list:
            made_up = self._catalogue.track_ids[:-1]
            ids = random_for(self._seed, "foreign list", account.user.name).sample(made_up, min(len(ids), len(made_up)))
        elif self._is_replica(request, len(ids)):
            ids = account.as_of(now - timedelta(seconds=how.lag_seconds))
        ids = self._with_duplicates(ids[: len(ids) - int(len(ids) * how.ends_early)])
        hidden = self._hidden(ids, request.number, now)
        if not how.hides_after_slice:
            ids = [track_id for track_id in ids if track_id not in hidden]
        if how.window is not None:
            ids = ids[: how.window]
        is_refused = how.refused_offset is not None and request.offset >= how.refused_offset
        if how.past_window == "error" and how.window is not None and request.offset >= len(ids) > 0:
            is_refused = True
        page = ids[request.offset : request.offset + request.limit]
        if how.hides_after_slice:
            page = [track_id for track_id in page if track_id not in hidden]
        return ServedPage(page, len(account.tracks) if how.honest_counts else len(ids), is_refused)

    def cached(self, address: str, now: datetime, *, bypasses: bool) -> bytes | None:
        """Return the cached body of an address, None if there is none or it is too old or bypassed."""
        if bypasses and self.distortion.honours_no_cache:
            return None
        stored_at, body = self.cache.get(address, (now, b""))
        is_fresh = (now - stored_at).total_seconds() < self.distortion.cache_seconds
        return body if body and is_fresh else None

    def _passed_seconds(self, now: datetime) -> float:
        return (now - self._begun_at).total_seconds() - self.distortion.begins_after_seconds

    def _label(self, track_id: int) -> int:
        return self._catalogue.label_ids(track_id)[self.distortion.hidden == "album"]

    def _is_replica(self, request: ListRequest, length: int) -> bool:
        match self.distortion.replicas:
            case "by_offset":
                return (request.offset // PAGE + self._seed) % 2 == 0
            case "in_turn":
                return request.number % 2 == 0
            case "sticky":
                return (request.connection + self._seed) % 2 == 0
            case "page":
                stale = Rng(self._seed, "stale page").below(max(1, -(-length // PAGE)))
                return request.offset // PAGE == stale
        return False

    def _hidden(self, ids: Iterable[int], number: int, now: datetime) -> set[int]:
        how = self.distortion
        hidden: set[int] = set()
        if how.hidden == "creeping":
            hidden.update(self._order[: how.hidden_per_hour * (1 + int(self._passed_seconds(now) // 3600))])
        elif how.hidden != "none":
            hidden.update(each for each in ids if self._label(each) in self._labels)
        if how.flapping_share:
            hidden.update(
                each
                for each in ids
                if Rng(self._seed, "flaps", each).hits(how.flapping_share)
                and Rng(self._seed, "flap", each, number).once_in(2)
            )
        return hidden

    def _with_duplicates(self, ids: list[int]) -> list[int]:
        if not self.distortion.duplicates:
            return ids
        doubled = sorted(ids, key=lambda each: Rng(self._seed, "double", each).below(1 << 30))
        found = list(ids)
        for track_id in doubled[: self.distortion.duplicates]:
            found.insert(found.index(track_id) + 7, track_id)
        return found

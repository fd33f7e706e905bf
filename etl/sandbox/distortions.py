"""Distortions: services that are wrong in the same way at every request, for a time or for good.

A fault hits one answer; a distortion is a wrong view of the list, so that the answers fit together and repeated readings agree.
Which tracks it hits depends on the seed and on the list at the moment it was set; what it shows also on the sandbox's clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from etl.sandbox.catalogue import Catalogue
from etl.sandbox.rng import Rng, random_for
from etl.sandbox.state import SandboxList

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion:
    """How the service is wrong. The defaults are right; several fields can be combined.

    ``begins_after_seconds`` and ``lasts_seconds`` (None = for good) count from `World.distort`.

    ``window``: only the newest so many favourites are served; behind them ``past_window``. ``ends_early``: the share of the
    list that is missing at its end. ``hidden``: the tracks of some artists or albums (about ``hidden_share`` of the list), or
    ``creeping``: ``hidden_per_hour`` more tracks each hour. ``hides_after_slice``: pages are cut first and filtered afterwards,
    so that they are short. ``flapping_share``: this share of the tracks is served at about every second request.
    ``duplicates``: so many tracks are listed twice. ``honest_counts``: whether ``counts`` is the true total or that of the
    served list.

    ``replicas``: some requests are answered from a copy that is ``lag_seconds`` old: those of certain offsets, every second
    one, or all of a connection; ``page`` = only one page of the list. ``cache_seconds``: answers are cached by address so long;
    ``honours_no_cache``: whether ``Cache-Control: no-cache`` passes the cache.

    ``foreign_list``: another user's list is served. ``user_info``: what ``/user/getUserInfo`` answers meanwhile.
    ``refused_offset``: from this offset on, pages are refused with HTTP 400.
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


@dataclass(slots=True)
class ActiveDistortion:
    """A distortion that was set: when, and which tracks and labels it hits. ``cache`` holds bodies by address."""

    distortion: Distortion
    seed: int
    begun_at: datetime
    labels: frozenset[int]
    creep_order: list[int]
    cache: dict[str, tuple[datetime, bytes]] = field(default_factory=dict)

    def is_active(self, now: datetime) -> bool:
        """True if the distortion applies at ``now``."""
        passed = (now - self.begun_at).total_seconds() - self.distortion.begins_after_seconds
        lasts = self.distortion.lasts_seconds
        return passed >= 0 and (lasts is None or passed < lasts)

    def page(self, catalogue: Catalogue, account: SandboxList, request: ListRequest, now: datetime) -> ServedPage:
        """Return the page that the distorted service serves."""
        how = self.distortion
        ids = account.tracks
        if how.foreign_list:
            made_up = catalogue.track_ids[:-1]
            ids = random_for(self.seed, "foreign list", account.user.name).sample(made_up, min(len(ids), len(made_up)))
        elif self._is_replica(request, len(ids)):
            ids = account.as_of(now - timedelta(seconds=how.lag_seconds))
        ids = self._with_duplicates(ids[: len(ids) - int(len(ids) * how.ends_early)])
        hidden = self._hidden(catalogue, ids, request.number, now)
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

    def _is_replica(self, request: ListRequest, length: int) -> bool:
        match self.distortion.replicas:
            case "by_offset":
                return (request.offset // PAGE + self.seed) % 2 == 0
            case "in_turn":
                return request.number % 2 == 0
            case "sticky":
                return (request.connection + self.seed) % 2 == 0
            case "page":
                stale = Rng(self.seed, "stale page").below(max(1, -(-length // PAGE)))
                return request.offset // PAGE == stale
        return False

    def _hidden(self, catalogue: Catalogue, ids: Iterable[int], number: int, now: datetime) -> set[int]:
        how = self.distortion
        hidden: set[int] = set()
        if how.hidden == "creeping":
            passed = (now - self.begun_at).total_seconds() - how.begins_after_seconds
            hidden.update(self.creep_order[: how.hidden_per_hour * (1 + int(passed // 3600))])
        elif how.hidden != "none":
            hidden.update(each for each in ids if label_of(catalogue, each, how.hidden) in self.labels)
        if how.flapping_share:
            hidden.update(
                each
                for each in ids
                if Rng(self.seed, "flaps", each).hits(how.flapping_share)
                and Rng(self.seed, "flap", each, number).once_in(2)
            )
        return hidden

    def _with_duplicates(self, ids: list[int]) -> list[int]:
        if not self.distortion.duplicates:
            return ids
        doubled = sorted(ids, key=lambda each: Rng(self.seed, "double", each).below(1 << 30))
        found = list(ids)
        for track_id in doubled[: self.distortion.duplicates]:
            found.insert(found.index(track_id) + 7, track_id)
        return found


def activate(
    distortion: Distortion, seed: int, now: datetime, catalogue: Catalogue, tracks: Iterable[int]
) -> ActiveDistortion:
    """Return the distortion as set at ``now``, over lists that hold ``tracks``."""
    ids = list(tracks)
    order = sorted(ids, key=lambda each: Rng(seed, "hide", each).below(1 << 30))
    labels: set[int] = set()
    if distortion.hidden in ("artist", "album"):
        sizes: dict[int, int] = {}
        for track_id in order:
            label = label_of(catalogue, track_id, distortion.hidden)
            sizes[label] = sizes.get(label, 0) + 1
        wanted = distortion.hidden_share * len(ids)
        total = 0
        for (
            label,
            size,
        ) in sizes.items():  # in the random order of the tracks; skips labels that would hide far too much
            if total < wanted and total + size <= max(1.2 * wanted, 1):
                labels.add(label)
                total += size
    return ActiveDistortion(distortion, seed, now, frozenset(labels), order)


def label_of(catalogue: Catalogue, track_id: int, kind: str) -> int:
    """Return the id of the track's artist or album."""
    fields = catalogue.label_fields(track_id)
    return fields[0] if kind == "artist" else fields[1]

"""A separate, plain model of the history: one track at a time, over sorted observations. It shares no code with `etl.transform`.

For each observation and each track it asks three questions of the list of observations: when did somebody last see it, who
proved last that it was not there, and may this one remove it? Slow, and easy to believe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Seen:
    """One observation. ``word``: the operator's, "approved" or "rejected"."""

    start: datetime
    end: datetime
    tracks: frozenset[int]
    is_whole: bool
    word: str | None = None


Stay = tuple[int, datetime, datetime | None, datetime | None, datetime | None]
"""(track, valid_from, added_after, valid_to, removed_after)"""


def of_one_instant(observations: Iterable[Seen]) -> list[Seen]:
    """Sort, and make one of those that ended at the same instant."""
    by_end: dict[datetime, list[Seen]] = {}
    for seen in observations:
        by_end.setdefault(seen.end, []).append(seen)
    joined = []
    for end in sorted(by_end):
        same = by_end[end]
        whole = [seen for seen in same if seen.is_whole]
        words = [seen.word for seen in whole]
        word = "approved" if "approved" in words else None if None in words else words[0] if words else None
        tracks = frozenset().union(*(seen.tracks for seen in same))
        joined.append(Seen(min(seen.start for seen in same), end, tracks, bool(whole), word))
    return joined


def history(observations: Sequence[Seen], minimum: int = 10, ratio: float = 0.25) -> set[Stay]:
    """Return every stay that the observations tell."""
    ordered = of_one_instant(observations)
    removes = [_removed(ordered, n, minimum, ratio) for n in range(len(ordered))]
    tracks = frozenset().union(*(seen.tracks for seen in ordered)) if ordered else frozenset()
    return {stay for track in tracks for stay in _stays(track, ordered, removes)}


def _open_before(ordered: Sequence[Seen], n: int, minimum: int, ratio: float) -> frozenset[int]:
    here: frozenset[int] = frozenset()
    for m in range(n):
        here = (here | ordered[m].tracks) - _gone(ordered, m, here, minimum, ratio)
    return here


def _gone(ordered: Sequence[Seen], n: int, here: frozenset[int], minimum: int, ratio: float) -> frozenset[int]:
    """Return what observation ``n`` removes, given what was there before it."""
    seen = ordered[n]
    gone = here - seen.tracks
    if not seen.is_whole or seen.word == "rejected":
        return frozenset()
    if n and seen.start < ordered[n - 1].end:
        return frozenset()
    too_many = len(gone) >= len(here) or len(gone) > max(minimum, ratio * len(here))
    return frozenset() if seen.word is None and gone and too_many else gone


def _removed(ordered: Sequence[Seen], n: int, minimum: int, ratio: float) -> frozenset[int]:
    return _gone(ordered, n, _open_before(ordered, n, minimum, ratio), minimum, ratio)


def _stays(track: int, ordered: Sequence[Seen], removes: Sequence[frozenset[int]]) -> Iterable[Stay]:
    at = 0
    while True:
        first = next((n for n in range(at, len(ordered)) if track in ordered[n].tracks), None)
        if first is None:
            return
        trusted = [seen.start for seen in ordered[:first] if seen.is_whole and seen.word != "rejected"]
        added_after = max(trusted, default=None)
        last = next((n for n in range(first + 1, len(ordered)) if track in removes[n]), None)
        if last is None:
            yield (track, ordered[first].end, added_after, None, None)
            return
        sighting = max(n for n in range(first, last) if track in ordered[n].tracks)
        yield (track, ordered[first].end, added_after, ordered[last].end, ordered[sighting].start)
        at = last


LOOKS = 5


def history_with_grace(observations: Sequence[Seen], grace: timedelta) -> set[Stay]:
    """Return every stay where removals wait for ``grace`` and nothing speaks against them. All observations have own ends."""
    ordered = sorted(observations, key=lambda seen: seen.end)
    void = _void(ordered)
    tracks = frozenset().union(*(seen.tracks for seen in ordered)) if ordered else frozenset()
    return {stay for track in tracks for stay in _stays_with_grace(track, ordered, void, grace)}


def _void(ordered: Sequence[Seen]) -> list[bool]:
    """Return for each observation whether it is the list that the operator rejected last, unchanged since."""
    rejected: frozenset[int] | None = None
    void = []
    for seen in ordered:
        if seen.is_whole and seen.word == "rejected":
            rejected = seen.tracks
        elif seen.is_whole and seen.tracks != rejected:
            rejected = None
        void.append(seen.is_whole and rejected is not None)
    return void


def _stays_with_grace(track: int, ordered: Sequence[Seen], void: Sequence[bool], grace: timedelta) -> Iterable[Stay]:
    stay: tuple[datetime, datetime | None] | None = None
    sighting = 0
    for n, seen in enumerate(ordered):
        if track in seen.tracks:
            if stay is None:
                trusted = [each.start for each in ordered[:n] if each.is_whole and each.word != "rejected"]
                stay = (seen.end, max(trusted, default=None))
            sighting = n
        elif stay is not None:
            first = _first_absence(ordered, sighting, n)
            if first is not None and _may_go(ordered, void, first, n, grace):
                yield (track, *stay, ordered[first].end, ordered[sighting].start)
                stay = None
    if stay is not None:
        yield (track, *stay, None, None)


def _can_remove(ordered: Sequence[Seen], n: int) -> bool:
    seen = ordered[n]
    return seen.is_whole and seen.word != "rejected" and (n == 0 or seen.start >= ordered[n - 1].end)


def _first_absence(ordered: Sequence[Seen], sighting: int, n: int) -> int | None:
    """Return the first observation after ``sighting``, up to ``n``, that proves the track absent."""
    return next((m for m in range(sighting + 1, n + 1) if _can_remove(ordered, m)), None)


def _may_go(ordered: Sequence[Seen], void: Sequence[bool], first: int, n: int, grace: timedelta) -> bool:
    """True if observation ``n`` records the removal of a track that is absent from observation ``first`` on."""
    if not _can_remove(ordered, n):
        return False
    if ordered[n].word == "approved":
        return True
    if void[n]:
        return False
    start = max((m for m in range(first, n) if void[m]), default=None)
    counted = range(first if start is None else start + 1, n + 1)
    looks = sum(ordered[m].is_whole for m in counted)
    waited = ordered[n].start - ordered[first if start is None else start].end
    return not grace or (looks >= LOOKS and waited >= grace)

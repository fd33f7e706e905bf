"""A separate, plain model of the history: one track at a time, over sorted observations. It shares no code with `etl.transform`.

For each observation and each track it asks three questions of the list of observations: when did somebody last see it, who
proved last that it was not there, and may this one remove it? Slow, and easy to believe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


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

"""How many favourites each artist or genre had at the end of each month, and a year before the last look."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Stay:
    """A track among the favourites from ``since`` until ``until`` (None: still)."""

    track_id: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Course:
    """How many favourites there were at the end of each month, and a year ago."""

    by_month: list[int]
    year_ago: int


class Trends:
    """The stays of one account, cut into months. ``last``: the last look at the list; None: there was none."""

    def __init__(self, stays: Sequence[Stay], last: datetime | None) -> None:
        self._stays = stays
        first = min((stay.since for stay in stays), default=last)
        self._ends = _month_ends(first, last) if first and last else []
        self.months: list[date] = [(end - timedelta(microseconds=1)).date().replace(day=1) for end in self._ends]
        """The first day of each month from the first stay to the last look."""
        self.year_ago: datetime | None = max(last - timedelta(days=365), first) if first and last else None
        """A year before the last look, or the first stay's beginning if that was later."""

    def courses(self, names: Mapping[int, Sequence[int]]) -> dict[int, Course]:
        """Return the course of each artist or genre; ``names`` says which ones a track counts for."""
        then = self.counts_then(names)
        steps: dict[int, list[int]] = {}
        for stay in self._stays:
            for name in names.get(stay.track_id, ()):
                own = steps.setdefault(name, [0] * (len(self._ends) + 1))
                own[bisect_left(self._ends, stay.since)] += 1
                if stay.until is not None:
                    own[bisect_left(self._ends, stay.until)] -= 1
        return {name: Course(list(accumulate(own))[:-1], then.get(name, 0)) for name, own in steps.items()}

    def counts_then(self, names: Mapping[int, Sequence[int]]) -> dict[int, int]:
        """Return how many favourites each of them had at `year_ago`."""
        found: dict[int, int] = {}
        for stay in self._stays:
            if self.year_ago is None or stay.since > self.year_ago or (stay.until and stay.until <= self.year_ago):
                continue
            for name in names.get(stay.track_id, ()):
                found[name] = found.get(name, 0) + 1
        return found


def _month_ends(first: datetime, last: datetime) -> list[datetime]:
    """Return the end of every month from ``first`` on; the last one ends just after ``last``."""
    ends: list[datetime] = []
    end = _next_month(first)
    while end <= last:
        ends.append(end)
        end = _next_month(end)
    return [*ends, last + timedelta(microseconds=1)]


def _next_month(instant: datetime) -> datetime:
    year, month = divmod(instant.year * 12 + instant.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)

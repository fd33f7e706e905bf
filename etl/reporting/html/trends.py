"""Number of favourites of each artist, album or genre at the end of each month, and a year before the last snapshot."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from heapq import nsmallest
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Stay:
    """A track was a favourite from ``since`` until ``until`` (None: it still is)."""

    track_id: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of favourites: at the end of each month, and a year ago."""

    by_month: list[int]
    year_ago: int


class Trends:
    """The stays of one account by month. ``last``: time of the last snapshot, None before the first.

    ``months``: first day of each month from the first stay to the last snapshot. ``year_ago``: a year before the last snapshot,
    or the start of the first stay if that is later.
    """

    def __init__(self, stays: Sequence[Stay], last: datetime | None) -> None:
        self._stays = stays
        first = min((stay.since for stay in stays), default=last)
        self._ends = _month_ends(first, last) if first and last else []
        self.months: list[date] = [(end - timedelta(microseconds=1)).date().replace(day=1) for end in self._ends]
        self.year_ago: datetime | None = max(last - timedelta(days=365), first) if first and last else None

    @cached_property
    def total(self) -> Series:
        """The series of all favourites."""
        every = {stay.track_id: (0,) for stay in self._stays}
        return self.series(every).get(0, Series([0] * len(self._ends), 0))

    def series(self, names: Mapping[int, Sequence[int]]) -> dict[int, Series]:
        """Return the series of each artist, album or genre. ``names``: those of each track."""
        year_ago: dict[int, int] = {}
        changes: dict[int, list[int]] = {}  # added minus removed in each month
        for stay in self._stays:
            then = self.year_ago
            was_there = then is not None and stay.since <= then and (stay.until is None or stay.until > then)
            for name in names.get(stay.track_id, ()):
                own = changes.setdefault(name, [0] * (len(self._ends) + 1))
                own[bisect_left(self._ends, stay.since)] += 1
                if stay.until is not None:
                    own[bisect_left(self._ends, stay.until)] -= 1
                year_ago[name] = year_ago.get(name, 0) + was_there
        return {name: Series(list(accumulate(own))[:-1], year_ago[name]) for name, own in changes.items()}


def monthly_places(series: Mapping[int, Series], most: int) -> dict[int, list[int | None]]:
    """Return the place (from 1) of each name at the end of each month, None where it is not among the first ``most``.

    Names that are never among them are left out. Of two with as many favourites, the one with the smaller id is first.
    """
    months = max((len(own.by_month) for own in series.values()), default=0)
    places: dict[int, list[int | None]] = {}
    for month in range(months):
        counts = [(-own.by_month[month], name) for name, own in series.items() if own.by_month[month]]
        for place, (_, name) in enumerate(nsmallest(most, counts), start=1):
            places.setdefault(name, [None] * months)[month] = place
    return places


def _month_ends(first: datetime, last: datetime) -> list[datetime]:
    """Return the end of every month from ``first`` on. The last one is just after ``last``."""
    ends: list[datetime] = []
    end = _next_month(first)
    while end <= last:
        ends.append(end)
        end = _next_month(end)
    return [*ends, last + timedelta(microseconds=1)]


def _next_month(instant: datetime) -> datetime:
    year, month = divmod(instant.year * 12 + instant.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)

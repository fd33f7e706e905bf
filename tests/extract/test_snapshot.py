"""Snapshots: which reads a run makes, and by which way."""

from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from etl.errors import ApiRefused, ApiUnreachable
from etl.extract.snapshot import LIMITS, RunOptions, take_snapshot
from etl.model.records import Baseline, RemovalGrace
from tests.support.lists import SMALL, START, FakeSource


@dataclass
class Stored:
    """Stored favourites; ``asked_since`` records what `at_risk` was asked for."""

    open: Collection[int]
    asked_since: list[datetime | None] = field(default_factory=list)
    settled_until: datetime = START

    def open_tracks(self):
        return self.open

    def settled(self, started_at, grace):
        """Return all of them before ``settled_until``: an earlier snapshot cannot close one."""
        return self.open if started_at < self.settled_until else ()

    def at_risk(self, missing, young_since):
        self.asked_since.append(young_since)
        return ()


class TwoWays(FakeSource):
    """A service whose fresh pages are counted apart. ``refusal``: raised for each of them."""

    def __init__(self, count, refusal=None):
        super().__init__(items=[SMALL[track_id] for track_id in range(1, count + 1)])
        self.asked: list[list[tuple[int, int]]] = [[]]
        self.refusal = refusal

    @contextmanager
    def fresh(self):
        self.asked.append([])
        try:
            yield self
        finally:
            self.is_closed = True

    def favourite_tracks(self, offset, limit):
        self.asked[-1].append((offset, limit))
        if self.refusal and len(self.asked) > 1:
            raise self.refusal
        return super().favourite_tracks(offset, limit)


def snapshot(source, stored, **options):
    return take_snapshot(source, None, stored, RunOptions(concurrency=1, **options), START)


def test_a_confirming_read_is_fresh_and_has_other_limits():
    source = TwoWays(120)
    assert snapshot(source, Stored(range(1, 122))).is_whole
    first, second = source.asked
    assert (first[0], second[0]) == ((0, LIMITS[0][0]), (0, LIMITS[1][0]))
    assert {offset for offset, _ in first[1:3]}.isdisjoint(offset for offset, _ in second)
    assert source.is_closed


def test_a_snapshot_that_lacks_nothing_takes_one_read():
    source = TwoWays(120)
    assert snapshot(source, Stored(range(1, 121))).is_whole
    assert len(source.asked) == 1


def test_a_refused_confirming_read_leaves_a_partial_snapshot():
    source = TwoWays(120, ApiRefused("HTTP 406"))
    found = snapshot(source, Stored(range(1, 122)))
    assert not found.is_whole
    assert found.reason == "HTTP 406"
    assert found.track_ids == tuple(range(1, 121))
    with pytest.raises(ApiUnreachable):
        snapshot(TwoWays(120, ApiUnreachable("no network")), Stored(range(1, 122)))


def test_a_snapshot_dated_after_one_from_the_future_is_confirmed():
    ahead = START + timedelta(days=365)
    baseline = Baseline(1, "succeeded", ahead, ahead, 1, b"", 122, 122, 0)
    source = TwoWays(120)
    stored = Stored(range(1, 122), settled_until=START + timedelta(days=30))
    found = take_snapshot(source, baseline, stored, RunOptions(concurrency=1), START)
    assert found.started_at == ahead
    assert len(source.asked) > 1


def test_young_favourites_are_at_risk_only_without_a_grace():
    at_once, later = Stored({1, 2, 3}), Stored({1, 2, 3})
    snapshot(TwoWays(2), at_once)
    snapshot(TwoWays(2), later, grace=RemovalGrace(timedelta(hours=48), timedelta(days=7)))
    assert set(at_once.asked_since) == {START - timedelta(days=1)}
    assert set(later.asked_since) == {None}


def test_lasting_repeats_are_whole_after_two_reads():
    source = TwoWays(120)
    source.items.insert(70, SMALL[5])
    found = snapshot(source, Stored(range(1, 122)))
    assert found.is_whole
    assert len(source.asked) == 2
    assert found.track_ids == tuple(range(1, 121))


def test_a_call_that_never_returns_is_bounded_by_the_client():
    source = TwoWays(2)
    source.longest_call_seconds = 0
    source.favourite_tracks = lambda offset, limit: never()
    with pytest.raises(ApiUnreachable, match="within 0 s"):
        snapshot(source, Stored(()))


def never():
    """Block the calling thread, which is a daemon."""
    import threading

    threading.Event().wait()

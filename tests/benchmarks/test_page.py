"""The page judges targets from samples: met, missed, or lost in the noise; a view without rows is not timed."""

from __future__ import annotations

import pytest

from benchmarks.measure import Sample
from benchmarks.page import ENGINES, Found, page, verdicts
from benchmarks.view_timings import timings
from etl.db.engine import read_transaction
from etl.db.migrate import ready_engine
from etl.reporting.views import views


def found(first: float, floor: float = 1.0) -> Found:
    """Return a run in which favsync's first load took so long, start apart; everything else took what the floor took."""
    cells = {}
    for engine in ENGINES:
        for tool in ("favsync", "floor"):
            cells[0, engine, tool, "unchanged"] = [Sample(0.5, 0.5, 60)]
            for phase in ("first", "unchanged", "added"):
                seconds = first if (tool, phase) == ("favsync", "first") else floor
                cells[10_000, engine, tool, phase] = [Sample(seconds, 0.5 + seconds, 100, database_mb=5.0)]
    return Found(10_000, 0, 1, cells)


def judged(run: Found) -> dict[str, bool]:
    """Return what is met on SQLite, by target."""
    return {each.target: each.is_met for each in verdicts(run) if each.engine == "sqlite"}


def test_a_target_is_met_up_to_its_limit_and_missed_beyond():
    assert judged(found(2.4))["first load, floors"]
    assert not judged(found(2.6))["first load, floors"]
    assert "**missed**" in page(found(2.6))


def test_a_difference_below_zero_meets_no_target():
    assert not judged(found(2.0, floor=-0.1))["first load, floors"]
    assert not judged(found(-2.0, floor=-1.0))["first load, floors"]
    assert "not seen in the noise" in page(found(-2.0))


def test_the_page_is_at_most_150_lines():
    assert 20 < len(page(found(2.0)).splitlines()) <= 150


def test_a_view_without_rows_is_not_timed(database_url):
    engine = ready_engine(database_url)
    with read_transaction(engine) as connection, pytest.raises(ValueError, match="report_track_changes has no rows"):
        timings(connection, views()["report_track_changes"], "ada")
    engine.dispose()

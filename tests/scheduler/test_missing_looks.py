"""Favourites that are missing bring the next look forward. On both engines."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from etl import clock
from etl.extract import snapshot
from etl.extract.fetch import read_list
from etl.model.records import RemovalGrace
from etl.scheduler.schedule import parse
from etl.sync import RunOptions
from tests.scheduler.test_service import engine, move, sandbox, serving, sync_by_hand, tick
from tests.support.sandbox_accounts import add, next_run, number, open_tracks, outcomes, postpone, settings

__all__ = ["engine", "move", "sandbox", "serving"]

GRACE = RemovalGrace(timedelta(hours=48), timedelta(days=7))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the runs of every service obey `GRACE`, and date them by the clock that `move` moves."""
    configured = RunOptions.configured
    monkeypatch.setattr(snapshot, "read_list", partial(read_list, now=lambda: clock.now()))
    monkeypatch.setattr(
        RunOptions, "configured", lambda config, **more: replace(configured(config, **more), grace=GRACE)
    )


def test_a_missing_favourite_is_looked_for_and_removed(database_url, engine, sandbox, serving, move, waits):
    add(settings(database_url, sandbox), engine, sandbox, "ada", schedule="@monthly")
    tick(serving(), is_last=True)
    sandbox.unfavourite("ada", sandbox.favourites("ada")[3])
    postpone(engine, "ada", clock.now(), schedule="@monthly")
    move(seconds=1)
    for missing in (1, 1, 1, 1, 0):
        tick(serving(), is_last=True)  # the time of the next look survives a restart
        assert len(open_tracks(engine, "ada")) == 29 + missing
        scheduled = parse("@monthly").next_after(clock.now(), number(engine, "ada"))
        look_at = clock.now() + timedelta(hours=12)
        assert next_run(engine, "ada").next_run_at == (min(scheduled, look_at) if missing else scheduled)
        move(hours=12, seconds=1)


def test_a_manual_run_that_misses_a_favourite_hastens_the_next(database_url, engine, sandbox, serving, move, waits):
    config = settings(database_url, sandbox)
    add(config, engine, sandbox, "ada", schedule="@monthly")
    service = serving()
    tick(service)
    sandbox.unfavourite("ada", sandbox.favourites("ada")[3])
    assert (
        sync_by_hand(dataclasses.replace(config, removal_grace=GRACE.removal), engine, RunOptions(grace=GRACE)).missing
        == 1
    )
    tick(service)
    scheduled = parse("@monthly").next_after(clock.now(), number(engine, "ada"))
    assert next_run(engine, "ada").next_run_at == min(scheduled, clock.now() + timedelta(hours=12))


def test_held_removals_bring_no_look_forward(database_url, engine, sandbox, serving, move, waits):
    add(settings(database_url, sandbox), engine, sandbox, "ada", schedule="every 1d")
    service = serving()
    tick(service)
    sandbox.set_favourites("ada", [])
    move(days=1)
    tick(service)
    assert outcomes(engine, "ada")[-1] == "held"
    scheduled = parse("every 1d").next_after(clock.now(), number(engine, "ada"))
    assert next_run(engine, "ada").next_run_at == scheduled

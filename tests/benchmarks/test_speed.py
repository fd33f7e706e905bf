"""What the benchmark makes of its samples, and whom it starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed import costs, plan, targets
from benchmarks.speed.measure import Sample, Taken
from benchmarks.speed.plan import Plan, Tool, hopeless
from etl.db import engine
from etl.load import tracks


def sample(tool: str, phase: str, size: int = 10_000, latency_ms: int = 0, **numbers: Any) -> Sample:
    return Sample(tool, size, "sqlite", latency_ms, phase, **numbers)


def judged(*samples: Sample) -> dict[str, bool | None]:
    found = {(s.tool, s.size, s.engine, s.latency_ms, s.phase): s for s in samples}
    return {each.target: each.is_met for each in targets.judgements(found) if each.engine == "SQLite"}


START = Sample("interpreter", 0, "", 0, "start", cpu_seconds=0.02)


@pytest.mark.parametrize(("ours", "is_met"), [(1.01, True), (1.03, False)])
def test_the_first_load_is_judged_with_the_interpreters_start_apart(ours: float, is_met: bool) -> None:
    found = judged(START, sample("floor", "first", cpu_seconds=0.42), sample("favsync", "first", cpu_seconds=ours))
    assert found["first load: 2.5 × the floor, interpreter's start apart (CPU)"] is is_met
    assert found["unchanged: 1.5 × fetch and hash, interpreter's start apart (CPU)"] is None


@pytest.mark.parametrize(("wall", "is_met"), [(4.37, True), (4.39, False)])
def test_latency_is_judged_by_what_the_pages_must_take(wall: float, is_met: bool) -> None:
    near = sample("favsync", "first", wall_seconds=1.0)
    far = sample("favsync", "first", latency_ms=50, wall_seconds=wall, requests=208)
    words = "first, 50 ms a page: 1.3 × the ideal, and the time on loopback (wall)"
    assert judged(near, far)[words] is is_met
    assert judged(near)[words] is None


def test_a_peer_that_is_faster_anywhere_is_named() -> None:
    ours = [sample("favsync", phase, cpu_seconds=1.0) for phase in ("first", "facts")]
    quick, slow = sample("orm", "first", cpu_seconds=0.9), sample("orm", "facts", cpu_seconds=2.0)
    words = "faster than every peer in every cell (CPU)"
    assert judged(*ours, slow)[words] is True
    assert judged(*ours, slow, quick)[words] is False
    assert judged(*ours, sample("orm", "facts", failure="failed (1)"))[words] is None


class Quiet:
    """Stands in for the service and for the database: it is told, and says nothing of interest."""

    url = ""

    def __init__(self, *_: object) -> None:
        self.address = {"url": "", "token": "", "app_id": ""}

    def tell(self, *_: object) -> int:
        return 0

    def stop(self) -> None:
        pass

    def rows(self) -> int:
        return 0

    def megabytes(self) -> float:
        return 0.0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    commands: list[str] = []

    def timed(command: list[str], *_: object) -> Taken:
        commands.append(command[0])
        return Taken(1.0, 1.0, 1.0, "not done in 10 minutes" if command[0] == "slow" else "")

    for name, fake in (("timed", timed), ("Service", Quiet), ("Database", Quiet), ("STARTS", {})):
        monkeypatch.setattr(plan, name, fake)
    return commands


def planned(**changes: Any) -> Plan:
    tools = [Tool("quick", "", lambda _: ["quick"]), Tool("slow", "", lambda _: ["slow"], is_peer=True)]
    made = Plan(tools, [10, 20], ["sqlite"], [0, 50], plan.PHASES, 2, Path(), "")
    return dataclasses.replace(made, **changes)


def test_who_does_not_end_the_first_load_is_not_started_again_and_every_cell_says_why(started: list[str]) -> None:
    samples = [each for each in planned().samples() if each.tool == "slow"]
    assert started.count("slow") == 1
    assert len(samples) == 2 * 2 * 2 * len(plan.PHASES)
    assert {each.failure for each in samples} == {"not done in 10 minutes", "not done in 10 minutes (at 10)"}
    assert hopeless(samples) == {("slow", "sqlite"): "not done in 10 minutes (at 10)"}


def test_a_phase_that_is_wanted_alone_comes_after_those_that_lead_to_it(started: list[str]) -> None:
    samples = list(planned(phases=["added"], latencies_ms=[50], sizes=[10], runs=1).samples())
    assert [(each.tool, each.phase) for each in samples] == [("quick", "added"), ("slow", "added")]
    assert started == ["quick"] * 3 + ["slow"]


def test_what_is_left_out_is_there_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(any(name in pragma for pragma in engine.PRAGMAS) for name in ("foreign_keys", "journal_mode"))
    assert callable(tracks.insert_versions)
    monkeypatch.setattr(engine, "PRAGMAS", engine.PRAGMAS)
    monkeypatch.setattr(tracks, "insert_versions", tracks.insert_versions)
    for each in costs.LEFT_OUT:
        exec(each.first)
    assert not any("foreign_keys" in pragma for pragma in engine.PRAGMAS)

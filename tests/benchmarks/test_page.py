"""The page judges targets from samples: met, missed, or lost in the noise; a view without rows is not timed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.__main__ import PARTS, Measurement, _options, measure, write
from benchmarks.growth import Growth
from benchmarks.measure import ENGINES, REPEATED, Sample, timed
from benchmarks.page import page, verdicts
from benchmarks.samples import Entry, Found, Invocation, Key, SampleFile
from benchmarks.view_timings import timings
from etl.db.engine import read_transaction
from etl.db.migrate import ready_engine
from etl.reporting.views import views

BEGUN = datetime(2026, 11, 30, 9, tzinfo=UTC)
IDLE = Invocation(BEGUN, 0.1, 60.0)


def found(first: float, floor: float = 1.0) -> Found:
    """Return a run in which favsync's first load took so long, start apart; everything else took what the floor took."""
    made = Found(Key("abc", "machine", 10_000, 0), {"rounds": IDLE})
    for engine in ENGINES:
        for tool in ("favsync", "floor"):
            for phase in ("first", "unchanged", "added"):
                seconds = first if (tool, phase) == ("favsync", "first") else floor
                sample = Sample(seconds, seconds + (0.5 if tool == "favsync" else 0.0), 100, database_mb=5.0)
                made.cells[10_000, engine, tool, phase].append(sample)
                made.cells[10_000, engine, tool, REPEATED + phase].append(Sample(seconds, seconds, 0))
    return made


def judged(run: Found) -> dict[str, bool]:
    """Return what is met on SQLite, by target."""
    return {each.target: each.is_met for each in verdicts(run) if each.engine == "sqlite"}


def test_a_target_is_met_up_to_its_limit_and_missed_beyond():
    assert judged(found(2.4))["first load, floor's"]
    assert not judged(found(2.6))["first load, floor's"]
    assert "**missed**" in page(found(2.6))


def test_the_page_is_at_most_150_lines():
    assert 20 < len(page(found(2.0)).splitlines()) <= 150


def test_a_round_in_which_one_tool_failed_is_not_judged():
    run = found(2.0)
    cell = (10_000, "sqlite", "floor", "first")
    run.cells[cell].append(Sample(9, 9, 9, failure="failed (1)", turn=1))
    run.cells[10_000, "sqlite", "favsync", REPEATED + "first"].append(Sample(9, 99, 9, turn=1))
    verdict = next(each for each in verdicts(run) if each.target == "first load, floor's")
    assert (verdict.found, verdict.rounds) == (2.0, 1)
    run.cells[cell].clear()
    assert "first load, floor's" not in judged(run)
    assert page(run)


def test_the_page_says_if_the_machine_was_busy():
    run = found(2.0)
    assert "the machine was idle" in page(run)
    run.parts["growth"] = Invocation(BEGUN, 0.8, 60.0)
    assert "0.80 for each processor; **the machine was busy**" in page(run)


def entry(part: str, by: Invocation, commit: str = "abc", **what: Any) -> Entry:
    return Entry(Key(commit, "machine", 10_000, 30), by, part, **what)


def test_a_page_is_made_of_the_newest_samples_of_one_commit(tmp_path):
    later, cell = Invocation(BEGUN + timedelta(hours=2), 0.1, 60.0), (10_000, "sqlite", "dlt", "first")
    file = SampleFile(tmp_path / "folder" / "samples.jsonl", entry("peers", IDLE).key)
    file.add(entry("growth", IDLE, growth=Growth(1, 1, 1, 1, 1, 1, 1), engine="sqlite"))
    file.add(entry("peers", IDLE, cell=cell, sample=Sample(1, 1, 1)))
    file.add(entry("peers", later, cell=cell, sample=Sample(2, 2, 2)))
    file.add(entry("peers", later, failure="no time was left for the rest"))
    file.add(entry("peers", later, "def", cell=cell, sample=Sample(3, 3, 3)))
    with (tmp_path / "folder" / "samples.jsonl").open("a") as text:
        text.write('{"key": {"comm')  # cut off
    run = file.found()
    assert run.cells[cell] == [Sample(2, 2, 2)]
    assert list(run.growth) == ["sqlite"]
    assert "*growth* is 2.0 hours older" in page(run)
    assert "**peers is not whole**: no time was left for the rest." in page(run)


def broken(_self: Measurement) -> Iterator[Any]:
    yield {"engine": "sqlite", "growth": Growth(1, 1, 1, 1, 1, 1, 1)}
    raise OSError("the disk is full")


def test_a_part_that_fails_leaves_the_others(tmp_path, monkeypatch):
    monkeypatch.setitem(PARTS, "growth", broken)
    monkeypatch.setattr("benchmarks.__main__.GRACES", ["grace 0"])  # removals that wait take two days of syncs
    options = _options(["--quick", "--only", "growth,removals"])
    samples = SampleFile(tmp_path / "samples.jsonl", entry("growth", IDLE).key)
    assert not measure(options, samples, tmp_path, "")
    run = samples.found()
    assert run.failures == {"growth": "OSError: the disk is full"}
    assert list(run.growth) == ["sqlite"]
    assert len(run.removals) == 2


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path):
    target = tmp_path / "page.md"
    write(target, found(2.0))
    before = target.read_text()
    with pytest.raises(ValueError, match="empty"):
        write(target, Found(Key("abc", "machine", 1, 1)))
    assert target.read_text() == before
    assert list(tmp_path.iterdir()) == [target]


def test_ctrl_c_leaves_no_measured_process_behind(tmp_path, monkeypatch):
    wait, pids = os.waitpid, []

    def interrupted(pid: int, _options: int) -> None:
        pids.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "wait4", interrupted)
    with pytest.raises(KeyboardInterrupt):
        timed(["sleep", "600"], {"PATH": os.environ["PATH"]}, tmp_path / "log")
    assert os.waitstatus_to_exitcode(wait(pids[0], 0)[1]) == -signal.SIGKILL


def test_a_view_without_rows_is_not_timed(database_url):
    engine = ready_engine(database_url)
    with read_transaction(engine) as connection, pytest.raises(ValueError, match="report_track_changes has no rows"):
        timings(connection, views()["report_track_changes"], "ada")
    engine.dispose()

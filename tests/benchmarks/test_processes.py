"""A process that syncs repeatedly measures each phase, in lists of one length."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.measure import PHASES, REPEATED
from benchmarks.processes import TIMES, Processes

SIZE = 120


@pytest.mark.parametrize("tool", ["favsync", "floor", "floor-httpx"])
def test_each_phase_is_measured_without_start(tool: str, tmp_path: Path) -> None:
    with Processes(tmp_path, "", tmp_path, math.inf) as processes:
        samples = dict(processes.repeated(SIZE, "sqlite", tool))
    assert [*samples] == [REPEATED + phase for phase in PHASES]
    assert all(sample.cpu_seconds > 0 and not sample.failure for sample in samples.values())
    for name in ("practice", "measured"):
        with closing(sqlite3.connect(tmp_path / f"database_{name}" / f"{name}.db")) as database:
            assert database.execute("SELECT count(*) FROM favourites").fetchone() == (SIZE + TIMES,)
            if tool == "favsync":
                runs = database.execute("SELECT added FROM runs ORDER BY run_id").fetchall()
                assert runs == [(SIZE,), *[(0,), (1,)] * TIMES]

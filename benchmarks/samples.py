"""The samples of measurements as JSON lines, so that parts can be measured one by one and a page is made of one commit's.

A part that is measured again replaces its earlier samples. Samples of another commit, machine or size are left out of a page.
"""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from benchmarks.growth import Growth
from benchmarks.measure import Sample
from benchmarks.removal_requests import Removal

ROOT = Path(__file__).parent.parent
MEASURED_FOLDERS = ("etl", "migrations", "benchmarks", "requirements")
Cell = tuple[int, str, str, str]
"""Size, engine, tool, phase."""


class Key(msgspec.Struct, frozen=True):
    """What all samples of a page share. ``commit``: the last that changed what is measured."""

    commit: str
    machine: str
    size: int
    days: int


class Invocation(msgspec.Struct, frozen=True):
    """When a program began to measure, how busy each processor was then, and its own memory."""

    began: datetime
    load: float
    own_mb: float


class Entry(msgspec.Struct, omit_defaults=True):
    """One line of the file: a sample of a part, or why the part is not whole."""

    key: Key
    by: Invocation
    part: str
    cell: Cell | None = None
    sample: Sample | None = None
    engine: str = ""
    growth: Growth | None = None
    removal: Removal | None = None
    failure: str = ""


@dataclass
class Found:
    """What a page shows: the newest samples of each part."""

    key: Key
    parts: dict[str, Invocation] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    cells: dict[Cell, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    growth: dict[str, Growth] = field(default_factory=dict)
    removals: list[Removal] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add one line."""
        self.parts[entry.part] = entry.by
        if entry.failure:
            self.failures[entry.part] = entry.failure
        if entry.cell and entry.sample:
            self.cells[entry.cell].append(entry.sample)
        if entry.growth:
            self.growth[entry.engine] = entry.growth
        if entry.removal:
            self.removals.append(entry.removal)

    def done(self, cell: Cell) -> list[Sample]:
        """Return a cell's samples without those that failed."""
        return [sample for sample in self.cells.get(cell, ()) if not sample.failure]

    def median(self, name: str, cell: Cell) -> float | None:
        """Return the median of one attribute of a cell's samples, or None."""
        values = [getattr(sample, name) for sample in self.done(cell)]
        return statistics.median(values) if values else None

    def by_round(self, name: str, cell: Cell) -> dict[int, float]:
        """Return one attribute of a cell's samples by round."""
        return {sample.turn: getattr(sample, name) for sample in self.done(cell)}


class SampleFile:
    """The file, for one key."""

    def __init__(self, path: Path, key: Key) -> None:
        self._path, self.key = path, key

    def add(self, entry: Entry) -> None:
        """Append a line at once: what is measured stays, whatever comes after."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")

    def found(self) -> Found:
        """Return the newest samples of each part of this key."""
        entries = list(self._entries())
        newest: dict[str, datetime] = {}
        for entry in entries:
            newest[entry.part] = max(entry.by.began, newest.get(entry.part, entry.by.began))
        found = Found(self.key)
        for entry in entries:
            if entry.by.began == newest[entry.part]:
                found.add(entry)
        return found

    def _entries(self) -> Iterator[Entry]:
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError:
                continue  # of another version of this program, or cut off
            if entry.key == self.key:
                yield entry


def key_of(size: int, days: int) -> Key:
    """Return the key of what this machine measures now. Changes that are not committed count as a commit of their own."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", *command, "--", *MEASURED_FOLDERS], cwd=ROOT, capture_output=True, check=False)
        return done.stdout.decode().strip()

    commit, changes = git("log", "-1", "--format=%h"), git("diff", "HEAD")
    if changes:
        commit += f" with changes {hashlib.blake2b(changes.encode(), digest_size=4).hexdigest()}"
    machine = " ".join((platform.node(), platform.platform(), str(os.cpu_count()), platform.python_version()))
    return Key(commit or "unknown", machine, size, days)

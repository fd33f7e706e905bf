"""What trials counted, kept in a file of JSON lines, so that a long measurement can be broken off and go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.hostile.trials import Tally


class Kept:
    """The counts of one tool's trials of one seed; without a path nothing is kept."""

    def __init__(self, path: Path | None, tool: str, seed: int) -> None:
        self._path = path
        self._of = {"tool": tool, "seed": seed}

    def played(self) -> Iterator[tuple[str, int, Tally]]:
        """Yield scenario, number and counts of each trial that is in the file."""
        if self._path is None or not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if {name: told[name] for name in self._of} == self._of:
                yield told["scenario"], told["number"], Tally(**told["tally"])

    def add(self, scenario: str, number: int, tally: Tally) -> None:
        """Write down what one trial counted."""
        if self._path is not None:
            told = {**self._of, "scenario": scenario, "number": number, "tally": asdict(tally)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")

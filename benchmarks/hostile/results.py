"""What trials count, the file that keeps the counts, and their tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

ALL = "**all**"


@dataclass
class Tally:
    """The sums over trials; `benchmarks.hostile.trials` and `days` define the counts. ``messages``: one for each error."""

    trials: int = 0
    runs: int = 0
    removals: int = 0
    false: int = 0
    bounds: int = 0
    missed: int = 0
    waiting: int = 0
    late: int = 0
    lacking: int = 0
    held: int = 0
    requests: int = 0
    messages: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add another's counts."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


Tallies = Mapping[str, Tally]


class ResultsFile:
    """The tallies of one tool's trials of one seed as JSON lines, so that a measurement can be resumed."""

    def __init__(self, path: Path | None, tool: str, seed: int) -> None:
        self._path = path
        self._key = {"tool": tool, "seed": seed}

    def read(self) -> Iterator[tuple[str, int, Tally]]:
        """Yield scenario, number and tally of each trial in the file."""
        if self._path is None or not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            if {name: found[name] for name in self._key} == self._key:
                yield found["scenario"], found["number"], Tally(**found["tally"])

    def add(self, scenario: str, number: int, tally: Tally) -> None:
        """Append one trial's tally."""
        if self._path is not None:
            row = {**self._key, "scenario": scenario, "number": number, "tally": asdict(tally)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def table(title: str, tallies: Tallies, columns: Sequence[str]) -> str:
    """Return one tool's table in Markdown: a row for each scenario, and one for all."""
    head = f"| scenario | {' | '.join((*columns, 'requests/run'))} |\n|---|{'---:|' * (len(columns) + 1)}"
    rows = []
    for scenario, tally in with_all(tallies).items():
        cells = [f"{getattr(tally, name):,}" for name in columns]
        rows.append(f"| {scenario} | {' | '.join(cells)} | {tally.requests / max(tally.runs, 1):.1f} |")
    return "\n".join([title, "", head, *rows])


def side_by_side(tools: Mapping[str, Tallies]) -> str:
    """Return one table of several tools; each cell holds a number for each of them, in the order of ``tools``."""
    whole = {name: with_all(tallies) for name, tallies in tools.items()}
    head = "| scenario | runs | false removals | missed | late | requests/run |\n|---|---:|---:|---:|---:|---:|"
    rows = []
    for scenario in next(iter(whole.values())):
        each = [tallies[scenario] for tallies in whole.values()]
        counts = [[tally.runs, tally.false, tally.missed, tally.late] for tally in each]
        cells = [" / ".join(f"{count:,}" for count in column) for column in zip(*counts, strict=True)]
        cells.append(" / ".join(f"{tally.requests / max(tally.runs, 1):.1f}" for tally in each))
        rows.append(f"| {scenario} | {' | '.join(cells)} |")
    return "\n".join([f"Each cell: {' / '.join(tools)}", "", head, *rows])


def with_all(tallies: Tallies) -> dict[str, Tally]:
    """Return ``tallies`` with their sum at the end."""
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    return {**tallies, ALL: total}

"""What trials count, the file that keeps the counts, and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec

ALL = "**all**"


@dataclass
class Tally:
    """The sums over trials; `benchmarks.hostile.trials` defines the counts. ``messages``: one for each error."""

    trials: int = 0
    runs: int = 0
    removals: int = 0
    false: int = 0
    missed: int = 0
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


class Row(msgspec.Struct):
    """One line of the file: a trial."""

    tool: str
    seed: int
    scenario: str
    number: int
    tally: Tally


class ResultsFile:
    """The tallies of one tool's trials of one seed as JSON lines, so that a measurement can be resumed."""

    def __init__(self, path: Path | None, tool: str, seed: int) -> None:
        self._path, self._tool, self._seed = path, tool, seed

    def read(self) -> Iterator[tuple[str, int, Tally]]:
        """Yield scenario, number and tally of each trial in the file."""
        lines = self._path.read_bytes().splitlines() if self._path and self._path.exists() else []
        for row in (msgspec.json.decode(line, type=Row) for line in lines):
            if (row.tool, row.seed) == (self._tool, self._seed):
                yield row.scenario, row.number, row.tally

    def add(self, scenario: str, number: int, tally: Tally) -> None:
        """Append one trial's tally."""
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(Row(self._tool, self._seed, scenario, number, tally)) + b"\n")


def tallies_of(trials: Iterable[tuple[str, int, Tally]], scenarios: Iterable[str]) -> dict[str, Tally]:
    """Return the sums of trials by scenario, in the order of ``scenarios``."""
    tallies = {scenario: Tally() for scenario in scenarios}
    for scenario, _, tally in trials:
        tallies[scenario].add(tally)
    return tallies


def table(title: str, tools: Mapping[str, Tallies], columns: Mapping[str, str]) -> str:
    """Return a table in Markdown: a row for each scenario, and one for all.

    Each cell holds a number for each tool, in the order of ``tools``. ``columns``: the attributes, by their heading.
    """
    rows = [title, "", f"| scenario | {' | '.join((*columns, 'requests/run'))} |"]
    rows.append("|---|" + "---:|" * (len(columns) + 1))
    whole = [with_all(tallies) for tallies in tools.values()]
    for scenario in whole[0]:
        each = [tallies[scenario] for tallies in whole]
        cells = [" / ".join(f"{getattr(tally, name):,}" for tally in each) for name in columns.values()]
        cells.append(" / ".join(f"{tally.requests / max(tally.runs, 1):.1f}" for tally in each))
        rows.append(f"| {scenario} | {' | '.join(cells)} |")
    return "\n".join(rows)


def with_all(tallies: Tallies) -> dict[str, Tally]:
    """Return ``tallies`` with their sum at the end."""
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    return {**tallies, ALL: total}

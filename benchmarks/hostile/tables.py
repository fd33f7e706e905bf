"""The tables that docs/trust.md and the README show, from what trials add up to."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.hostile.trials import Tally

COLUMNS = ("runs", "removals", "false", "missed", "late", "lacking", "held", "requests/run")
Tallies = Mapping[str, Tally]


def table(title: str, tallies: Tallies) -> str:
    """Return one tool's table in Markdown: a row for each scenario, and one for all."""
    head = f"| scenario | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}"
    rows = [_row(scenario, tally) for scenario, tally in with_all(tallies).items()]
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
    return {**tallies, "**all**": total}


def _row(scenario: str, tally: Tally) -> str:
    cells = (tally.runs, tally.removals, tally.false, tally.missed, tally.late, tally.lacking, tally.held)
    return f"| {scenario} | {' | '.join(f'{cell:,}' for cell in cells)} | {tally.requests / max(tally.runs, 1):.1f} |"

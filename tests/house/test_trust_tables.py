"""The measurements that README and docs/trust.md show are the same ones, whole, and say what the README claims of them."""

from __future__ import annotations

import re

from benchmarks.hostile.trials import ALL_SCENARIOS
from tests.house.source import ROOT

TOOLS = 3
Row = dict[str, str]


def tables(text: str, *columns: str) -> list[dict[str, Row]]:
    """Return every Markdown table with these first columns: its rows by their first cell, each by column."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines())
        if head[: len(columns)] == list(columns):
            found.append({row[0]: dict(zip(head, row, strict=True)) for row in rows})
    return found


README = tables((ROOT / "README.md").read_text(encoding="utf-8"), "scenario", "runs", "false removals")
MEASURED = tables((ROOT / "docs" / "trust.md").read_text(encoding="utf-8"), "scenario", "runs", "removals")


def test_the_readme_shows_what_was_measured() -> None:
    (shown,) = README
    for scenario, row in shown.items():
        for column, theirs in (("runs", "runs"), ("false removals", "false"), ("missed", "missed"), ("late", "late")):
            assert row[column].split(" / ") == [tool[scenario][theirs] for tool in MEASURED[:TOOLS]], (scenario, column)
        assert row["requests/run"].split(" / ") == [tool[scenario]["requests/run"] for tool in MEASURED[:TOOLS]]


def test_every_scenario_was_measured_and_sums_are_right() -> None:
    assert len(MEASURED) > TOOLS
    for tool in (*README, *MEASURED):
        assert set(tool) == {*ALL_SCENARIOS, "**all**"}
    for tool in MEASURED:
        for column in ("runs", "removals", "false", "missed", "late", "lacking", "held"):
            counts = {scenario: int(row[column].replace(",", "")) for scenario, row in tool.items()}
            assert counts.pop("**all**") == sum(counts.values())


def test_favsync_was_never_wrong_in_ten_thousand_runs() -> None:
    everything = MEASURED[0]["**all**"]
    assert int(everything["runs"].replace(",", "")) >= 10_000
    assert (everything["false"], everything["missed"], everything["lacking"]) == ("0", "0", "0")

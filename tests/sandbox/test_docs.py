from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from etl.sandbox import DIRT, FAULTS, POSITIONS, SCENARIOS, Sandbox, Switches
from tests.sandbox.bench import Open

PAGE = Path(__file__).parents[2].joinpath("docs", "sandbox.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ORDERS = re.findall(r"_sandbox/(\w+) +-d '(.*?)'", PAGE)


def named_in(section: str) -> set[str]:
    """Return every word in code marks of a section, and of those below it."""
    depth = section.partition(" ")[0]
    text = re.split(rf"^#{{1,{len(depth)}}} ", PAGE.partition(f"\n{section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r"`([\w/]+)`", text))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_pages_examples_run(example: str) -> None:
    exec(example, {})


def test_every_switch_and_position_is_on_the_page() -> None:
    positions = {position for several in POSITIONS.values() for position in several}
    assert {field.name for field in fields(Switches)} | positions <= named_in("## Switches")


def test_the_page_names_the_defaults() -> None:
    for name, positions in POSITIONS.items():
        assert getattr(Switches(), name) == positions[0]


def test_every_dirty_row_is_on_the_page() -> None:
    assert named_in("### Dirt") >= DIRT.keys()


def test_every_fault_is_on_the_page() -> None:
    assert named_in("## Faults") >= FAULTS.keys()


def test_every_scenario_is_on_the_page_with_its_description() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| [\d.]* ?\| (.*) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == SCENARIOS.keys()
    for name, description in SCENARIOS.items():
        assert rows[name].startswith(description)


def test_everything_that_a_sandbox_offers_is_on_the_page() -> None:
    offered = {name for name in vars(Sandbox) if not name.startswith("_")}
    written = set(re.findall(r"\w+", PAGE))
    assert offered - written <= {"start", "stop"}


@pytest.mark.parametrize(("name", "body"), ORDERS)
def test_the_pages_orders_are_accepted(opened: Open, name: str, body: str) -> None:
    bench = opened(tracks=5)
    if name in ("move", "unfavourite"):
        bench.sandbox.favourite("ada", 54230705)
    assert bench.http.post(f"/_sandbox/{name}", content=body).status_code == 200

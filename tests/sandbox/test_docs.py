from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from etl.sandbox import FAULTS, MALFORMED_ROWS, POSITIONS, SCENARIOS, Distortion, Sandbox, Switches
from tests.sandbox.service import Service

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


def test_the_page_lists_every_switch_row_and_fault() -> None:
    positions = {position for several in POSITIONS.values() for position in several}
    assert {field.name for field in fields(Switches)} | positions <= named_in("## Switches")
    assert named_in("### Malformed rows") >= MALFORMED_ROWS.keys()
    assert named_in("## Faults") >= FAULTS.keys()
    assert named_in("## Services that are consistently wrong") >= {field.name for field in fields(Distortion)}
    for name, several in POSITIONS.items():
        assert getattr(Switches(), name) == several[0]


def test_the_page_describes_every_scenario() -> None:
    tables = PAGE[PAGE.index("\n## Scenarios") : PAGE.index("\n## Switches")]
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:[\d.]* ?\| )?(.*) \|$", tables, re.MULTILINE))
    assert rows.keys() >= SCENARIOS.keys()
    for name, description in SCENARIOS.items():
        assert rows[name].startswith(description)


def test_the_page_names_all_that_a_sandbox_offers() -> None:
    internal = {"list_of", "rng", "count", "change_list", "next_fault", "active_distortion"}
    offered = {name for kind in Sandbox.__mro__[:2] for name in vars(kind) if not name.startswith("_")}
    assert offered - set(re.findall(r"\w+", PAGE)) <= {"start", "stop", *internal}


@pytest.mark.parametrize(("name", "body"), ORDERS)
def test_the_pages_orders_are_accepted(name: str, body: str) -> None:
    service = Service(tracks=5)
    if name == "unfavourite":
        service.sandbox.favourite("ada", 54230705)
    assert service.post(f"/_sandbox/{name}", body.encode()).status == 200

"""Sizes, names and docstrings of the code.

`PENDING` constants list what does not follow a rule yet. Remove an entry once it does; never add one.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, Function, functions, modules, nodes, place, tree

MODULE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 5
TEST_NAME_LENGTH = 60
LARGER: dict[str, str] = {}
"""Modules and functions ("file::name") over the limit, each with its reason."""

PENDING_PARAMETERS = {
    "etl/db/bulk.py::insert", "etl/db/bulk.py::select_in",
    "etl/load/raw.py::_store", "etl/load/raw.py::store_items",
    "etl/load/tracks.py::_write_batch",
}  # fmt: skip

# A revision of the database is a transcript, never edited, and not measured.
OURS = [*modules("etl", "tests", "tools", "benchmarks"), *(p for p in modules("migrations") if p.name == "env.py")]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(body: list[ast.stmt]) -> Iterator[Definition]:
    """Yield the public classes and functions, and the public methods of those classes."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def is_documented_elsewhere(node: Definition) -> bool:
    """True for an override, an overload and a setter."""
    return any(ast.unparse(mark).endswith(("override", "overload", ".setter")) for mark in node.decorator_list)


def parameters(node: Function) -> int:
    """Return the number of parameters, without self and cls. A click command has one for each option: 0."""
    if any(re.search(r"\.(command|option|argument)\(", ast.unparse(mark)) for mark in node.decorator_list):
        return 0
    named = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
    return len(named) + len(node.args.kwonlyargs) - (named[:1] in (["self"], ["cls"]))


def test_modules_and_functions_keep_to_their_limits() -> None:
    lengths = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in OURS}
    found = {name: lines for name, lines in lengths.items() if lines > MODULE_LINES}
    for path in OURS:
        for node in functions(path):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION_LINES:
                found[f"{place(path)}::{node.name}"] = lines
    assert found.keys() == LARGER.keys(), found


def test_functions_have_at_most_five_parameters() -> None:
    found = [
        f"{place(path)}::{node.name}"
        for path in modules("etl")
        for node in functions(path)
        if parameters(node) > PARAMETERS
    ]
    assert not set(found) - PENDING_PARAMETERS, "pass a frozen record"


def test_class_names_are_unique_in_the_package() -> None:
    places = defaultdict(list)
    for path in modules("etl"):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(place(path, node))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_every_module_and_public_name_has_a_docstring() -> None:
    missing = [place(path) for path in modules("etl") if not ast.get_docstring(tree(path))]
    missing += [
        f"{place(path, node)} {node.name}"
        for path in modules("etl")
        for node in public(tree(path).body)
        if not ast.get_docstring(node) and not is_documented_elsewhere(node)
    ]
    assert not missing


@pytest.mark.parametrize(
    "entry", sorted(path.name for path in (ROOT / "tests").iterdir() if path.suffix in ("", ".py"))
)
def test_test_names_are_short(entry: str) -> None:
    path = ROOT / "tests" / entry
    paths: list[Path] = modules(f"tests/{entry}") if path.is_dir() else [path]
    names = [node.name for each in paths for node in functions(each) if node.name.startswith("test_")]
    assert not [name for name in names if len(name) > TEST_NAME_LENGTH]

"""Small rooms with a sign on each door: sizes and docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house.source import modules, place, tree

MODULE_LINES = 350
FUNCTION_LINES = 50
# Each with its reason. A revision of the database is not here: it is a transcript, never edited, and not measured.
LARGER: dict[str, str] = {
    "etl/backfill/json_format.py": "one export format after the other, all answering one call",
    "tests/test_logs.py": "one table of what must never show",
    "tests/scheduler/test_service.py": "one service, whose days share their set-up",
    "tests/accounts/test_credentials.py": "one token, in all its states",
}

OURS = [path for path in modules("etl", "tests", "tools", "benchmarks") if "peers" not in path.parts] + [
    path for path in modules("migrations") if path.name == "env.py"
]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of the module, inner ones too."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def public(body: list[ast.stmt]) -> Iterator[Definition]:
    """Yield the public classes and functions, and the public methods of those classes."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def speaks_for_itself(node: Definition) -> bool:
    """Say whether what it does is told elsewhere: an override, an overload, a setter."""
    return any(ast.unparse(mark).endswith(("override", "overload", ".setter")) for mark in node.decorator_list)


def test_a_module_fits_in_the_head() -> None:
    lengths = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in OURS}
    assert not {name: lines for name, lines in lengths.items() if lines > MODULE_LINES and name not in LARGER}


def test_a_function_fits_on_the_screen() -> None:
    long = [
        f"{place(path, node)} {node.name}: {lines} lines"
        for path in OURS
        for node in functions(path)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
        and f"{place(path)}::{node.name}" not in LARGER
    ]
    assert not long


def test_every_exception_is_still_there() -> None:
    named = {place(path) for path in OURS} | {
        f"{place(path)}::{node.name}" for path in OURS for node in functions(path)
    }
    assert set(LARGER) <= named


def test_every_module_says_what_it_is_for() -> None:
    assert not [place(path) for path in modules("etl") if not ast.get_docstring(tree(path))]


def test_everything_public_says_what_it_does() -> None:
    silent = [
        f"{place(path, node)} {node.name}"
        for path in modules("etl")
        for node in public(tree(path).body)
        if not ast.get_docstring(node) and not speaks_for_itself(node)
    ]
    assert not silent

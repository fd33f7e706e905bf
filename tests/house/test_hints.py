"""Commands that favsync prints, in backquotes: a name in them must reach the shell as one word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.source import modules, place, tree

SAFE = re.compile(r"^(shlex\.)?(quote|join)\(|run_id|^later$|^newest$|VERBS\[|^quoted$|^option$")
"""Quoted, a number, an instant or a word of favsync's own."""


def unquoted(module: ast.AST) -> Iterator[tuple[ast.JoinedStr, str]]:
    """Yield the values in commands of f-strings that a shell could split or expand."""
    for node in ast.walk(module):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
            elif isinstance(part, ast.FormattedValue):
                text = ast.unparse(part.value)
                is_command = before.count("`") % 2 == 1 and before.rpartition("`")[2].startswith("favsync ")
                if is_command and part.format_spec is None and not SAFE.search(text):
                    yield node, text
                before += "…"


@pytest.mark.parametrize(("code", "count"), [("f'`favsync sync {name}`'", 1), ("f'{name}: `favsync sync`, {name}'", 0)])
def test_an_unquoted_name_in_a_command_is_found(code: str, count: int) -> None:
    assert len(list(unquoted(ast.parse(code)))) == count


def test_printed_commands_quote_the_names_in_them() -> None:
    found = [f"{place(path, node)} {text}" for path in modules("etl") for node, text in unquoted(tree(path))]
    assert not found

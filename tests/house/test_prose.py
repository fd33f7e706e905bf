"""Words of docstrings and comments, and references to documents."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, functions, modules, nodes, place, tracked_files

BANNED = re.compile(
    r"\b(tells?|told|telling|mend(s|ed|ing)?|whoever|nobody|spells?|spelt|begun|lean|lack(s|ed|ing)?|re?folds?|fold(s|ed)"
    r"|judge[sd]?|stor(y|ies)|twins?|orphans?|house|rooms?|doors?|news|stands?(?! in|-in)|stood|walk(s|ed|ing)?"
    r"|(come|comes|came) to|say(s|ing)? whether|gives?|not here:)\b",
    re.IGNORECASE,
)
NEW_USERS_READ = ("README.md", "docs/cheatsheet.md", "docs/favsync.1", "docs/settings.md")

OUTSIDE_DOCUMENT = re.compile(
    r"\((api|design|plan|spec|brief|research) (section )?\d|\blessons? L\d|\b(design|plan) section \d"
)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every docstring and comment of a module with its line."""
    for node in nodes(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""
    with tokenize.open(path) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def banned(path: Path) -> list[str]:
    """Return where the module has a banned word."""
    return [f"{place(path)}:{line} {found[0]}" for line, text in prose(path) for found in BANNED.finditer(text)]


@pytest.mark.parametrize("entry", sorted(path.name for path in (ROOT / "etl").iterdir() if path.suffix in ("", ".py")))
def test_docstrings_and_comments_use_plain_words(entry: str) -> None:
    path = ROOT / "etl" / entry
    found = [each for module in ([path] if path.is_file() else modules(f"etl/{entry}")) for each in banned(module)]
    assert not found


@pytest.mark.parametrize("name", NEW_USERS_READ)
def test_what_new_users_read_has_plain_words(name: str) -> None:
    text = re.sub(r"\[[^\]]*\]\([^)]*\)|`[^`]*`|mid_walk_changes", "", (ROOT / name).read_text(encoding="utf-8"))
    assert not BANNED.findall(text)


@pytest.mark.parametrize("text", ["What is told of it.", "Say whether it is due.", "Whose turn it is: nobody's"])
def test_a_banned_word_is_found(text: str) -> None:
    assert BANNED.search(text)


def test_no_file_refers_to_a_document_outside_the_repository() -> None:
    documents = {path.name for path in tracked_files() if path.suffix == ".md"}
    lost = []
    for path in tracked_files():
        if path.suffix not in (".py", ".md") or path == Path(__file__):
            continue
        text = " ".join(path.read_text(encoding="utf-8").split())
        lost += [f"{place(path)}: {found[0]}" for found in OUTSIDE_DOCUMENT.finditer(text)]
        lost += [f"{place(path)}: {name}" for name in re.findall(r"`([\w-]+\.md)`", text) if name not in documents]
    assert not lost


@pytest.mark.parametrize("text", ["(api 8, row 21)", "(api 2.1)", "as in design section 3", "see lesson L4"])
def test_a_reference_to_a_missing_document_is_found(text: str) -> None:
    assert OUTSIDE_DOCUMENT.search(text)


def test_every_test_that_a_guard_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)`: `(test_\w+)`", (ROOT / "docs" / "trust.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    missing = [
        (path, name) for path, name in named if name not in {node.name for node in functions(ROOT / "tests" / path)}
    ]
    assert not missing

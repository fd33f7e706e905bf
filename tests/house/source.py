"""The source files, parsed once, for the tests of house rules."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    """Return the parsed module."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of the module."""
    return tuple(ast.walk(tree(path)))


def modules(*folders: str) -> list[Path]:
    """Return every Python file under the folders, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[Function]:
    """Yield every function of the module, inner ones too."""
    return (node for node in nodes(path) if isinstance(node, Function))


def place(path: Path, node: ast.AST | None = None) -> str:
    """Return the file, relative to the repository, and the line."""
    line = f":{node.lineno}" if node is not None and hasattr(node, "lineno") else ""
    return f"{path.relative_to(ROOT)}{line}"


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield the full name of everything that the module imports (``from a import b`` is ``a.b``), late imports too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


@cache
def attributes(path: Path) -> tuple[tuple[str, ast.AST], ...]:
    """Return every dotted name that the module uses (``os.environ``)."""
    return tuple(
        (ast.unparse(node), node) for node in nodes(path) if isinstance(node, ast.Attribute) and is_dotted(node)
    )


def is_dotted(node: ast.expr) -> bool:
    """True for names and attributes of names, not for attributes of calls and other expressions."""
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and is_dotted(node.value))


def tracked_files() -> list[Path]:
    """Return the files that are, or would be, in the repository; all files where this is no git checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = [name for name in listing.stdout.decode().split("\0") if name]
    found = [ROOT / name for name in names] if listing.returncode == 0 else list(ROOT.rglob("*"))
    return [path for path in found if path.is_file() and ".venv" not in path.parts]

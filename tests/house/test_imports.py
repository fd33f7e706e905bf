"""Import rules: layers, pure packages, the owners of clock and environment, late imports, public APIs of libraries."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.house.source import ROOT, attributes, functions, imports, modules, nodes, place

PURE = {
    "__future__", "abc", "array", "bisect", "collections", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions",
    "functools", "hashlib", "heapq", "itertools", "json", "math", "msgspec", "operator", "re", "shlex", "string", "sys", "types",
    "typing", "unicodedata", "zlib",
}  # fmt: skip
CLOCKS = {
    f"{owner}.{name}"
    for owner in ("datetime", "datetime.datetime")
    for name in ("now", "utcnow", "today", "fromtimestamp")
} | {"date.today", "datetime.date.today"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"}
LATE_IMPORTS = 30  # functions: what only some verbs need and is slow to import
PUBLIC_UNDERSCORE = {
    "_mapping",
    "_asdict",
    "_fields",
    "_replace",
}  # documented, as SQLAlchemy's Row and namedtuple have them


def uses(paths: Iterable[Path], names: set[str]) -> list[str]:
    """Return where any of the dotted names is used or imported."""
    return [
        f"{place(path, node)} {name}"
        for path in paths
        for name, node in [*attributes(path), *imports(path)]
        if name in names
    ]


def test_imports_follow_the_layers() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert " 0 broken." in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.returncode == 0


def test_pure_packages_import_no_input_or_output() -> None:
    reading = ("pagination", "unordered_pagination", "filtered_pagination", "remainder")
    decisions = (*reading, "completeness", "confirmation")
    pure = [*modules("etl/model", "etl/transform"), ROOT / "etl/errors.py"]
    pure += [ROOT / f"etl/extract/{name}.py" for name in decisions]
    assert not [f"{place(path, node)} {name}" for path in pure for name, node in imports(path) if not is_pure(name)]


def is_pure(name: str) -> bool:
    """True if a pure package may import this."""
    return name.split(".", maxsplit=1)[0] in PURE or name.startswith(
        ("etl.model.", "etl.transform.", "etl.extract.", "etl.errors.")
    )


def test_only_clock_reads_the_time() -> None:
    exempt = ROOT / "etl/sandbox"  # it plays another machine, which has its own clock
    others = [path for path in modules("etl") if path != ROOT / "etl/clock.py" and not path.is_relative_to(exempt)]
    importing = [
        f"{place(path, node)} {name}" for path in others for name, node in imports(path) if name.split(".")[0] == "time"
    ]
    assert not importing + uses(others, CLOCKS)


def test_only_config_reads_the_environment() -> None:
    others = [path for path in modules("etl") if path != ROOT / "etl/config.py"]
    assert not uses(others, ENVIRONMENT)


def test_few_functions_import_late() -> None:
    late = [
        f"{place(path, node)} {node.name}"
        for path in modules("etl")
        for node in functions(path)
        if any(isinstance(each, ast.Import | ast.ImportFrom) for each in ast.walk(node))
    ]
    assert len(late) <= LATE_IMPORTS, (len(late), late)


def private_uses(path: Path) -> list[str]:
    """Return where a module reads a private name that it does not define: one of a library or of another module."""
    own = {node.name for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    own |= {node.attr for node in nodes(path) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    own |= {node.id for node in nodes(path) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    found = [
        f"{place(path, node)} {ast.unparse(node)}"
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if ast.unparse(node.value) not in ("self", "cls", "super()") and node.attr not in own | PUBLIC_UNDERSCORE
    ]
    names = [(name, node) for name, node in imports(path) if name.split(".")[-1].startswith("_") and "__" not in name]
    return found + [f"{place(path, node)} {name}" for name, node in names]


def test_libraries_are_used_by_their_public_names() -> None:
    paths = modules("etl")
    found = [each for path in paths for each in private_uses(path)]
    found += uses(paths, {"sys.modules"})
    found += [f"{place(path, node)} {name}" for path in paths for name, node in imports(path) if "httpcore" in name]
    assert not found


def used_by_other_packages() -> set[tuple[str, str]]:
    """Return package and module of each import of a module of a package by another package; sandbox re-exports its names."""
    used = {
        (name.split(".")[1], name.split(".")[2])
        for path in modules("etl")
        for name, _ in imports(path)
        if name.startswith("etl.") and name.count(".") >= 2 and name.split(".")[1] not in path.parts
    }
    return {(package, module) for package, module in used if (ROOT / "etl" / package / f"{module}.py").exists()}


def test_each_package_names_what_other_packages_use() -> None:
    unnamed = [
        f"etl/{package}/__init__.py does not name {module}"
        for package, module in sorted(used_by_other_packages())
        if not re.search(rf"`[^`]*\b{module}\b[^`]*`", (ROOT / "etl" / package / "__init__.py").read_text())
    ]
    assert unnamed == []


IMPORTED = re.compile(r"^ *(?:import|from(?= \S+ import)) (\w+)", re.MULTILINE)


def test_the_locked_requirements_have_what_the_tests_import() -> None:
    distributions = packages_distributions()
    locked = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements/test.txt").read_text(), re.MULTILINE))
    own = {"etl", "tests", "benchmarks", "tools", *sys.stdlib_module_names}
    imported = {
        name: path
        for path in [*modules("etl"), *modules("tests"), *modules("tools")]
        if "browser" not in path.parts
        for name in IMPORTED.findall(path.read_text(encoding="utf-8"))  # to parse all tests would take seconds
    }
    unlocked = [
        f"{place(path)} {name}"
        for name, path in imported.items()
        if name not in own
        if not {re.sub(r"[-_.]+", "-", each).lower() for each in distributions.get(name, ())} & locked
    ]
    assert unlocked == []

"""Rooms: who may import whom, and which one owns what."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.house.source import ROOT, attributes, imports, modules, place

PURE = {
    "__future__", "abc", "array", "bisect", "collections", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "hashlib", "heapq", "itertools", "json", "math", "msgspec", "operator", "re", "string", "sys", "types",
    "typing", "unicodedata", "zlib",
}  # fmt: skip
CLOCKS = {
    f"{owner}.{name}"
    for owner in ("datetime", "datetime.datetime")
    for name in ("now", "utcnow", "today", "fromtimestamp")
} | {"date.today", "datetime.date.today"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"}


def uses(paths: Iterable[Path], names: set[str]) -> list[str]:
    """Return where any of the dotted names is used or imported."""
    return [
        f"{place(path, node)} {name}"
        for path in paths
        for name, node in [*attributes(path), *imports(path)]
        if name in names
    ]


def test_imports_go_one_way_through_the_house() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert " 0 broken." in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.returncode == 0


def test_the_core_imports_only_what_cannot_reach_the_world() -> None:
    decisions = ("pagination", "unordered_pagination", "completeness", "confirmation")
    core = [*modules("etl/model", "etl/transform"), ROOT / "etl/errors.py"]
    core += [ROOT / f"etl/extract/{name}.py" for name in decisions]
    assert not [f"{place(path, node)} {name}" for path in core for name, node in imports(path) if not is_pure(name)]


def is_pure(name: str) -> bool:
    """Say whether the core may import this."""
    return name.split(".", maxsplit=1)[0] in PURE or name.startswith(
        ("etl.model.", "etl.transform.", "etl.extract.", "etl.errors.")
    )


def test_only_the_clock_asks_the_time() -> None:
    exempt = ROOT / "etl/sandbox"  # it plays another machine, whose clock is its own
    others = [path for path in modules("etl") if path != ROOT / "etl/clock.py" and not path.is_relative_to(exempt)]
    importing = [
        f"{place(path, node)} {name}" for path in others for name, node in imports(path) if name.split(".")[0] == "time"
    ]
    assert not importing + uses(others, CLOCKS)


def test_only_config_reads_the_environment() -> None:
    others = [path for path in modules("etl") if path != ROOT / "etl/config.py"]
    assert not uses(others, ENVIRONMENT)

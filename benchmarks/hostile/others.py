"""Other tools, each in a process of its own that answers a line for each sync."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path

from etl.sandbox import Sandbox

SCRIPTS = Path(__file__).parent / "peers"


class Process:
    """A tool that is running."""

    def __init__(self, python: Path, command: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            [python, SCRIPTS / command[0], *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, order: dict[str, str]) -> frozenset[int]:
        """Let it sync, and return what it then holds as favourites."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return frozenset(json.loads(self._process.stdout.readline())["active"])


@cache
def process(python: Path, command: tuple[str, ...]) -> Process:
    """Return the running tool; it ends with this process, when its stdin closes."""
    return Process(python, command)


class Other:
    """One account in another tool's hands."""

    def __init__(self, python: Path, command: tuple[str, ...], sandbox: Sandbox) -> None:
        self._tool = process(python, command)
        self._folder = tempfile.mkdtemp(prefix="hostile-")
        self._order = {
            "url": sandbox.url,
            "token": sandbox.users["ada"].access_token,
            "app_id": sandbox.app_id,
            "folder": self._folder,
        }
        self._active: frozenset[int] = frozenset()

    def sync(self, at: datetime) -> frozenset[int]:
        """Sync; these tools take the machine's clock."""
        self._active = self._tool.ask(self._order)
        return self._active

    def settle(self) -> frozenset[int]:
        """There is nothing to decide."""
        return self._active

    def close(self) -> None:
        """Delete what it wrote."""
        shutil.rmtree(self._folder, ignore_errors=True)


def is_installed(python: Path, package: str) -> bool:
    """Say whether this Python has the package."""
    if not python.exists():
        return False
    return subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False).returncode == 0

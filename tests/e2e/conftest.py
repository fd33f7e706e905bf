"""The command against the sandbox on a socket; the installed one where that is the point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from etl.sandbox import Sandbox
from tests.support.commands import run_command

FAVSYNC = Path(sys.executable).with_name("favsync")


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


Favsync = Callable[..., Result]


@pytest.fixture
def favsync(home: Path) -> Favsync:
    """Return a function that runs ``favsync`` in this process, with ``env`` added to the test's environment."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Result:
        environ = dict(os.environ) | {"COLUMNS": "200"} | (env or {})
        done = run_command(environ, *arguments, stdin=stdin, cwd=home)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def installed(home: Path) -> Favsync:
    """Return a function that runs the installed ``favsync``, as a user would."""

    def run(*arguments: str) -> Result:
        done = subprocess.run(
            [FAVSYNC, *arguments],
            env=dict(os.environ) | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=home,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Return a stand-in API with 120 favourites of the user ada."""
    with Sandbox(tracks=120, seed=7) as running:
        yield running


@pytest.fixture
def existing_database(home: Path, sqlite_template: Callable[[], Path]) -> Path:
    """Return the file of an empty database at the default place; a test that needs it saves the command the migration."""
    path = home / ".local/share/favsync/favsync.db"
    path.parent.mkdir(parents=True, mode=0o700)
    shutil.copy(sqlite_template(), path)
    path.chmod(0o600)
    return path


@pytest.fixture
def connected(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return the sandbox, with the environment pointing to it; removals are recorded at once."""
    monkeypatch.setenv("BOOMPLAY_API_URL", sandbox.url)
    monkeypatch.setenv("BOOMPLAY_APP_ID", sandbox.app_id)
    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", sandbox.users["ada"].access_token)
    monkeypatch.setenv("FAVSYNC_REQUESTS_PER_SECOND", "0")
    monkeypatch.setenv("FAVSYNC_REMOVAL_GRACE", "0")
    monkeypatch.setenv("FAVSYNC_TIMEOUT_SECONDS", "3600")
    return sandbox

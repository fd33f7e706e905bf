"""Waiting for what another process or the server does, without taking the processor from it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

PAUSE_SECONDS = 0.02
_never = threading.Event()


def wait_until(is_reached: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when the condition holds, however long that takes; fail if the process that should reach it has ended."""
    while not is_reached():
        assert process is None or process.poll() is None, process.stderr and process.stderr.read()
        _never.wait(PAUSE_SECONDS)

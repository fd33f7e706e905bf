"""favsync's command without a process of its own: environment, folder and streams are those of the call.

`tests.support.database.favsync` and the fixture of `tests/e2e` start the installed command, where a process is the point.
"""

from __future__ import annotations

import atexit
import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pytest

from etl.boomplay import transport, waiting
from etl.cli import main
from etl.db import engine
from tests.support.database import ROOT
from tests.support.logging import restored_logs


def run_command(
    environ: Mapping[str, str], *words: str, stdin: str = "", cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run ``favsync`` with these words, and forget what a process would forget at its end."""
    with _stream(stdin) as given, _stream() as out, _stream() as err:
        with pytest.MonkeyPatch.context() as patch, chdir(cwd), restored_logs():
            for name in set(os.environ) - set(environ):
                patch.delenv(name)
            for name, value in environ.items():
                patch.setenv(name, value)
            for name, stream in (("stdin", given), ("stdout", out), ("stderr", err)):
                patch.setattr(sys, name, stream)
            others = set(engine._open)
            try:
                code = main(words)
            finally:
                for each in set(engine._open) - others:
                    each.dispose()
                transport.close_clients()
                waiting.forget_limiters()
                atexit.unregister(gc.freeze)  # this process has more to collect at its end
        return subprocess.CompletedProcess(["favsync", *words], code, _written(out), _written(err))


@contextmanager
def _stream(content: str = "") -> Iterator[IO[str]]:
    with TemporaryFile("w+", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(content)
        stream.seek(0)
        yield stream


def _written(stream: IO[str]) -> str:
    stream.flush()
    number = stream.fileno()
    return os.pread(number, os.fstat(number).st_size, 0).decode("utf-8", "surrogateescape")

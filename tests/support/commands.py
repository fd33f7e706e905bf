"""favsync's command in processes of its own, without the second that each would need to start: forked off one that has.

What a fork shares is imported code alone: environment, arguments, streams and folder are those of the call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.database import ROOT


class Commands:
    """Runs commands, one after the other."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        self._server = server
        self._folder = folder

    def run(
        self, environ: Mapping[str, str], *words: str, stdin: str = "", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``favsync`` with these words in a process of its own."""
        (self._folder / "in").write_text(stdin, encoding="utf-8")
        assert self._server.stdin
        assert self._server.stdout
        order = {"words": words, "environ": dict(environ), "folder": str(self._folder), "cwd": str(cwd or ROOT)}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        out, err = ((self._folder / name).read_bytes().decode("utf-8", "surrogateescape") for name in ("out", "err"))
        return subprocess.CompletedProcess(["favsync", *words], code, out, err)


@contextmanager
def commands() -> Iterator[Commands]:
    """Start the process that the others are forked off."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.commands"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server,
    ):
        yield Commands(server, Path(folder))
        assert server.stdin
        server.stdin.close()


def _become(order: dict[str, Any]) -> None:
    """Be the command."""
    from etl.cli import main

    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["cwd"])
    os.dup2(os.open(Path(order["folder"]) / "in", os.O_RDONLY), 0)
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(Path(order["folder"]) / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
    sys.argv = ["favsync", *order["words"]]
    code = 70
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    import etl.accounts.session
    import etl.boomplay.client
    import etl.reporting.render
    import etl.reporting.run_list
    import etl.reporting.run_summary
    import etl.sync  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()

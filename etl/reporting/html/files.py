"""The files that a page contains, and writing a page: as a whole or not at all."""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from etl.errors import UsageError

ASSETS: Final = Path(__file__).parent / "assets"


@cache
def heading_font() -> str:
    """Return the font of headings in Base64."""
    return base64.b64encode((ASSETS / "heading.woff2").read_bytes()).decode()


@cache
def asset(name: str) -> str:
    """Return the text of a file in `ASSETS`."""
    return (ASSETS / name).read_text(encoding="utf-8").strip()


def write_file(target: Path, content: str | bytes) -> None:
    """Write ``content`` to ``target``, as a whole or not at all; ``-`` is standard output.

    Raises: UsageError, for a file that cannot be written.
    """
    if str(target) == "-":
        if isinstance(content, str):
            sys.stdout.write(content)
        else:
            sys.stdout.buffer.write(content)
        return
    temporary = None
    try:  # the new file replaces the old one at once, so a reader never sees a part
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        Path(temporary).replace(target)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            what = error.strerror
            raise UsageError(f"{target} cannot be written: {what}", remedy="choose another place") from error
        raise


def make_folder(folder: Path) -> None:
    """Make ``folder``, which only its owner may read, unless it exists. Raises: UsageError, if it cannot be made."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}", remedy="choose another place") from error

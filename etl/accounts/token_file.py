"""Token files: one file with one token, readable by its owner alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from etl.errors import CredentialsError

MAX_BYTES = 64 * 1024


def read_token_file(path: str) -> str:
    """Return what the file holds, without the blanks around it; empty text where there is no file.

    Raises: CredentialsError, where it is there and cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES).decode().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
    raise CredentialsError(f"the token file {path} cannot be read: {reason}", remedy="let this user read it")


def write_token_file(path: str, body: bytes) -> None:
    """Put ``body`` into the file, whole or not at all, with mode 0600; it is on the disk when this returns.

    Raises: CredentialsError.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(body + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        reason = error.strerror
    else:
        return
    raise CredentialsError(f"the token file {path} cannot be written: {reason}", remedy="let this user write there")


def is_exposed(path: str) -> bool:
    """Return whether other users than its owner may read the file."""
    try:
        return bool(Path(path).stat().st_mode & 0o077)
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

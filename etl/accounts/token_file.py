"""Tokens as text: the format in which they are stored, and token files that only their owner can read."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from etl.boomplay.payloads import Token
from etl.errors import CredentialsError

MAX_BYTES = 64 * 1024


class _StoredJson(msgspec.Struct, omit_defaults=True):
    access_token: str = ""
    refresh_token: str | None = None
    expires_at: datetime | None = None


def encode_token(token: Token, expires_at: datetime | None) -> bytes:
    """Return the stored form of a token."""
    refresh_token = str(token.refresh_token) if token.refresh_token else None
    return msgspec.json.encode(_StoredJson(str(token.access_token), refresh_token, expires_at))


def decode_token(text: str) -> tuple[Token, datetime | None]:
    """Return the token in ``text`` and when it expires. ``text`` is its stored form, or a bare access token.

    Raises: CredentialsError.
    """
    stored = _StoredJson(text)
    if text.startswith("{"):
        try:
            stored = msgspec.json.decode(text, type=_StoredJson)
        except msgspec.DecodeError:
            raise CredentialsError("the stored token cannot be read", remedy="set the token again") from None
    return Token(stored.access_token, refresh_token=stored.refresh_token), stored.expires_at


def read_token_file(path: str) -> tuple[Token, datetime | None]:
    """Return the token in the file and when it expires. The token is empty if the file is missing or empty.

    Raises: CredentialsError, if the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_BYTES).decode().strip()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        message = f"the token file {path} cannot be read: {reason}"
        raise CredentialsError(message, remedy="make the file readable for this user") from None
    return decode_token(text)


def write_token_file(path: str, body: bytes) -> None:
    """Replace the file atomically, with mode 0600. When this returns, the file is on the disk.

    Raises: CredentialsError.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(body + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        message = f"the token file {path} cannot be written: {error.strerror}"
        raise CredentialsError(message, remedy="make its folder writable for this user") from None


def is_exposed(path: str) -> bool:
    """True if users other than the owner may read the file."""
    try:
        return bool(Path(path).stat().st_mode & 0o077)
    except OSError:
        return False

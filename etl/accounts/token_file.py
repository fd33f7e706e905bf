"""Tokens as text: the format in which they are stored, and token files that only their owner can read."""

from __future__ import annotations

import codecs
import os
import re
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from etl.boomplay.payloads import Token
from etl.errors import CredentialsError

MAX_BYTES = 64 * 1024
_WRAPPING = " \t\r\n\ufeff\"'`“”‘’"
_SCHEME = re.compile(r"(?:authorization:\s*)?bearer\s+", re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]+")


class _StoredJson(msgspec.Struct, omit_defaults=True):
    access_token: str = ""
    refresh_token: str | None = None
    expires_at: datetime | None = None


def encode_token(token: Token, expires_at: datetime | None) -> bytes:
    """Return the stored form of a token."""
    refresh_token = str(token.refresh_token) if token.refresh_token else None
    return msgspec.json.encode(_StoredJson(str(token.access_token), refresh_token, expires_at))


def bare_token(text: str) -> str:
    """Return the token without what people paste around it: a byte order mark, quotes, and ``Bearer``."""
    bare = _SCHEME.sub("", text.strip(_WRAPPING), count=1).strip(_WRAPPING)
    return bare if bare == text else bare_token(bare)


def decode_token(text: str, source: str) -> tuple[Token, datetime | None]:
    """Return the token in ``text`` and when it expires. The token is empty if ``text`` is.

    ``text`` is the stored form, or an access token with an optional refresh token on a second line. ``source``: a phrase for
    the error.

    Raises: CredentialsError.
    """
    text = text.strip().removeprefix("\ufeff")
    if text.startswith("{"):
        try:
            stored = msgspec.json.decode(text, type=_StoredJson)
        except msgspec.DecodeError as fault:
            raise CredentialsError(f"{source} is not valid JSON: {fault}", remedy="set the token again") from None
        return Token(bare_token(stored.access_token), refresh_token=stored.refresh_token), stored.expires_at
    lines = [bare for line in text.splitlines() if (bare := bare_token(line))]
    problem = f"it has {len(lines)} lines" if len(lines) > 2 else ""
    if any(not _TOKEN.fullmatch(line) for line in lines):
        problem = "it contains spaces or characters that no token has"
    if problem:
        remedy = "put the access token on one line, and the refresh token, if there is one, on a second line"
        raise CredentialsError(f"{source} is not a token: {problem}", remedy=remedy)
    access_token, refresh_token = [*lines, "", ""][:2]
    return Token(access_token, refresh_token=refresh_token or None), None


def read_token_file(path: str) -> tuple[Token, datetime | None]:
    """Return the token in the file and when it expires. The token is empty if the file is missing or empty.

    Raises: CredentialsError, if the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            body = file.read(MAX_BYTES)
        is_utf16 = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # such as PowerShell writes
        text = body.decode("utf-16" if is_utf16 else "utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        message = f"the token file {path} cannot be read: {reason}"
        raise CredentialsError(message, remedy="make the file readable for this user") from None
    return decode_token(text, f"the content of the token file {path}")


def write_token_file(path: str, body: bytes) -> None:
    """Replace the file atomically, with mode 0600. When this returns, the file is on the disk.

    Raises: CredentialsError.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_EXCL and O_NOFOLLOW: another user of the folder cannot prepare this name as a file or a link.
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(body + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        message = f"the token file {path} cannot be written: {error.strerror}"
        raise CredentialsError(message, remedy="make its folder writable for this user") from None


def is_exposed(path: str) -> bool:
    """True if users other than the owner may read the file."""
    try:
        return bool(Path(path).stat().st_mode & 0o077)
    except OSError:
        return False

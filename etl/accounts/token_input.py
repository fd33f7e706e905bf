"""Tokens as text: entered by a person (never as an argument), as they are stored, and in files that only their owner can read."""

from __future__ import annotations

import codecs
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from etl import logs
from etl.accounts.encryption import TokenCipher
from etl.accounts.token_rows import TokenLocation
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.errors import CredentialsError, UsageError

MAX_BYTES = 64 * 1024
_WRAPPING = " \t\r\n\ufeff\"'`“”‘’"
_SCHEME = re.compile(r"(?:authorization:\s*)?bearer\s+", re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class TokenInput:
    """A token and where to store it. ``note``: a sentence about that place for the person."""

    token: Token
    place: TokenLocation
    reference: str | None = None
    note: str = ""


class _StoredJson(msgspec.Struct, omit_defaults=True):
    access_token: str = ""
    refresh_token: str | None = None
    expires_at: datetime | None = None


def token_location(
    config: Config, *, variable: str | None = None, file: str | None = None
) -> tuple[TokenLocation, str | None, str]:
    """Return where a token will be stored: place, reference, and a sentence about it.

    Raises: SettingsError, if only the database is left and there is no key for it.
    """
    if file is not None:
        path = Path(file)
        with suppress(RuntimeError):  # there is no such home; then the file is not found
            path = path.expanduser()
        file = str(path.absolute())  # later commands run in other folders
        return TokenLocation.FILE, file, f"the token stays in the file {file}"
    if variable is not None and not config.encryption_keys:
        note = (
            f"the token stays in the environment, as no FAVSYNC_ENCRYPTION_KEY is set: set {variable} for every command"
        )
        return TokenLocation.ENVIRONMENT, variable, note
    TokenCipher([key.reveal() for key in config.encryption_keys])
    return TokenLocation.DATABASE, None, "the token is stored in the database, encrypted"


def read_token(
    config: Config, ask: Callable[[], str], *, variable: str | None = None, file: str | None = None
) -> TokenInput:
    """Return the entered token. ``ask`` returns the text of standard input; it is called only if that is the source.

    The first line is the access token, an optional second line the refresh token.

    Raises: UsageError, if there is none; SettingsError; CredentialsError.
    """
    place, reference, note = token_location(config, variable=variable, file=file)
    token = Token("")
    if place is TokenLocation.FILE and reference is not None:
        token, _ = read_token_file(reference)
        if token.access_token and is_exposed(reference):
            note += ". Other users may read it: chmod 600 protects it"
    try:
        if variable is not None and place is not TokenLocation.FILE:
            text = environment().get(variable, "")
            if not text.strip():
                raise UsageError(
                    f"the environment variable {variable} is not set",
                    remedy=f"set {variable} to the token, or omit --token-env and enter the token on standard input",
                )
            token, _ = decode_token(text, f"the environment variable {variable}")
        if not token.access_token:
            token, _ = decode_token(ask(), "the input")
    except CredentialsError as error:
        raise UsageError(error.message, remedy=error.remedy) from None
    if not token.access_token:
        raise UsageError("there is no token", remedy="enter the access token on standard input")
    for secret in (token.access_token, token.refresh_token):
        logs.mask(secret or "")
    return TokenInput(token, place, reference, note)


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
    the error. Raises CredentialsError.
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
    """Replace the file atomically, with mode 0600. When this returns, it is on the disk. Raises CredentialsError."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A new file of mode 0600: another user of the folder can prepare neither a file nor a link of this name.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(body + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
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

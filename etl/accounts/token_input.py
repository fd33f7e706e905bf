"""Tokens that a person enters: read from standard input, the environment or a file, never from an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from etl import logs
from etl.accounts.encryption import TokenCipher
from etl.accounts.token_file import decode_token, is_exposed, read_token_file
from etl.accounts.token_rows import TokenLocation
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.errors import CredentialsError, UsageError


@dataclass(frozen=True, slots=True)
class TokenInput:
    """A token and where to store it. ``note``: a sentence about that place for the person."""

    token: Token
    place: TokenLocation
    reference: str | None = None
    note: str = ""


def token_location(
    config: Config, *, variable: str | None = None, file: str | None = None
) -> tuple[TokenLocation, str | None, str]:
    """Return where a token will be stored: place, reference, and a sentence about it.

    Raises: SettingsError, if only the database is left and there is no key for it.
    """
    if file is not None:
        file = str(Path(file).expanduser().absolute())  # later commands run in other folders
        return TokenLocation.FILE, file, f"the token stays in the file {file}"
    keys = [key.reveal() for key in config.encryption_keys]
    if variable is not None and not keys:
        note = (
            f"no FAVSYNC_ENCRYPTION_KEY is set, so the token stays in the environment: set {variable} for every command"
        )
        return TokenLocation.ENVIRONMENT, variable, note
    TokenCipher(keys)
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
    elif variable is not None:
        token = _decoded(_from_variable(variable), f"the environment variable {variable}")
    if not token.access_token:
        token = _decoded(ask(), "the input")
    if not token.access_token:
        raise UsageError("there is no token", remedy="enter the access token on standard input")
    for secret in (token.access_token, token.refresh_token):
        logs.mask(secret or "")
    return TokenInput(token, place, reference, note)


def _from_variable(variable: str) -> str:
    value = environment().get(variable, "")
    if not value.strip():
        raise UsageError(
            f"the environment variable {variable} is not set",
            remedy=f"set {variable} to the token, or omit --token-env and enter the token on standard input",
        )
    return value


def _decoded(text: str, source: str) -> Token:
    try:
        token, _ = decode_token(text, source)
    except CredentialsError as error:
        raise UsageError(error.message, remedy=error.remedy) from None
    return token

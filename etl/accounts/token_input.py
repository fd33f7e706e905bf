"""A token that a person gives, and where it is to be kept.

Invariant: a token is read from standard input, the environment or a file, never from an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from etl import logs
from etl.accounts.credentials import token_in_file
from etl.accounts.encryption import TokenCipher
from etl.accounts.token_file import is_exposed
from etl.accounts.token_rows import TokenLocation
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.errors import UsageError


@dataclass(frozen=True, slots=True)
class TokenPlaces:
    """Where a token comes from or goes to: a variable of the environment, a file, or neither of them."""

    variable: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class TokenInput:
    """A token, its place, and what the person should know about that."""

    token: Token
    place: TokenLocation
    reference: str | None
    note: str


def token_location(config: Config, whereabouts: TokenPlaces) -> tuple[TokenLocation, str | None, str]:
    """Return where a token will be kept: place, reference, and a sentence about it.

    Raises: SettingsError, where only the database is left and there is no key for it.
    """
    if whereabouts.file is not None:
        return TokenLocation.FILE, whereabouts.file, f"the token stays in the file {whereabouts.file}"
    keys = [key.reveal() for key in config.encryption_keys]
    if whereabouts.variable is not None and not keys:
        note = f"no FAVSYNC_ENCRYPTION_KEY is set, so the token stays in the environment: {whereabouts.variable}"
        return TokenLocation.ENVIRONMENT, whereabouts.variable, f"{note} must be set for every later command too"
    TokenCipher(keys)
    return TokenLocation.DATABASE, None, "the token is kept in the database, encrypted"


def read_token(config: Config, whereabouts: TokenPlaces, ask: Callable[[], str]) -> TokenInput:
    """Return the token that a person gives; ``ask`` gives the text of standard input, where that is needed.

    The first line is the access token; a second one, if there is one, is the refresh token.

    Raises: UsageError, where there is none; SettingsError; CredentialsError.
    """
    place, reference, note = token_location(config, whereabouts)
    token = token_in_file(whereabouts.file) if whereabouts.file else None
    if token is None:
        token = _read(_text(whereabouts, ask))
    elif whereabouts.file and is_exposed(whereabouts.file):
        note += ", which other users may read: chmod 600 protects it"
    for secret in (token.access_token, token.refresh_token):
        logs.mask(secret or "")
    return TokenInput(token, place, reference, note)


def _text(whereabouts: TokenPlaces, ask: Callable[[], str]) -> str:
    if whereabouts.variable is None or whereabouts.file is not None:
        return ask()
    value = environment().get(whereabouts.variable, "")
    if not value.strip():
        raise UsageError(
            f"the environment variable {whereabouts.variable} is not set",
            remedy=f"set {whereabouts.variable} to the token, or leave --token-env out and give it on standard input",
        )
    return value


def _read(text: str) -> Token:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or len(lines) > 2 or any(" " in line.removeprefix("Bearer ") for line in lines):
        raise UsageError(
            "there is no token" if not lines else "that is not a token",
            remedy="give the access token on standard input, and in a second line the refresh token if you have one",
        )
    return Token(lines[0], refresh_token=lines[1] if len(lines) == 2 else None)

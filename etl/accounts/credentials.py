"""The credential store of one account: its token is in the database (encrypted), in a file or in the environment.

The first of these counts: the token that `favsync accounts` stored (unless it is dead and the environment has another), the one
that was renewed from the environment's token, and, for the account ``default``, the environment.

Invariants: without an encryption key no token enters the database. `CredentialStore.renewed` returns after the token is on disk.
The row of a token that another process has stored meanwhile is never marked.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from contextlib import AbstractContextManager
from datetime import timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy import Engine

from etl import clock
from etl.accounts import token_rows as rows
from etl.accounts.encryption import TokenCipher, fingerprint
from etl.accounts.token_input import (
    TokenInput,
    bare_token,
    decode_token,
    encode_token,
    read_token_file,
    write_token_file,
)
from etl.accounts.token_rows import TokenLocation, TokenRow, TokenStatus
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.db.engine import read_transaction, write_transaction
from etl.db.locks import LockKind, lock
from etl.errors import CredentialsError

DEFAULT_ACCOUNT = "default"
DEFAULT_VARIABLE = "BOOMPLAY_ACCESS_TOKEN"
WIDESPREAD_FROM = 3
APP_REMEDY = (
    "check BOOMPLAY_APP_ID and BOOMPLAY_APP_SECRET, which the service refuses; the token may be good. "
    "`favsync config` shows where they are set"
)
RENEWAL_SECONDS = 180.0
_APP = re.compile(r"\bapp[ _-]?(id|secret)\b", re.IGNORECASE)


class StoredToken(msgspec.Struct, frozen=True):
    """A token and its row. ``is_stored``: the row is in the database. Otherwise it is the row that would be written."""

    row: TokenRow
    token: Token
    is_stored: bool


class CredentialStore:
    """Loads and stores the token of one account. ``account_id`` is None if the account is not in the database."""

    def __init__(self, config: Config, engine: Engine | None, account_id: int | None, name: str) -> None:
        self._config = config
        self.engine = None if account_id is None else engine
        self._account_id = account_id or 0
        self.name = name
        self._loaded: TokenRow | None = None
        self._in_use: StoredToken | None = None

    def load(self) -> StoredToken | None:
        """Return the token to use, None if the account has none.

        Raises: CredentialsError, if its variable or file is empty, or no key decrypts it; DatabaseError.
        """
        row = None
        if self.engine is not None:
            with read_transaction(self.engine) as connection:
                row = rows.token_row(connection, self._account_id)
        return self.resolve(row)

    def resolve(self, row: TokenRow | None) -> StoredToken | None:
        """Do what `load` does with the account's row in the database."""
        self._loaded, self._in_use = row, self._resolve(row)
        return self._in_use

    def remedy(self, reason: str) -> str:
        """Return what to do after the service refused a request for ``reason``."""
        if is_app_refused(reason):
            return APP_REMEDY
        return token_remedy(self.name, self._in_use.row if self._in_use else None)

    def can_store(self, stored: StoredToken) -> bool:
        """True if a renewed token could be stored."""
        is_file = stored.row.place is TokenLocation.FILE
        return self.engine is not None and (is_file or bool(self._config.encryption_keys))

    def lock(self) -> AbstractContextManager[None]:
        """Hold the right to renew the token: a refresh token works once, so one process at a time may use it.

        Raises: RunInProgress, if another process holds it for long; DatabaseError.
        """
        assert self.engine is not None  # noqa: S101 - `can_store`
        return lock(self.engine, LockKind.TOKEN, self._account_id, RENEWAL_SECONDS)

    def renewed(self, token: Token) -> None:
        """Store the token that replaces the one in use, in its file or in the database.

        Raises: SettingsError, if the database is its place and there is no key; CredentialsError; DatabaseError.
        """
        if self._in_use is None or self.engine is None:
            raise CredentialsError(f"account {self.name} has no token", remedy=token_remedy(self.name))
        old = self._in_use.row
        given = TokenInput(token, TokenLocation.DATABASE)
        if old.place is TokenLocation.FILE:
            given = TokenInput(token, old.place, old.reference)
        row = stored_row(self._config, self._account_id, given, old.fingerprint)
        with write_transaction(self.engine) as connection:
            rows.put_token_row(connection, row)
        self._loaded, self._in_use = row, StoredToken(row, token, is_stored=True)

    def record(self, refusal: str | None) -> None:
        """Record that the service accepted the token in use, or why it refused it."""
        in_use, now = self._in_use, clock.now()
        if in_use is None or self.engine is None:
            return
        known = self._loaded
        is_known = known is None or (known.state is TokenStatus.VALID and known.is_same_token(in_use.row))
        if refusal is None and is_known:
            return  # as after most runs
        with write_transaction(self.engine) as connection:
            stored = rows.token_rows(connection)
            newest = stored.pop(self._account_id, None)
            is_ours = in_use.row.is_same_token(newest)
            is_as_loaded = newest is self._loaded is None or (newest is not None and newest.is_same_token(self._loaded))
            if not is_ours and (in_use.is_stored or not is_as_loaded):
                return  # another process has replaced the token meanwhile
            row = newest if newest is not None and is_ours else in_use.row
            if refusal is None:
                row = rows.accepted(row, now)
            else:
                # If the service refuses the tokens of most accounts, the service or the app id is the likely cause.
                suspects = sum(other.state is TokenStatus.SUSPECT for other in stored.values()) + 1
                is_widespread = suspects >= WIDESPREAD_FROM and suspects > (len(stored) + 1) / 2
                row = rows.refused(row, refusal, now, is_widespread=is_widespread)
            rows.put_token_row(connection, row)
        self._loaded, self._in_use = row, replace(in_use, row=row, is_stored=True)

    def _resolve(self, row: TokenRow | None) -> StoredToken | None:
        settings = self._from_settings(row)
        if row is None or row.reference == DEFAULT_VARIABLE:
            return settings
        if row.secret is None:
            return self._referenced(row)
        if settings is not None:
            # The settings' token counts if it is not the one that the stored token was renewed from.
            is_given = row.fingerprint is None
            if row.state is TokenStatus.DEAD if is_given else row.fingerprint != settings.row.fingerprint:
                return settings
        if not self._config.encryption_keys:
            raise CredentialsError(
                f"the token of account {self.name} is encrypted, and no FAVSYNC_ENCRYPTION_KEY is set",
                remedy="set FAVSYNC_ENCRYPTION_KEY to the key that encrypted it; "
                f"if that key is lost, set a new one and run `favsync accounts login {shlex.quote(self.name)}`",
            )
        cipher = TokenCipher([key.reveal() for key in self._config.encryption_keys])
        text = cipher.decrypted(row.secret, self.name)
        token, _ = decode_token(text, f"the stored token of account {self.name}")
        return StoredToken(row, token, is_stored=True)

    def _from_settings(self, row: TokenRow | None) -> StoredToken | None:
        """Return the settings' token. It belongs to the account ``default``, even after that was renamed."""
        access, refresh = self._config.access_token, self._config.refresh_token
        is_ours = self.name == DEFAULT_ACCOUNT or (row is not None and row.reference == DEFAULT_VARIABLE)
        if not is_ours or (access is None and refresh is None):
            return None
        access_token = bare_token(access.reveal()) if access else ""
        token = Token(access_token, refresh_token=bare_token(refresh.reveal()) if refresh else None)
        new = _new_row(self._account_id, TokenInput(token, TokenLocation.ENVIRONMENT, DEFAULT_VARIABLE))
        return _matched(row if row is not None and row.secret is None else None, new, token)

    def _referenced(self, row: TokenRow) -> StoredToken:
        """Return the token in the row's file or variable."""
        reference, expires_at = row.reference or "", None
        is_file = row.place is TokenLocation.FILE
        if is_file:
            token, expires_at = read_token_file(reference)
        else:
            token, _ = decode_token(environment().get(reference, ""), f"the environment variable {reference}")
        if not token.access_token and not token.refresh_token:
            problem = f"the {'file' if is_file else 'environment variable'} {reference} is missing or empty"
            message = f"account {self.name} has no token: {problem}"
            raise CredentialsError(message, remedy=token_remedy(self.name, row))
        new = _new_row(row.account_id, TokenInput(token, row.place, reference))
        return _matched(row, replace(new, expires_at=expires_at), token)


def stored_row(config: Config, account_id: int, given: TokenInput, origin: bytes | None = None) -> TokenRow:
    """Return the row for a token. If its place is a file that holds another token, write the file first.

    ``origin``: the fingerprint of the environment's token that this one was renewed from.

    Raises: SettingsError, if the database is its place and there is no key; CredentialsError.
    """
    token = given.token
    row = _new_row(account_id, given)
    if token.expires_in_seconds is not None:
        row = replace(row, expires_at=row.updated_at + timedelta(seconds=token.expires_in_seconds))
    body = encode_token(token, row.expires_at)
    if given.place is TokenLocation.DATABASE:
        cipher = TokenCipher([key.reveal() for key in config.encryption_keys])
        return replace(row, secret=cipher.encrypted(body.decode()), fingerprint=origin)
    if given.place is TokenLocation.FILE and given.reference is not None:
        in_file, _ = read_token_file(given.reference)
        if in_file != dataclasses.replace(token, expires_in_seconds=None):
            write_token_file(given.reference, body)
    return row


def is_app_refused(reason: str) -> bool:
    """True if the service refused the app id or its secret, and not the token."""
    return _APP.search(reason) is not None


def token_remedy(name: str, row: TokenRow | None = None) -> str:
    """Return how to replace the account's token, in the place where ``row`` keeps it."""
    quoted = shlex.quote(name)
    if row is not None and row.place is TokenLocation.FILE:
        option = f"--token-file {shlex.quote(row.reference or '')}"
        return f"write another token into {row.reference}: `favsync accounts login {quoted} {option}`"
    if row is not None and row.place is TokenLocation.ENVIRONMENT and row.reference != DEFAULT_VARIABLE:
        return f"set {row.reference} to another token"
    is_settings = name == DEFAULT_ACCOUNT if row is None else row.place is TokenLocation.ENVIRONMENT
    default = f"set {DEFAULT_VARIABLE} to another token, or " if is_settings else ""
    return f"{default}run `favsync accounts login {quoted}` or `favsync accounts set {quoted} --token`"


def _new_row(account_id: int, given: TokenInput) -> TokenRow:
    token = given.token
    return TokenRow(
        account_id=account_id,
        place=given.place,
        reference=given.reference,
        fingerprint=fingerprint(f"{token.access_token}\n{token.refresh_token or ''}"),
        is_renewable=token.refresh_token is not None,
        updated_at=clock.now(),
    )


def _matched(row: TokenRow | None, new: TokenRow, token: Token) -> StoredToken:
    """Return the token of a place with the stored row, if that describes this token, else with the new one."""
    if row is not None and row.fingerprint == new.fingerprint:
        return StoredToken(row, token, is_stored=True)
    return StoredToken(new, token, is_stored=False)

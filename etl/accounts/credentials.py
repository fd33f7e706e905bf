"""The credential store of one account: its token is in the database (encrypted), in a file or in the environment.

The first of these counts: the token that `favsync accounts` stored (unless it is dead and the environment has another), the one
that was renewed from the environment's token, and, for the account ``default``, the environment.

Invariants: without an encryption key no token enters the database. `CredentialStore.renewed` returns after the token is on disk.
The row of a token that another process has stored meanwhile is never marked.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from etl import clock
from etl.accounts import token_rows as rows
from etl.accounts.encryption import TokenCipher, fingerprint
from etl.accounts.token_file import bare_token, decode_token, encode_token, read_token_file, write_token_file
from etl.accounts.token_rows import TokenLocation, TokenRow, TokenStatus
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.db.engine import read_transaction, write_transaction
from etl.errors import CredentialsError

DEFAULT_ACCOUNT = "default"
DEFAULT_VARIABLE = "BOOMPLAY_ACCESS_TOKEN"
WIDESPREAD_FROM = 3
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
        self._engine = engine
        self._account_id = account_id
        self._name = name
        self._loaded: TokenRow | None = None
        self._in_use: StoredToken | None = None

    def load(self) -> StoredToken | None:
        """Return the token to use, None if the account has none.

        Raises: CredentialsError, if its variable or file is empty, or no key decrypts it; DatabaseError.
        """
        row = None
        if self._engine is not None and self._account_id is not None:
            with read_transaction(self._engine) as connection:
                row = rows.token_row(connection, self._account_id)
        self._loaded, self._in_use = row, self._resolve(row)
        return self._in_use

    def remedy(self, reason: str) -> str:
        """Return what to do after the service refused a request for ``reason``."""
        if is_app_refused(reason):
            return (
                "check BOOMPLAY_APP_ID and BOOMPLAY_APP_SECRET: the service does not accept them; the token may be good"
            )
        return token_remedy(self._name, self._in_use.row if self._in_use else None)

    def can_store(self, stored: StoredToken) -> bool:
        """True if a renewed token could be stored."""
        is_known = self._engine is not None and self._account_id is not None
        return is_known and (stored.row.place is TokenLocation.FILE or bool(self._config.encryption_keys))

    def renewed(self, token: Token) -> None:
        """Store the token that replaces the one in use."""
        if self._in_use is None:
            raise CredentialsError(f"account {self._name} has no token", remedy=token_remedy(self._name))
        row = self._in_use.row
        is_file = row.place is TokenLocation.FILE
        place, reference = (row.place, row.reference) if is_file else (TokenLocation.DATABASE, None)
        self.give(token, place, reference, row.fingerprint)

    def give(self, token: Token, place: TokenLocation, reference: str | None, origin: bytes | None = None) -> None:
        """Store ``token`` in the database, or in the file or the environment variable ``reference``.

        Raises: SettingsError, if the database is its place and there is no key; CredentialsError; DatabaseError.
        """
        if self._engine is None or self._account_id is None:
            raise CredentialsError(f"there is no account {self._name}", remedy=f"`favsync accounts add {self._name}`")
        row = stored_row(self._config, self._account_id, token, place, reference, origin)
        with write_transaction(self._engine) as connection:
            rows.put_token_row(connection, row)
        self._loaded, self._in_use = row, StoredToken(row, token, is_stored=True)

    def accepted(self) -> None:
        """Record that the service accepted the token in use, if the stored row says anything else."""
        if self._in_use is None or self._engine is None or self._account_id is None:
            return
        with read_transaction(self._engine) as connection:
            stored = rows.token_row(connection, self._account_id)
        is_true = stored is None or (stored.state is TokenStatus.VALID and stored.is_same_token(self._in_use.row))
        if not is_true:
            self._mark(None)

    def refused(self, reason: str) -> None:
        """Record that the service refused the token in use."""
        self._mark(reason)

    def _mark(self, refusal: str | None) -> None:
        in_use = self._in_use
        if in_use is None or self._engine is None or self._account_id is None:
            return
        with write_transaction(self._engine) as connection:
            newest = rows.token_row(connection, self._account_id)
            is_ours = in_use.row.is_same_token(newest)
            if not is_ours and (in_use.is_stored or not _is_same(newest, self._loaded)):
                return  # another process has replaced the token meanwhile
            row = newest if newest is not None and is_ours else in_use.row
            if refusal is None:
                row = rows.accepted(row, clock.now())
            else:
                is_widespread = _is_widespread(connection, row.account_id)
                row = rows.refused(row, refusal, clock.now(), is_widespread=is_widespread)
            rows.put_token_row(connection, row)
        self._loaded, self._in_use = row, replace(in_use, row=row, is_stored=True)

    def _resolve(self, row: TokenRow | None) -> StoredToken | None:
        settings = self._from_settings(row)
        if row is None:
            return settings
        if row.place is TokenLocation.DATABASE and row.secret is not None:
            if settings is not None:
                # The settings' token counts if it is not the one that the stored token was renewed from.
                is_given = row.fingerprint is None
                if row.state is TokenStatus.DEAD if is_given else row.fingerprint != settings.row.fingerprint:
                    return settings
            token, _ = decode_token(self._decrypted(row.secret), f"the stored token of account {self._name}")
            return StoredToken(row, token, is_stored=True)
        if row.reference != DEFAULT_VARIABLE:
            return self._referenced(row)
        if settings is not None and row.fingerprint == settings.row.fingerprint:
            return replace(settings, row=replace(row, is_renewable=settings.row.is_renewable), is_stored=True)
        return settings

    def _decrypted(self, secret: bytes) -> str:
        keys = [key.reveal() for key in self._config.encryption_keys]
        if keys:
            return TokenCipher(keys).decrypted(secret, self._name)
        raise CredentialsError(
            f"the token of account {self._name} is encrypted, and no FAVSYNC_ENCRYPTION_KEY is set",
            remedy="set FAVSYNC_ENCRYPTION_KEY to the key that encrypted it; "
            f"if that key is lost, set a new one and run `favsync accounts login {self._name}`",
        )

    def _from_settings(self, row: TokenRow | None) -> StoredToken | None:
        """Return the settings' token. It belongs to the account ``default``, even after that was renamed."""
        access, refresh = self._config.access_token, self._config.refresh_token
        is_ours = self._name == DEFAULT_ACCOUNT or (row is not None and row.reference == DEFAULT_VARIABLE)
        if not is_ours or (access is None and refresh is None):
            return None
        access_token = bare_token(access.reveal()) if access else ""
        token = Token(access_token, refresh_token=bare_token(refresh.reveal()) if refresh else None)
        new = _new_row(self._account_id or 0, token, TokenLocation.ENVIRONMENT, DEFAULT_VARIABLE)
        return StoredToken(new, token, is_stored=False)

    def _referenced(self, row: TokenRow) -> StoredToken:
        """Return the token in the row's file or variable."""
        reference, expires_at = row.reference or "", None
        if row.place is TokenLocation.FILE:
            token, expires_at = read_token_file(reference)
        else:
            token, _ = decode_token(environment().get(reference, ""), f"the environment variable {reference}")
        if not token.access_token and not token.refresh_token:
            is_file = row.place is TokenLocation.FILE
            problem = f"the {'file' if is_file else 'environment variable'} {reference} is missing or empty"
            message = f"account {self._name} has no token: {problem}"
            raise CredentialsError(message, remedy=token_remedy(self._name, row))
        if _fingerprint(token) == row.fingerprint:
            return StoredToken(row, token, is_stored=True)
        new = _new_row(row.account_id, token, row.place, reference)
        return StoredToken(replace(new, expires_at=expires_at), token, is_stored=False)


def stored_row(
    config: Config,
    account_id: int,
    token: Token,
    place: TokenLocation,
    reference: str | None,
    origin: bytes | None = None,
) -> TokenRow:
    """Return the row for ``token``. If its place is a file that holds another token, write the file first.

    ``origin``: the fingerprint of the environment's token that this one was renewed from.

    Raises: SettingsError, if the database is its place and there is no key; CredentialsError.
    """
    row = _new_row(account_id, token, place, reference)
    if token.expires_in_seconds is not None:
        row = replace(row, expires_at=row.updated_at + timedelta(seconds=token.expires_in_seconds))
    body = encode_token(token, row.expires_at)
    if place is TokenLocation.DATABASE:
        cipher = TokenCipher([key.reveal() for key in config.encryption_keys])
        return replace(row, secret=cipher.encrypted(body.decode()), fingerprint=origin)
    if place is TokenLocation.FILE and reference is not None:
        in_file, _ = read_token_file(reference)
        if in_file != dataclasses.replace(token, expires_in_seconds=None):
            write_token_file(reference, body)
    return row


def is_app_refused(reason: str) -> bool:
    """True if the service refused the app id or its secret, and not the token."""
    return _APP.search(reason) is not None


def token_remedy(name: str, row: TokenRow | None = None) -> str:
    """Return how to replace the account's token, in the place where ``row`` keeps it."""
    if row is not None and row.place is TokenLocation.FILE:
        return f"write another token into {row.reference}: `favsync accounts login {name} --token-file {row.reference}`"
    if row is not None and row.place is TokenLocation.ENVIRONMENT and row.reference != DEFAULT_VARIABLE:
        return f"set {row.reference} to another token"
    is_settings = name == DEFAULT_ACCOUNT if row is None else row.place is TokenLocation.ENVIRONMENT
    default = f"set {DEFAULT_VARIABLE} to another token, or " if is_settings else ""
    return f"{default}run `favsync accounts login {name}` or `favsync accounts set {name} --token`"


def _new_row(account_id: int, token: Token, place: TokenLocation, reference: str | None) -> TokenRow:
    return TokenRow(
        account_id=account_id,
        place=place,
        reference=reference,
        fingerprint=_fingerprint(token),
        is_renewable=token.refresh_token is not None,
        updated_at=clock.now(),
    )


def _is_same(one: TokenRow | None, other: TokenRow | None) -> bool:
    return one is other if one is None else one.is_same_token(other)


def _fingerprint(token: Token) -> bytes:
    return fingerprint(f"{token.access_token}\n{token.refresh_token or ''}")


def _is_widespread(connection: Connection, account_id: int) -> bool:
    """True if the service refuses the tokens of most accounts. Then the service or the app id is the likely cause."""
    others = [row for row in rows.token_rows(connection).values() if row.account_id != account_id]
    suspects = sum(row.state is TokenStatus.SUSPECT for row in others) + 1
    return suspects >= WIDESPREAD_FROM and suspects > (len(others) + 1) / 2

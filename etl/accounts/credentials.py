"""Where one account's token is kept: encrypted in the database, in a file, or in the environment.

Of several places the first counts: what `favsync accounts` was given (unless it is dead and the environment has another), what
was renewed from the environment's token, the environment itself (account ``default`` only).

Invariants: without an encryption key no token enters the database; `CredentialStore.renewed` returns after the token is on disk;
the row of another token than the one in use is never marked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from etl import clock
from etl.accounts import token_rows as rows
from etl.accounts import token_state
from etl.accounts.encryption import TokenCipher, fingerprint
from etl.accounts.token_file import read_token_file, write_token_file
from etl.accounts.token_rows import TokenLocation, TokenRow, TokenStatus
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.db.engine import read_transaction, write_transaction
from etl.errors import CredentialsError

DEFAULT_ACCOUNT = "default"
DEFAULT_VARIABLE = "BOOMPLAY_ACCESS_TOKEN"
WIDESPREAD_FROM = 3


class TokenFile(msgspec.Struct, omit_defaults=True):
    """A token as it is kept, encrypted or in a file."""

    access_token: str = ""
    refresh_token: str | None = None
    expires_at: datetime | None = None


class StoredToken(msgspec.Struct, frozen=True):
    """A token and its row. ``is_stored``: the row is in the database, and not only what it would be."""

    row: TokenRow
    token: Token
    is_stored: bool


class CredentialStore:
    """Keeps the token of one account. ``account_id`` None: the account is not in the database (yet)."""

    def __init__(self, config: Config, engine: Engine | None, account_id: int | None, name: str) -> None:
        self._config = config
        self._engine = engine
        self._account_id = account_id
        self._name = name
        self._in_use: StoredToken | None = None

    def load(self) -> StoredToken | None:
        """Return the token to use, None where the account has none.

        Raises: CredentialsError, where the named variable or file holds none, or no key fits; DatabaseError.
        """
        row = None
        if self._engine is not None and self._account_id is not None:
            with read_transaction(self._engine) as connection:
                row = rows.token_row(connection, self._account_id)
        self._in_use = self._opened(row)
        return self._in_use

    def can_store(self, kept: StoredToken) -> bool:
        """Return whether a renewed token would have a place to stay."""
        is_known = self._engine is not None and self._account_id is not None
        return is_known and (kept.row.place is TokenLocation.FILE or bool(self._config.encryption_keys))

    def renewed(self, token: Token) -> None:
        """Keep a token that the service gave in exchange for the one in use; it is safe when this returns."""
        kept = self._in_use
        if kept is None:
            raise CredentialsError(f"account {self._name} has no token", remedy=token_remedy(self._name))
        place = TokenLocation.FILE if kept.row.place is TokenLocation.FILE else TokenLocation.DATABASE
        self.give(token, place, kept.row.reference if place is TokenLocation.FILE else None, kept.row.fingerprint)

    def give(self, token: Token, place: TokenLocation, reference: str | None, origin: bytes | None = None) -> TokenRow:
        """Keep ``token`` in the database, or in the file or the environment variable ``reference``, from now on.

        Raises: SettingsError, where it should go into the database and there is no key; CredentialsError; DatabaseError.
        """
        if self._engine is None or self._account_id is None:
            raise CredentialsError(f"there is no account {self._name} to keep a token for")
        row = stored_row(self._config, self._account_id, token, place, reference, origin)
        with write_transaction(self._engine) as connection:
            rows.put_token_row(connection, row)
        self._in_use = StoredToken(row, token, is_stored=True)
        return row

    def accepted(self) -> None:
        """Note that the service took the token in use; nothing is written where nothing was wrong."""
        if self._in_use is not None and self._in_use.row.state is not TokenStatus.VALID:
            self._mark(lambda _connection, row: token_state.accepted(row, clock.now()))

    def refused(self, reason: str) -> None:
        """Note that the service refused the token in use."""
        self._mark(
            lambda connection, row: token_state.refused(
                row, reason, clock.now(), is_widespread=_is_widespread(connection, row.account_id)
            )
        )

    def _mark(self, change: Callable[[Connection, TokenRow], TokenRow]) -> None:
        kept = self._in_use
        if kept is None or self._engine is None or self._account_id is None:
            return
        with write_transaction(self._engine) as connection:
            newest = rows.token_row(connection, self._account_id)
            is_ours = newest is not None and _is_same(newest, kept.row)
            if kept.is_stored and not is_ours:
                return
            row = change(connection, newest if newest is not None and is_ours else kept.row)
            rows.put_token_row(connection, row)
        self._in_use = replace(kept, row=row, is_stored=True)

    def _opened(self, row: TokenRow | None) -> StoredToken | None:
        outside = self._outside(row)
        if row is not None and row.place is TokenLocation.DATABASE and row.secret is not None:
            is_void = outside is not None and (
                row.state is TokenStatus.DEAD if row.fingerprint is None else row.fingerprint != outside.row.fingerprint
            )
            if not is_void:
                return StoredToken(row, _token(_decoded(self._decrypted(row.secret))), is_stored=True)
        elif row is not None and row.reference != DEFAULT_VARIABLE:
            return self._referenced(row)
        elif row is not None and outside is not None and row.fingerprint == outside.row.fingerprint:
            return replace(outside, row=replace(row, is_renewable=outside.row.is_renewable), is_stored=True)
        return outside

    def _decrypted(self, secret: bytes) -> str:
        keys = [key.reveal() for key in self._config.encryption_keys]
        if keys:
            return TokenCipher(keys).decrypted(secret, self._name)
        raise CredentialsError(
            f"the token of account {self._name} is encrypted, and no FAVSYNC_ENCRYPTION_KEY is set",
            remedy="set FAVSYNC_ENCRYPTION_KEY to the key that it was encrypted with; "
            f"if that is lost, set a new one and run `favsync accounts login {self._name}`",
        )

    def _outside(self, row: TokenRow | None) -> StoredToken | None:
        """Return the token of the settings: it belongs to the account ``default``, whatever that is called by now."""
        access, refresh = self._config.access_token, self._config.refresh_token
        is_ours = self._name == DEFAULT_ACCOUNT or (row is not None and row.reference == DEFAULT_VARIABLE)
        if not is_ours or (access is None and refresh is None):
            return None
        token = Token(access.reveal() if access else "", refresh_token=refresh.reveal() if refresh else None)
        return StoredToken(
            _new_row(self._account_id or 0, token, TokenLocation.ENVIRONMENT, DEFAULT_VARIABLE), token, is_stored=False
        )

    def _referenced(self, row: TokenRow) -> StoredToken:
        """Open what the row's file or variable holds now; with another token than the row speaks of, its word is void."""
        if row.place is TokenLocation.FILE:
            bundle = _decoded(read_token_file(row.reference or ""))
        else:
            bundle = TokenFile(environment().get(row.reference or "", "").strip())
        if not bundle.access_token and not bundle.refresh_token:
            raise _nothing_there(self._name, row)
        token = _token(bundle)
        if _fingerprint(token) == row.fingerprint:
            return StoredToken(row, token, is_stored=True)
        fresh = _new_row(row.account_id, token, row.place, row.reference)
        return StoredToken(replace(fresh, expires_at=bundle.expires_at), token, is_stored=False)


def _nothing_there(name: str, row: TokenRow) -> CredentialsError:
    if row.place is TokenLocation.FILE:
        words = f"there is none in the file {row.reference}"
        remedy = f"put one there: `favsync accounts login {name} --token-file {row.reference}`"
    else:
        words = f"the environment variable {row.reference} is not set"
        remedy = f"set {row.reference} to the token"
    return CredentialsError(f"account {name} has no token: {words}", remedy=remedy)


def stored_row(
    config: Config,
    account_id: int,
    token: Token,
    place: TokenLocation,
    reference: str | None,
    origin: bytes | None = None,
) -> TokenRow:
    """Return the row for ``token``, after writing it to its file where that is its place and the file has another one.

    ``origin``: the fingerprint of the environment's token that this one descends from.

    Raises: SettingsError, where it should go into the database and there is no key; CredentialsError.
    """
    row = _new_row(account_id, token, place, reference)
    if token.expires_in_seconds is not None:
        row = replace(row, expires_at=row.updated_at + timedelta(seconds=token.expires_in_seconds))
    body = msgspec.json.encode(_bundle(token, row.expires_at))
    if (
        place is TokenLocation.FILE
        and reference is not None
        and token_in_file(reference) != dataclasses.replace(token, expires_in_seconds=None)
    ):
        write_token_file(reference, body)
    if place is not TokenLocation.DATABASE:
        return row
    vault = TokenCipher([key.reveal() for key in config.encryption_keys])
    return replace(row, secret=vault.encrypted(body.decode()), fingerprint=origin)


def token_in_file(path: str) -> Token | None:
    """Return the token that the file holds, None where it is missing or empty.

    Raises: CredentialsError.
    """
    bundle = _decoded(read_token_file(path))
    return _token(bundle) if bundle.access_token else None


def token_remedy(name: str) -> str:
    """Return what to do for a token that is missing or dead."""
    default = f"set another {DEFAULT_VARIABLE}, or " if name == DEFAULT_ACCOUNT else ""
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


def _is_same(one: TokenRow, other: TokenRow) -> bool:
    return (one.place, one.reference, one.secret, one.fingerprint) == (
        other.place,
        other.reference,
        other.secret,
        other.fingerprint,
    )


def _is_widespread(connection: Connection, account_id: int) -> bool:
    """Say whether the service refuses the tokens of most accounts now, which speaks of the service or of the app id."""
    others = [row for row in rows.token_rows(connection).values() if row.account_id != account_id]
    doubtful = sum(row.state is TokenStatus.SUSPECT for row in others) + 1
    return doubtful >= WIDESPREAD_FROM and doubtful > (len(others) + 1) / 2


def _fingerprint(token: Token) -> bytes:
    return fingerprint(f"{token.access_token}\n{token.refresh_token or ''}")


def _bundle(token: Token, expires_at: datetime | None) -> TokenFile:
    return TokenFile(str(token.access_token), str(token.refresh_token) if token.refresh_token else None, expires_at)


def _token(bundle: TokenFile) -> Token:
    return Token(bundle.access_token, refresh_token=bundle.refresh_token)


def _decoded(text: str) -> TokenFile:
    """Read a bundle, or a bare token; its end may be missing."""
    if not text.startswith("{"):
        return TokenFile(text)
    try:
        return msgspec.json.decode(text, type=TokenFile)
    except msgspec.DecodeError:
        raise CredentialsError("the kept token cannot be read", remedy="give the token again") from None

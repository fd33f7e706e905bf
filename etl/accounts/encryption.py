"""Encryption of stored tokens. Sole user of cryptography.

Fernet (AES-128-CBC with HMAC-SHA256): the first key encrypts, every key decrypts, so keys can be rotated. Invariant: no error
contains a key or decrypted text.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from contextlib import suppress

from etl.errors import CredentialsError, SettingsError


def new_key() -> str:
    """Return a new key for FAVSYNC_ENCRYPTION_KEY."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


class TokenCipher:
    """Encrypts and decrypts with Fernet keys. Raises SettingsError if there is no key."""

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet

        if not keys:
            raise SettingsError(
                "no FAVSYNC_ENCRYPTION_KEY is set, so a token cannot be kept in the database",
                remedy="set FAVSYNC_ENCRYPTION_KEY to what `favsync accounts new-key` prints, "
                "or keep the token elsewhere: --token-env VAR or --token-file PATH",
            )
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])
        self._invalid = InvalidToken

    def encrypted(self, text: str) -> bytes:
        """Return ``text`` encrypted with the first key."""
        return self._first.encrypt(text.encode())

    def decrypted(self, secret: bytes, account: str) -> str:
        """Return the text, whichever key encrypted it. Raises CredentialsError for this account if no key fits."""
        with suppress(self._invalid):
            return self._all.decrypt(secret).decode()
        raise CredentialsError(
            f"no key of FAVSYNC_ENCRYPTION_KEY decrypts the stored token of account {account}",
            remedy="add the former key after the new one, separated by a comma; "
            f"or sign in again: `favsync accounts login {shlex.quote(account)}`",
        )

    def opens_first(self, secret: bytes) -> bool:
        """True if the first key decrypts ``secret``."""
        with suppress(self._invalid):
            self._first.decrypt(secret)
            return True
        return False


def fingerprint(text: str) -> bytes:
    """Return a short digest that identifies a token and does not reveal it."""
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"favsync-token").digest()

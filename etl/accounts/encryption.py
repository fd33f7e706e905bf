"""Keeping tokens unreadable where they are stored. Sole owner of cryptography.

Fernet (AES-128-CBC with HMAC-SHA256): the first key encrypts, every key may decrypt, so that keys can be changed one after the
other. Invariant: no error holds a key or what was decrypted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from etl.errors import CredentialsError, SettingsError

FINGERPRINT_BYTES = 16
MAKES_A_KEY = 'python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'


class TokenCipher:
    """Encrypts and decrypts with these Fernet keys.

    Raises: SettingsError, where there is no key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.fernet import Fernet, MultiFernet

        if not keys:
            raise SettingsError(
                "no FAVSYNC_ENCRYPTION_KEY is set, so a token cannot be kept in the database",
                remedy=f"set FAVSYNC_ENCRYPTION_KEY to what this prints: {MAKES_A_KEY}; "
                "or keep the token outside: --token-env VAR or --token-file PATH",
            )
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])

    def __repr__(self) -> str:
        return "Vault(***)"

    def encrypted(self, text: str) -> bytes:
        """Return ``text`` encrypted with the first key."""
        return self._first.encrypt(text.encode())

    def decrypted(self, secret: bytes, whose: str) -> str:
        """Return the text, whichever of the keys it was encrypted with. ``whose``: the account's name, for the error.

        Raises: CredentialsError, where none of them fits: that is one account's trouble, and stops no other.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._all.decrypt(secret).decode()
        except InvalidToken:
            pass
        raise CredentialsError(
            f"no key of FAVSYNC_ENCRYPTION_KEY opens the stored token of account {whose}",
            remedy="add the former key after the new one, with a comma between; "
            f"or sign in again: `favsync accounts login {whose}`",
        )

    def opens_first(self, secret: bytes) -> bool:
        """Return whether the first key alone opens this."""
        from cryptography.fernet import InvalidToken

        try:
            self._first.decrypt(secret)
        except InvalidToken:
            return False
        return True


def new_key() -> str:
    """Return a new Fernet key."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def fingerprint(text: str) -> bytes:
    """Return a digest that tells two tokens apart and gives neither away."""
    return hashlib.blake2b(text.encode(), digest_size=FINGERPRINT_BYTES, person=b"favsync-token").digest()

"""Tokens and codes of the sandbox.

Tokens look like the documented ones: 44 characters of standard base64 with ``+`` and ``=``. They are made from the seed and
open nothing but this sandbox.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

_CODE_LIFETIME = timedelta(minutes=10)


@dataclass(slots=True)
class AccessGrant:
    """Whom an access token belongs to, and until when. ``user`` None = an app token."""

    user: str | None
    expires_at: datetime
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class ConsentCode:
    """A code of the consent page, to be exchanged once for a token."""

    user: str
    redirect_uri: str
    expires_at: datetime


class Tokens:
    """All tokens and codes that were issued."""

    def __init__(self, seed: int, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._issued = 0
        self._grants: dict[str, AccessGrant] = {}
        self._refresh: dict[str, str] = {}
        self._codes: dict[str, ConsentCode] = {}

    def access(self, user: str | None, lifetime_seconds: float) -> str:
        """Issue an access token; for ``user`` None, an app token."""
        token = self._new("access", 32)
        self._grants[token] = AccessGrant(user, self._now() + timedelta(seconds=lifetime_seconds))
        return token

    def refresh(self, user: str) -> str:
        """Issue a refresh token, which works until it is used up or revoked."""
        token = self._new("refresh", 32)
        self._refresh[token] = user
        return token

    def code(self, user: str, redirect_uri: str) -> str:
        """Issue a code for one exchange."""
        code = self._new("code", 24)
        self._codes[code] = ConsentCode(user, redirect_uri, self._now() + _CODE_LIFETIME)
        return code

    def grant(self, token: str) -> AccessGrant | None:
        """Return the grant of an access token, None for one that was never issued."""
        return self._grants.get(token)

    def refreshed_user(self, token: str) -> str | None:
        """Return the user of a refresh token, None for one that does not work."""
        return self._refresh.get(token)

    def spend(self, token: str) -> None:
        """Use up a refresh token."""
        self._refresh.pop(token, None)

    def exchanged(self, code: str) -> ConsentCode | None:
        """Use up a code; None for one that does not work."""
        known = self._codes.pop(code, None)
        return known if known and known.expires_at > self._now() else None

    def expire(self, user: str) -> None:
        """Let all access tokens of a user expire now."""
        for grant in self._grants.values():
            if grant.user == user:
                grant.expires_at = min(grant.expires_at, self._now())

    def revoke(self, user: str) -> None:
        """Revoke all tokens of a user."""
        for grant in self._grants.values():
            grant.is_revoked = grant.is_revoked or grant.user == user
        self._refresh = {token: owner for token, owner in self._refresh.items() if owner != user}

    def _new(self, kind: str, size: int) -> str:
        while True:
            self._issued += 1
            digest = blake2b(f"{self._seed}/{kind}/{self._issued}".encode(), digest_size=size).digest()
            token = b64encode(digest).decode()
            if "+" in token:
                return token


def user_id(seed: int, name: str) -> str:
    """Return a user id like the documented one: 16 bytes in standard base64, with ``+``, ``/`` and ``==``."""
    tries = 0
    while True:
        made = b64encode(blake2b(f"{seed}/user/{name}/{tries}".encode(), digest_size=16).digest()).decode()
        if "+" in made and "/" in made:
            return made
        tries += 1

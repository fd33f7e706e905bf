"""Token sources: a fixed token, a user's token with its refresh token, and the app's own token.

Several threads use a source at once. Threads whose token was rejected renew it once. A rotated token is stored before it is
used. No repr shows a token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from etl.boomplay.oauth import APP, TokenEndpoint
from etl.boomplay.payloads import Token
from etl.boomplay.redact import Secret
from etl.errors import CredentialsError

ASSUMED_LIFETIME_SECONDS = 7200  # if the answer names none; the documentation's example has this value
RENEW_AFTER_SHARE = 0.9


class StaticToken:
    """A token that cannot be renewed."""

    def __init__(self, token: str) -> None:
        self._token = Secret(token.strip())

    def token(self) -> str:
        """Return the token."""
        return self._token

    def renew(self, rejected: str) -> str | None:
        """Return None: there is no other token."""
        return None


class RefreshingToken:
    """A user's token, renewed with its refresh token once the service rejects it.

    ``store`` saves a new token and is called before that token is used; after an error it is called again with the same token.
    ``load`` returns the stored token, which another process may have renewed. ``alone`` excludes other processes during a
    renewal, so that no refresh token is used twice.
    """

    def __init__(
        self,
        endpoint: TokenEndpoint,
        token: Token,
        *,
        store: Callable[[Token], None],
        load: Callable[[], Token | None] = lambda: None,
        alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._endpoint = endpoint
        self._current = token
        self._store = store
        self._load = load
        self._alone = alone
        self._lock = threading.Lock()
        self._unstored: Token | None = None
        self._refusal: CredentialsError | None = None

    def token(self) -> str:
        """Return the token in use."""
        return self._current.access_token

    def renew(self, rejected: str) -> str | None:
        """Return the successor of the rejected token, after a refresh if no other thread or process made one.

        Raises: CredentialsError (a refused refresh token is not sent again), ApiError, the errors of ``store`` and ``load``.
        """
        with self._lock:
            if self._current.access_token == rejected:
                with self._alone():
                    self._renew()
            return None if self._current.access_token == rejected else self._current.access_token

    def _renew(self) -> None:
        stored = self._load()
        if stored is not None and stored.access_token != self._current.access_token:
            self._current = stored
            return
        refresh_token = (stored or self._current).refresh_token
        if self._unstored is None and refresh_token is not None:
            if self._refusal is not None:
                raise CredentialsError(self._refusal.message, remedy=self._refusal.remedy)
            try:
                fresh = self._endpoint.ask(self._endpoint.refresh, refresh_token)
            except CredentialsError as error:
                self._refusal = error
                raise
            user_id = fresh.user_id or self._current.user_id
            self._unstored = replace(fresh, refresh_token=fresh.refresh_token or refresh_token, user_id=user_id)
        if self._unstored is not None:  # also one that an earlier call could not store: its refresh token is used up
            self._store(self._unstored)
            self._current, self._unstored = self._unstored, None


class AppToken:
    """The app's own token, requested with its secret, and again before it expires."""

    def __init__(self, endpoint: TokenEndpoint) -> None:
        self._endpoint = endpoint
        self._monotonic = endpoint.options.timing.monotonic
        self._lock = threading.Lock()
        self._current = Secret()
        self._renew_at = float("-inf")

    def token(self) -> str:
        """Return a token that has not expired. Raises CredentialsError, ApiError."""
        with self._lock:
            now = self._monotonic()
            if now >= self._renew_at:
                fresh = self._endpoint.ask(APP)
                self._current = Secret(fresh.access_token)
                self._renew_at = now + RENEW_AFTER_SHARE * (fresh.expires_in_seconds or ASSUMED_LIFETIME_SECONDS)
            return self._current

    def renew(self, rejected: str) -> str | None:
        """Return another token, after a request if no other thread made one. Raises CredentialsError, ApiError."""
        with self._lock:
            if self._current == rejected:
                self._renew_at = float("-inf")
        fresh = self.token()
        return None if fresh == rejected else fresh

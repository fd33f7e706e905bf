"""The token that a client is given: static, or renewed and kept.

Invariants: a refresh token is used by one process at a time, which reads anew what is kept before it does;
what the service says of the token is noted once per client.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Engine

from etl.accounts.credentials import CredentialStore, StoredToken
from etl.boomplay.http import HttpOptions
from etl.boomplay.oauth import EXCHANGE, REFRESH, TokenEndpoint
from etl.boomplay.payloads import Token
from etl.boomplay.tokens import RefreshingToken, StaticToken, TokenSource
from etl.config import Config
from etl.db.locks import LockKind, lock
from etl.errors import CredentialsError

RENEWAL_SECONDS = 180.0


class MonitoredToken:
    """Passes a token on, and has the keeper note it when the service refuses it for good."""

    def __init__(self, inner: TokenSource, keeper: CredentialStore) -> None:
        self._inner = inner
        self._keeper = keeper
        self._lock = threading.Lock()
        self.is_refused = False
        self.is_renewed = False

    def __repr__(self) -> str:
        return f"WatchedToken({self._inner!r})"

    def token(self) -> str:
        """Return the token in use; where only a refresh token is there, get one first.

        Raises: CredentialsError, ApiError.
        """
        return self._inner.token() or self.renew("") or ""

    def renew(self, rejected: str) -> str | None:
        """Return another token than the rejected one, None if there is none.

        Raises: CredentialsError, ApiError.
        """
        try:
            fresh = self._inner.renew(rejected)
        except CredentialsError as error:
            self.refuse(error.message)
            raise
        if fresh is None:
            self.refuse("the service refuses the token")
        self.is_renewed = fresh is not None
        return fresh

    def refuse(self, reason: str) -> None:
        """Have it noted, once, that the service does not take the token."""
        with self._lock:
            if not self.is_refused:
                self.is_refused = True
                self._keeper.refused(reason)


@contextmanager
def token_source(
    config: Config,
    engine: Engine | None,
    account_id: int | None,
    keeper: CredentialStore,
    kept: StoredToken,
    wire: HttpOptions,
) -> Iterator[MonitoredToken]:
    """Give the source of the token ``kept``, which is renewed where that is possible and the new one can be kept."""
    is_renewable = kept.token.refresh_token is not None and config.app_secret is not None and keeper.can_store(kept)
    if not is_renewable or engine is None or account_id is None:
        yield MonitoredToken(StaticToken(kept.token.access_token), keeper)
        return

    def load() -> Token | None:
        now_kept = keeper.load()
        return now_kept.token if now_kept else None

    def alone() -> AbstractContextManager[None]:
        return lock(engine, LockKind.TOKEN, account_id, RENEWAL_SECONDS)

    with token_endpoint(config, wire) as endpoint:
        inner = RefreshingToken(endpoint, kept.token, store=keeper.renewed, load=load, alone=alone)
        yield MonitoredToken(inner, keeper)


def token_endpoint(config: Config, wire: HttpOptions) -> TokenEndpoint:
    """Return the service's endpoint for tokens, spelt as the settings say.

    Raises: SettingsError.
    """
    from msgspec.structs import replace

    return TokenEndpoint(
        wire,
        app_secret=config.app_secret.reveal() if config.app_secret else "",
        refresh=replace(
            REFRESH,
            path=config.refresh_path,
            grant_type=config.refresh_grant_type,
            value_field=config.refresh_field,
        ),
        code=replace(EXCHANGE, path=config.exchange_path, grant_type=config.exchange_grant_type),
    )

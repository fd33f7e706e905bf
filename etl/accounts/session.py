"""Opens Boomplay for one account, and records what the service says about its token.

Invariants: an error names the setting or the command that fixes it, and never contains a token. A dead token is not sent again.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import Engine

from etl.accounts.credentials import CredentialStore, StoredToken, is_app_refused, token_remedy
from etl.accounts.token_rows import TokenRow, TokenStatus, account_id_of
from etl.boomplay.client import FORBIDDEN, Boomplay, TrackCatalogue
from etl.boomplay.http import HttpOptions, TokenSource
from etl.boomplay.oauth import EXCHANGE, REFRESH, GrantRequest, TokenEndpoint
from etl.boomplay.retry import RetryPolicy
from etl.boomplay.tokens import AppToken, RefreshingToken, StaticToken
from etl.config import Config
from etl.db.budget import database_budget
from etl.db.engine import read_transaction
from etl.errors import ApiRefused, CredentialsError, FavsyncError, SettingsError
from etl.load.accounts import Account


class MonitoredToken:
    """A token source that records in the credential store whether the service accepts the token."""

    def __init__(self, source: TokenSource, store: CredentialStore) -> None:
        self._source = source
        self._store = store
        self._lock = threading.Lock()
        self._is_accepted = self._is_rejected = self._is_refused = self._is_forbidden = self._is_renewed = False

    def token(self) -> str:
        """Return the token in use. If there is only a refresh token, get an access token first."""
        return self._source.token() or self.renew("") or ""

    def renew(self, rejected: str) -> str | None:
        """Return another token than the rejected one, None if there is none."""
        self._is_rejected = True
        fresh = self._source.renew(rejected)
        self._is_renewed = fresh is not None
        self._is_rejected = fresh is None
        return fresh

    def on_result(self, error: FavsyncError | None) -> None:
        """Note the result of a call. A refusal gets the remedy that fits its cause and the token's place."""
        if error is None:
            self._is_accepted = True
        elif isinstance(error, ApiRefused) and error.status == FORBIDDEN:
            self._is_forbidden = True
        elif isinstance(error, CredentialsError):
            error.remedy = self._store.remedy(error.message)
            if self._is_rejected and not is_app_refused(error.message):
                self._refuse(error.message)

    def record(self) -> None:
        """Record the result of all calls."""
        if self._is_accepted and not self._is_refused:
            self._store.record(None)
        elif self._is_forbidden and self._is_renewed:
            self._refuse("the renewed token is not a user's token: check BOOMPLAY_REFRESH_PATH and related settings")

    def _refuse(self, reason: str) -> None:
        with self._lock:
            if not self._is_refused:
                self._is_refused = True
                self._store.record(reason)


@contextmanager
def connect(
    config: Config, engine: Engine | None, name: str, stop: threading.Event | None = None, *, even_dead: bool = False
) -> Iterator[Boomplay]:
    """Yield the client of an account, without a database if ``engine`` is None. Once ``stop`` is set, requests end early.

    Raises: CredentialsError, if the token is missing, dead (unless ``even_dead``) or unreadable; SettingsError; DatabaseError.
    """
    account_id = None
    if engine is not None:
        with read_transaction(engine) as connection:
            account_id = account_id_of(connection, name)
    store = CredentialStore(config, engine, account_id, name)
    with _client(config, store, store.load(), stop, even_dead=even_dead) as client:
        yield client


@contextmanager
def connect_known(
    config: Config, engine: Engine, account: Account, token: TokenRow | None, stop: threading.Event | None = None
) -> Iterator[Boomplay]:
    """Do what `connect` does for an account that was read together with its token's row, without another statement."""
    store = CredentialStore(config, engine, account.account_id, account.name)
    with _client(config, store, store.resolve(token), stop) as client:
        yield client


@contextmanager
def _client(
    config: Config,
    store: CredentialStore,
    stored: StoredToken | None,
    stop: threading.Event | None,
    *,
    even_dead: bool = False,
) -> Iterator[Boomplay]:
    options, name = http_options(config, stop, store.engine), store.name
    if stored is None:
        raise CredentialsError(f"account {name} has no token", remedy=token_remedy(name))
    if stored.row.state is TokenStatus.DEAD and not even_dead:
        since = f"{stored.row.updated_at:%Y-%m-%d %H:%M} UTC"
        raise CredentialsError(
            f"the token of account {name} is dead since {since}: {stored.row.reason or 'refused'}",
            remedy=f"{store.remedy('')}; `favsync accounts check {shlex.quote(name)}` tries it once more",
        )
    # The catalogue gets the user's token as a fixed one: its refusal must neither renew nor mark it.
    fixed = StaticToken(stored.token.access_token)
    source: TokenSource = fixed
    catalogue_sources: list[TokenSource] = [fixed]
    with ExitStack() as stack:
        if config.app_secret is not None:
            endpoint = stack.enter_context(token_endpoint(config, options))
            catalogue_sources.insert(0, AppToken(endpoint))
            if stored.token.refresh_token is not None and store.can_store(stored):
                source = RefreshingToken(
                    endpoint,
                    stored.token,
                    store=store.renewed,
                    load=lambda: newest.token if (newest := store.load()) else None,
                    # A refresh token works once, so one process at a time may use it.
                    alone=store.lock,
                )
        tokens = MonitoredToken(source, store)
        client = stack.enter_context(Boomplay(tokens, options))
        client.on_result = tokens.on_result
        client.catalogue = TrackCatalogue(client, catalogue_sources).lookup
        yield client
        tokens.record()


def token_endpoint(config: Config, options: HttpOptions) -> TokenEndpoint:
    """Return the service's token endpoint, with paths and names from the settings."""
    return TokenEndpoint(
        options,
        config.app_secret.reveal() if config.app_secret else "",
        refresh=GrantRequest(REFRESH.name, config.refresh_path, config.refresh_grant_type, config.refresh_field),
        code=GrantRequest(EXCHANGE.name, config.exchange_path, config.exchange_grant_type, EXCHANGE.value_field),
    )


def http_options(config: Config, stop: threading.Event | None = None, engine: Engine | None = None) -> HttpOptions:
    """Return how to reach the service, with the budget of the app id if it is in the database of ``engine``.

    Raises: SettingsError, if there is no app id.
    """
    if config.app_id is None:
        raise SettingsError("there is no app id", remedy="set BOOMPLAY_APP_ID to the app id from Boomplay")
    return HttpOptions(
        api_url=config.api_url,
        app_id=config.app_id,
        language=config.language,
        timeout_seconds=config.timeout_seconds,
        requests_per_second=config.requests_per_second,
        policy=RetryPolicy(max_retries=config.max_retries, token_codes=config.token_codes),
        stop=stop,
        budget=database_budget(engine, f"{config.app_id} {config.api_url}", config.requests_per_second),
    )

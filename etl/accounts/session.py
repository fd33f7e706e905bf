"""Opening Boomplay for one account: its settings and its token become a client.

Invariants: an error names the setting or the command that mends it, and never holds a token; a dead token is not sent again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from etl.accounts.credentials import DEFAULT_ACCOUNT, CredentialStore, StoredToken, token_remedy
from etl.accounts.token_rows import TokenStatus, account_id_of
from etl.accounts.token_source import token_source
from etl.boomplay.client import MAX_LIMIT, Boomplay
from etl.boomplay.http import HttpOptions
from etl.boomplay.payloads import User
from etl.config import Config
from etl.db.engine import read_transaction
from etl.errors import ApiRefused, CredentialsError, SettingsError
from etl.model.records import Page

__all__ = ["DEFAULT_ACCOUNT", "AccountClient", "connect", "http_options"]

FORBIDDEN = 403


class AccountClient(Boomplay):
    """Boomplay, remembering whether the token was taken at all, or forbidden what is the user's."""

    has_answered = False
    is_forbidden = False

    def favourite_tracks(self, offset: int, limit: int = MAX_LIMIT) -> Page:
        """Return what `Boomplay.favourite_tracks` does."""
        with self._remembering():
            return super().favourite_tracks(offset, limit)

    def user(self) -> User:
        """Return what `Boomplay.user` does."""
        with self._remembering():
            return super().user()

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except ApiRefused as error:
            self.is_forbidden = self.is_forbidden or error.status == FORBIDDEN
            raise
        self.has_answered = True


@contextmanager
def connect(
    config: Config,
    engine: Engine | None,
    account_name: str,
    stop: threading.Event | None = None,
    *,
    even_dead: bool = False,
) -> Iterator[AccountClient]:
    """Give the client of ``account_name``; its requests end early once ``stop`` is set. ``engine`` None: no database.

    What the service says of the token is noted. ``even_dead``: try a token that was found dead, too.

    Raises: CredentialsError, where the account has no token, a dead one, or one that no key opens; SettingsError, where a
    setting is missing; DatabaseError.
    """
    wire = http_options(config, stop)
    account_id = None
    if engine is not None:
        with read_transaction(engine) as connection:
            account_id = account_id_of(connection, account_name)
    keeper = CredentialStore(config, engine, account_id, account_name)
    kept = _living(keeper.load(), account_name, even_dead=even_dead)
    with (
        token_source(config, engine, account_id, keeper, kept, wire) as tokens,
        AccountClient(tokens, wire) as client,
    ):
        yield client
        if client.has_answered and not tokens.is_refused:
            keeper.accepted()
        elif client.is_forbidden and tokens.is_renewed:
            tokens.refuse("what the refresh gave is no token of a user: check BOOMPLAY_REFRESH_PATH and its kin")


def http_options(config: Config, stop: threading.Event | None = None) -> HttpOptions:
    """Return how to reach the service.

    Raises: SettingsError, where no app id is set.
    """
    if config.app_id is None:
        raise SettingsError("there is no app id", remedy="set BOOMPLAY_APP_ID to the app id that Boomplay gave you")
    return HttpOptions(
        api_url=config.api_url,
        app_id=config.app_id,
        language=config.language,
        timeout_seconds=config.timeout_seconds,
        max_retries=config.max_retries,
        requests_per_second=config.requests_per_second,
        token_codes=config.token_codes,
        stop=stop,
    )


def _living(kept: StoredToken | None, name: str, *, even_dead: bool) -> StoredToken:
    if kept is None:
        raise CredentialsError(f"account {name} has no token", remedy=token_remedy(name))
    if kept.row.state is TokenStatus.DEAD and not even_dead:
        since = f"{kept.row.updated_at:%Y-%m-%d %H:%M} UTC"
        raise CredentialsError(
            f"the token of account {name} is dead since {since}: {kept.row.reason or 'refused'}",
            remedy=f"{token_remedy(name)}; `favsync accounts check {name}` tries it once more",
        )
    return kept

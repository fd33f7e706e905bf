"""Signing in: the consent page in a browser, and the token that comes of it.

Invariant: what comes back counts only with the state that this sign-in sent.
"""

from __future__ import annotations

import secrets
import threading
import webbrowser
from collections.abc import Callable

from etl import logs
from etl.accounts.loopback import callback_server
from etl.accounts.session import http_options
from etl.accounts.token_source import token_endpoint
from etl.boomplay.oauth import ConsentRedirect, ConsentRequest, consent_url, parse_redirect
from etl.boomplay.payloads import Token
from etl.config import Config
from etl.errors import CredentialsError

Say = Callable[[str], None]


def sign_in(
    config: Config,
    say: Say,
    *,
    paste: Callable[[], str] | None = None,
    timeout_seconds: float = 300.0,
    stop: threading.Event | None = None,
    open_page: Callable[[str], object] = webbrowser.open,
) -> Token:
    """Have the user consent in a browser and return the token. ``paste``: ask for the address instead of listening for it.

    Raises: CredentialsError, UsageError, SettingsError, ApiError.
    """
    state = secrets.token_urlsafe(24)
    consent = ConsentRequest(
        app_id=http_options(config).app_id,
        redirect_uri=config.redirect_uri,
        state=state,
        scope=config.scope or "",
    )
    url = consent_url(config.api_url, consent, config.consent_path)
    if paste is not None:
        say(f"open this address in a browser, and paste the one that it ends at:\n{url}")
        pasted = paste().strip()
        if not pasted:
            raise CredentialsError("no address was pasted", remedy="paste the whole address that the browser ends at")
        return _token(config, parse_redirect(pasted, state=state))
    with callback_server(config.redirect_uri, lambda brought: parse_redirect(brought, state=state)) as waiting:
        say(f"a browser should show Boomplay's consent page now; if not, open this address:\n{url}")
        open_page(url)
        return _token(config, waiting.redirect(timeout_seconds, stop or threading.Event()))


def _token(config: Config, redirect: ConsentRedirect) -> Token:
    if redirect.denied is not None:
        raise CredentialsError(f"Boomplay refused the sign-in: {redirect.denied}", remedy="sign in again and approve")
    if redirect.token is not None:
        token = redirect.token
    else:
        with token_endpoint(config, http_options(config)) as endpoint:
            token = endpoint.exchanged(redirect.code or "", config.redirect_uri)
    for secret in (token.access_token, token.refresh_token):
        logs.mask(secret or "")
    return token

"""Sign-in through Boomplay's consent page in a browser. Invariant: a redirect counts only with the state that was sent."""

from __future__ import annotations

import secrets
import threading
import webbrowser
from collections.abc import Callable

from etl import logs
from etl.accounts.loopback import callback_server
from etl.accounts.session import http_options, token_endpoint
from etl.boomplay.payloads import Token
from etl.boomplay.signin import ConsentRedirect, consent_url, parse_redirect
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
    """Let the user consent in a browser, and return the token. ``paste`` asks for the final address instead of a callback.

    Raises: CredentialsError, UsageError, SettingsError, ApiError.
    """
    state = secrets.token_urlsafe(24)
    url = consent_url(
        config.api_url,
        app_id=http_options(config)["app_id"],
        redirect_uri=config.redirect_uri,
        state=state,
        scope=config.scope or "",
        path=config.consent_path,
    )
    if paste is not None:
        say(f"open this address in a browser, then paste the address of the page where it ends:\n{url}")
        pasted = paste().strip()
        if not pasted:
            raise CredentialsError("no address was pasted", remedy="paste the whole address of the final page")
        return _token(config, parse_redirect(pasted, state=state))
    with callback_server(config.redirect_uri, lambda redirect: parse_redirect(redirect, state=state)) as wait:
        say(f"a browser opens Boomplay's consent page; if it does not, open this address:\n{url}")
        open_page(url)
        return _token(config, wait(timeout_seconds, stop or threading.Event()))


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

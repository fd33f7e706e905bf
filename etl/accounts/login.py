"""Sign-in through Boomplay's consent page in a browser. Invariant: a redirect counts only with the state that was sent."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable

from etl import logs
from etl.accounts.loopback import callback_server
from etl.accounts.session import http_options, token_endpoint
from etl.boomplay.oauth import ConsentRedirect, ConsentRequest, consent_url, parse_redirect
from etl.boomplay.payloads import Token
from etl.config import Config, environment
from etl.errors import CredentialsError

Say = Callable[[str], None]
# All that a browser needs. The rest of the environment holds secrets: the app's, the encryption key, tokens, passwords.
_BROWSER_VARIABLES = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TMPDIR|LANG|LANGUAGE|LC_\w+|BROWSER|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|XDG_\w+|"
    r"DBUS_SESSION_BUS_ADDRESS|DESKTOP_SESSION|GNOME_DESKTOP_SESSION_ID|KDE_\w+|WSL_\w+|WSLENV"
)


def open_browser(url: str) -> None:
    """Open ``url`` in the user's browser, without the environment of this process."""
    variables = {name: value for name, value in environment().items() if _BROWSER_VARIABLES.fullmatch(name)}
    command = [sys.executable, "-I", "-m", "webbrowser", url]
    null = subprocess.DEVNULL
    subprocess.run(command, env=variables, check=False, stdin=null, stdout=null, stderr=null)


def sign_in(
    config: Config,
    say: Say,
    *,
    paste: Callable[[], str] | None = None,
    timeout_seconds: float = 300.0,
    stop: threading.Event | None = None,
    open_page: Callable[[str], object] = open_browser,
) -> Token:
    """Let the user consent in a browser, and return the token. ``paste`` asks for the final address instead of a callback.

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
            token = endpoint.ask(endpoint.code, redirect.code or "", redirect_uri=config.redirect_uri)
    for secret in (token.access_token, token.refresh_token):
        logs.mask(secret or "")
    return token

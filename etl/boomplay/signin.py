"""The browser's part of signing in: the address to open, and what comes back. Pure.

What comes back is undocumented: query or fragment, a code or a token. All four are read.

Invariant: a redirect whose ``state`` is not ours is refused, whatever else it holds.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

from etl.boomplay.address import service_address
from etl.boomplay.payloads import Token, parse_token
from etl.boomplay.redact import Secret, one_line
from etl.errors import CredentialsError

_AGAIN = "sign in again with `favsync accounts login`"


@dataclass(frozen=True, slots=True)
class ConsentRedirect:
    """What the browser brought back: one of a code, a token, and the words of a denial."""

    code: str | None = field(default=None, repr=False)
    token: Token | None = None
    denied: str | None = None


def consent_url(
    api_url: str,
    *,
    app_id: str,
    redirect_uri: str,
    state: str,
    scope: str = "",
    grant_type: str = "authorization_code",
    response_type: str = "token",
    path: str = "/oauth/consent",
) -> str:
    """Return the address where the user consents; ``redirect_uri`` must equal a registered one to the last character.

    Raises: SettingsError.
    """
    address = service_address(api_url)
    fields = {
        "grant_type": grant_type,
        "app_id": app_id,
        "response_type": response_type,
        "redirect_uri": redirect_uri,
        "state": state,
        "scope": scope,
    }
    query = urlencode({name: text for name, text in fields.items() if text}, quote_via=quote, safe="")
    return address.origin + address.target(path, query)


def parse_redirect(url: str, *, state: str) -> ConsentRedirect:
    """Read the address that the browser was sent back to, whole or from its ``?`` or ``#`` on.

    Raises: CredentialsError, where the state is not ours, or neither code, token nor denial is there.
    """
    facts = _facts(url)
    if not hmac.compare_digest(facts.get("state", "").encode(), state.encode()):
        raise CredentialsError("the redirect belongs to another sign-in: its state differs", remedy=_AGAIN)
    if denied := facts.get("error_description") or facts.get("error"):
        return ConsentRedirect(denied=one_line(denied.replace("+", " ")))
    if (token := parse_token(facts)) is not None:
        return ConsentRedirect(token=token)
    if code := facts.get("code"):
        return ConsentRedirect(code=code)
    raise CredentialsError("the redirect holds neither a code nor a token", remedy=_AGAIN)


def _facts(url: str) -> dict[str, Secret]:
    """Return the fields of query and fragment. ``+`` stays: tokens are base64, which forms break (api 8, row 20).

    A blank in a value was such a ``+`` before somebody decoded it, since base64 has no blanks.
    """
    before, _, fragment = url.strip().partition("#")
    query = before.partition("?")[2]
    pairs = (pair.partition("=") for part in (fragment, query) for pair in part.split("&") if pair)
    facts: dict[str, Secret] = {}
    for name, _, value in pairs:
        facts.setdefault(unquote(name), Secret(unquote(value).replace(" ", "+")))
    return {name: value for name, value in facts.items() if value}

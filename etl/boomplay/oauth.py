"""Sign-in: the consent page, the redirect back, and the requests for tokens.

Boomplay's documentation leaves parts open, so each is a field: the path, the value of ``grant_type`` and the name of the value
in `GrantRequest`, the fields of the consent page in `ConsentRequest`. The defaults are the documented values where there are
any. No page describes a refresh; its defaults are inferred from the other two grants.

Secrets travel in the body of a POST, never in an address.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

import msgspec

from etl.boomplay import payloads
from etl.boomplay.http import HttpClient, HttpOptions
from etl.boomplay.payloads import Token, parse_token
from etl.boomplay.redact import Secret, one_line
from etl.boomplay.transport import Request, service_url
from etl.errors import ApiRefused, CredentialsError

_REFUSALS = frozenset({200, 400, 401, 403})  # a 404 is about the path, not about the credentials
_AGAIN = "sign in again with `favsync accounts login`"


class GrantRequest(msgspec.Struct, frozen=True):
    """Request for one kind of token. ``value_field``: the name of the field with the refresh token or the code."""

    name: str
    path: str
    grant_type: str
    value_field: str = ""


APP = GrantRequest("app token", "/oauth/token", "clientCredentials")
REFRESH = GrantRequest("refreshed token", "/oauth/token", "refresh_token", value_field="refresh_token")
EXCHANGE = GrantRequest("user token", "/oauth/userToken", "authorization_code", value_field="code")


class ConsentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of the consent page. ``redirect_uri`` must equal a registered one to the last character."""

    grant_type: str = "authorization_code"
    app_id: str
    response_type: str = "token"
    redirect_uri: str
    state: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class ConsentRedirect:
    """Content of the redirect after the consent page: one of a code, a token, and the words of a denial."""

    code: str | None = field(default=None, repr=False)
    token: Token | None = None
    denied: str | None = None


class TokenEndpoint(HttpClient):
    """Requests tokens for an app id and its secret. `etl.settings` checks the paths of the grants."""

    def __init__(
        self,
        options: HttpOptions,
        app_secret: str = "",
        *,
        refresh: GrantRequest = REFRESH,
        code: GrantRequest = EXCHANGE,
    ) -> None:
        super().__init__(options)
        self.refresh = refresh
        self.code = code
        self._app_secret = Secret(app_secret)

    def ask(self, grant: GrantRequest, value: str = "", *, redirect_uri: str = "") -> Token:
        """Return a new token. ``value`` is the refresh token or the code. Raises CredentialsError if refused, ApiError."""
        fields = {
            "grant_type": grant.grant_type,
            "app_id": self.options.app_id,
            "app_secret": self._app_secret,
            grant.value_field: Secret(value),
            "redirect_uri": redirect_uri,
        }
        secrets = (self._app_secret, Secret(value))
        request = Request(grant.name, grant.path, body=_json_body(fields), secrets=secrets)
        try:
            return self.call(request, lambda answer: payloads.token(answer, request.place))
        except ApiRefused as error:
            if error.status not in _REFUSALS:
                raise
            message = error.message
        raise CredentialsError(message, remedy="check BOOMPLAY_APP_ID and BOOMPLAY_APP_SECRET, or sign in again")


def _json_body(fields: dict[str, str]) -> bytes:
    """Return the fields with a name and a value as JSON. A function of its own, so that no traceback shows the plain text."""
    return msgspec.json.encode({name: str(text) for name, text in fields.items() if name and text})


def consent_url(api_url: str, consent: ConsentRequest, path: str = "/oauth/consent") -> str:
    """Return the address of the page where the user consents. Raises SettingsError."""
    fields = {name: text for name, text in msgspec.structs.asdict(consent).items() if text}
    return f"{service_url(api_url)}{path}?{urlencode(fields, quote_via=quote, safe='')}"


def parse_redirect(url: str, *, state: str) -> ConsentRedirect:
    """Read the address of the redirect, whole or from its ``?`` or ``#`` on.

    The answer is undocumented (query or fragment, a code or a token), so all four forms are read.

    Raises: CredentialsError, if the state differs, or neither code, token nor denial is there.
    """
    before, _, fragment = url.strip().partition("#")
    query = before.partition("?")[2]
    fields: dict[str, Secret] = {}
    for pair in (*fragment.split("&"), *query.split("&")):
        name, _, value = pair.partition("=")
        # "+" stays, and a blank becomes one: tokens are base64, and another program may have decoded them as a form.
        if text := Secret(unquote(value).replace(" ", "+")):
            fields.setdefault(unquote(name), text)
    if not hmac.compare_digest(fields.get("state", "").encode(), state.encode()):
        raise CredentialsError("the redirect belongs to another sign-in: its state differs", remedy=_AGAIN)
    if denied := fields.get("error_description") or fields.get("error"):
        return ConsentRedirect(denied=one_line(denied.replace("+", " ")))
    if (token := parse_token(fields)) is not None:
        return ConsentRedirect(token=token)
    if code := fields.get("code"):
        return ConsentRedirect(code=code)
    raise CredentialsError("the redirect holds neither a code nor a token", remedy=_AGAIN)

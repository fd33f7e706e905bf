"""Sign-in: the consent page, the redirect back, and the requests for tokens.

Boomplay's documentation leaves parts open, so each is a field: the paths, the value of ``grant_type`` and the names of the
fields in `GrantRequest`, the fields of the consent page in `ConsentRequest`. The defaults are the documented values where there
are any. No page describes a refresh; its defaults are inferred from the other two grants.

Secrets travel in the body of a POST, never in an address.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

import msgspec

from etl.boomplay import payloads
from etl.boomplay.address import service_address
from etl.boomplay.http import HttpClient, HttpOptions
from etl.boomplay.payloads import Token, parse_token
from etl.boomplay.redact import Secret, one_line
from etl.boomplay.transport import Request
from etl.errors import ApiRefused, CredentialsError, SettingsError

_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_REFUSALS = frozenset({200, 400, 401, 403})  # a 404 is about the path, not about the credentials
_AGAIN = "sign in again with `favsync accounts login`"


class GrantRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request for one kind of token. An empty ``grant_type`` or field name omits that field."""

    name: str
    path: str
    grant_type: str
    grant_field: str = "grant_type"
    app_id_field: str = "app_id"
    secret_field: str = "app_secret"  # noqa: S105 - the name of a field
    value_field: str = ""
    redirect_field: str = ""


APP = GrantRequest(name="app token", path="/oauth/token", grant_type="clientCredentials")
REFRESH = GrantRequest(
    name="refreshed token", path="/oauth/token", grant_type="refresh_token", value_field="refresh_token"
)
EXCHANGE = GrantRequest(
    name="user token",
    path="/oauth/userToken",
    grant_type="authorization_code",
    value_field="code",
    redirect_field="redirect_uri",
)


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
    """Requests tokens for an app id and its secret.

    Raises: SettingsError, for options or grants that cannot be used.
    """

    def __init__(
        self,
        options: HttpOptions,
        app_secret: str = "",
        *,
        app: GrantRequest = APP,
        refresh: GrantRequest = REFRESH,
        code: GrantRequest = EXCHANGE,
    ) -> None:
        if not all(_PATH.fullmatch(grant.path) for grant in (app, refresh, code)):
            raise SettingsError("a token endpoint's path cannot be used", remedy="write it like /oauth/token")
        super().__init__(options)
        self.app = app
        self.refresh = refresh
        self.code = code
        self._app_secret = Secret(app_secret)

    def ask(self, grant: GrantRequest, value: str = "", *, redirect_uri: str = "") -> Token:
        """Return a new token. ``value`` is the refresh token or the code, if the grant takes one.

        Raises: CredentialsError (the service refuses the secret or the value), ApiError.
        """
        fields = {
            grant.grant_field: grant.grant_type,
            grant.app_id_field: self.options.app_id,
            grant.secret_field: self._app_secret,
            grant.value_field: Secret(value),
            grant.redirect_field: redirect_uri,
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

    def exchanged(self, code: str, redirect_uri: str = "") -> Token:
        """Return the token for the code of a redirect.

        Raises: CredentialsError, ApiError.
        """
        return self.ask(self.code, code, redirect_uri=redirect_uri)


def _json_body(fields: dict[str, str]) -> bytes:
    """Return the fields with a name and a value as JSON. A function of its own, so that no traceback shows the plain text."""
    return msgspec.json.encode({name: str(text) for name, text in fields.items() if name and text})


def consent_url(api_url: str, consent: ConsentRequest, path: str = "/oauth/consent") -> str:
    """Return the address of the page where the user consents.

    Raises: SettingsError.
    """
    address = service_address(api_url)
    fields = {name: text for name, text in msgspec.structs.asdict(consent).items() if text}
    return address.origin + address.target(path, urlencode(fields, quote_via=quote, safe=""))


def parse_redirect(url: str, *, state: str) -> ConsentRedirect:
    """Read the address of the redirect, whole or from its ``?`` or ``#`` on.

    The answer is undocumented (query or fragment, a code or a token), so all four forms are read.

    Raises: CredentialsError, if the state differs, or neither code, token nor denial is there.
    """
    fields = _redirect_fields(url)
    if not hmac.compare_digest(fields.get("state", "").encode(), state.encode()):
        raise CredentialsError("the redirect belongs to another sign-in: its state differs", remedy=_AGAIN)
    if denied := fields.get("error_description") or fields.get("error"):
        return ConsentRedirect(denied=one_line(denied.replace("+", " ")))
    if (token := parse_token(fields)) is not None:
        return ConsentRedirect(token=token)
    if code := fields.get("code"):
        return ConsentRedirect(code=code)
    raise CredentialsError("the redirect holds neither a code nor a token", remedy=_AGAIN)


def _redirect_fields(url: str) -> dict[str, Secret]:
    """Return the fields of query and fragment, without empty ones.

    ``+`` stays: tokens are base64, and form decoding would turn it into a blank. Base64 has no blanks, so a
    blank in a value was a ``+`` before another program decoded it.
    """
    before, _, fragment = url.strip().partition("#")
    query = before.partition("?")[2]
    pairs = (pair.partition("=") for part in (fragment, query) for pair in part.split("&") if pair)
    fields: dict[str, Secret] = {}
    for name, _, value in pairs:
        fields.setdefault(unquote(name), Secret(unquote(value).replace(" ", "+")))
    return {name: value for name, value in fields.items() if value}

"""Asking the service for a token.

What the documentation leaves open is a field of `GrantRequest`: the path, the spelling of
``grant_type``, the names of the fields. The defaults are the documented ones where there are any; no page describes a
refresh, so that one is a guess after the other two.

Invariant: secrets travel in the body of a POST, never in an address.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import Self, Unpack

import msgspec

from etl.boomplay import payloads
from etl.boomplay.exchange import Request
from etl.boomplay.http import HttpClient, HttpOptions
from etl.boomplay.payloads import Token
from etl.boomplay.redact import Secret
from etl.errors import ApiRefused, CredentialsError, SettingsError

_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_REFUSALS = frozenset({200, 400, 401, 403})  # a 404 speaks of the path, not of the credentials


class GrantRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of token is asked for. An empty ``grant_type`` or field name leaves that field out."""

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


class TokenEndpoint:
    """Gives tokens for an app id and its secret; safe to share between threads. A context manager, or close it.

    Raises: SettingsError, for options or grants that cannot be used.
    """

    def __init__(
        self,
        *,
        app_secret: str = "",
        app: GrantRequest = APP,
        refresh: GrantRequest = REFRESH,
        code: GrantRequest = EXCHANGE,
        **options: Unpack[HttpOptions],
    ) -> None:
        if not all(_PATH.fullmatch(grant.path) for grant in (app, refresh, code)):
            raise SettingsError("a token endpoint's path cannot be used", remedy="write it like /oauth/token")
        self.app = app
        self.refresh = refresh
        self.code = code
        self._app_secret = Secret(app_secret)
        self._wire = HttpClient(**options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, retries included."""
        return self._wire.requests

    def close(self) -> None:
        """Close all connections and end every wait."""
        self._wire.close()

    def ask(self, grant: GrantRequest, value: str = "", *, redirect_uri: str = "") -> Token:
        """Return a new token. ``value`` is the refresh token or the code, where the grant takes one.

        Raises: CredentialsError (the service refuses the secret or the value), ApiError.
        """
        secrets = (self._app_secret, Secret(value))
        call = Request(grant.name, grant.path, body=self._body(grant, Secret(value), redirect_uri), secrets=secrets)
        try:
            return self._wire.call(call, lambda body: payloads.token(body, call.place))
        except ApiRefused as error:
            if error.status not in _REFUSALS:
                raise
            message = error.message
        raise CredentialsError(message, remedy="check BOOMPLAY_APP_ID and BOOMPLAY_APP_SECRET, or sign in again")

    def exchanged(self, code: str, redirect_uri: str = "") -> Token:
        """Return the token for the code that the browser brought.

        Raises: CredentialsError, ApiError.
        """
        return self.ask(self.code, code, redirect_uri=redirect_uri)

    def _body(self, grant: GrantRequest, value: Secret, redirect_uri: str) -> bytes:
        fields = {
            grant.grant_field: grant.grant_type,
            grant.app_id_field: self._wire.app_id,
            grant.secret_field: self._app_secret,
            grant.value_field: value,
            grant.redirect_field: redirect_uri,
        }
        return msgspec.json.encode({name: str(text) for name, text in fields.items() if name and text})

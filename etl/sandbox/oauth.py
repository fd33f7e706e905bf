"""The token endpoints: client credentials, the consent page in the browser, code exchange, refresh.

The documentation contradicts itself on nearly all of this, hence the switches.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import msgspec

from etl.sandbox.messages import HTML, Refusal, SandboxReply, SandboxRequest, enveloped
from etl.sandbox.world import APP_ID, APP_SECRET, World

_PAGE = files("etl.sandbox").joinpath("consent.html").read_text(encoding="utf-8")
_REQUIRED = ("grant_type", "app_id", "response_type", "redirect_uri")


def token_endpoint(world: World, path: str) -> Callable[[World, SandboxRequest], SandboxReply] | None:
    """Return the function that answers a POST to ``path``, None if it is no token endpoint."""
    if path == "/oauth/token":
        return _app_token
    if path == world.switches.exchange_path and world.switches.consent == "query_code":
        return _exchanged
    return _refreshed if path == world.switches.refresh_path and world.switches.refresh != "none" else None


def consent(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer ``/oauth/consent``: the page, and after its decision the redirect.

    Raises: Refusal for missing parameters, an unknown app, or a redirect_uri that is not registered; none redirects.
    """
    query, switches = request.query, world.switches
    missing = [name for name in _REQUIRED if not query.get(name)]
    if missing:
        raise Refusal("parameter", f"{', '.join(missing)} missing")
    if query["app_id"] != APP_ID:
        raise Refusal("app_id")
    uri = query["redirect_uri"]
    if uri not in world.redirect_uris:
        raise Refusal("redirect_uri")
    if "decision" not in query:
        return SandboxReply(body=_page(world, query).encode(), content_type=HTML)
    if query["decision"] != "approve" or switches.consent == "denied":
        values = {"error": "access_denied"}
    elif (query.get("user") or next(iter(world.users))) not in world.users:
        raise Refusal("parameter", "there is no such user")
    else:
        user = world.list_of(query.get("user")).user
        if switches.consent == "query_code":
            values = {"code": world.tokens.code(user.name, uri)}
        else:
            values = {"access_token": world.new_token(user), "expires_in": str(int(switches.token_lifetime_seconds))}
    if "state" in query:
        values["state"] = query["state"]
    is_raw = switches.consent_encoding == "raw"
    pairs = [
        f"{name}={value if is_raw and name != 'state' else quote(value, safe='')}" for name, value in values.items()
    ]
    mark = "#" if switches.consent != "query_code" else "&" if "?" in uri else "?"
    return SandboxReply(302, b"", HTML, (("Location", uri + mark + "&".join(pairs)),))


def _page(world: World, query: dict[str, str]) -> str:
    hidden = [
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in query.items()
        if name not in ("user", "decision")
    ]
    users = "".join(f"<option>{escape(name)}</option>" for name in world.users)
    return _PAGE.format(fields="\n".join(hidden), users=users)


def _app_token(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer ``POST /oauth/token``: an app token for app id and secret, or by switch also a refresh."""
    asked = _posted(request)
    if "refresh_token" in asked and world.switches.refresh_path == request.path:
        return _refreshed(world, request)
    accepted = world.switches.grant_type
    if accepted != "any" and asked.get("grant_type") != (None if accepted == "absent" else accepted):
        raise Refusal("grant_type", f"only {accepted}")
    return _token_reply(world, world.tokens.access(None, world.switches.token_lifetime_seconds))


def _exchanged(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer the exchange of a code, which works once, for a user token."""
    asked = _posted(request)
    code = world.tokens.codes.pop(str(asked.get("code", "")), None)
    if code is None or code.user is None or code.expires_at <= world.now():
        raise Refusal("code")
    if asked.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        raise Refusal("redirect_uri")
    user = world.users[code.user]
    more = {}
    access_token = world.new_token(user)
    if world.switches.refresh != "none":
        user.refresh_token = more["refresh_token"] = world.tokens.refresh(user.name)
    return _token_reply(world, access_token, **more, user_id=user.user_id)


def _refreshed(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer a refresh: a new access token, and where refresh tokens rotate also a new one of those."""
    used = str(_posted(request).get("refresh_token", ""))
    name = world.tokens.refreshable.get(used)
    if name is None:
        raise Refusal("refresh_token")
    more = {}
    access_token = world.new_token(name)
    if world.switches.refresh == "rotating":
        del world.tokens.refreshable[used]
        world.users[name].refresh_token = more["refresh_token"] = world.tokens.refresh(name)
    return _token_reply(world, access_token, **more)


def _posted(request: SandboxRequest) -> dict[str, Any]:
    """Return the posted object, which must hold app id and secret."""
    try:
        asked: dict[str, Any] = msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal("body") from None
    secret = str(asked.get("app_secret", "")).encode()
    if asked.get("app_id") != APP_ID or not hmac.compare_digest(secret, APP_SECRET.encode()):
        raise Refusal("app_secret")
    return asked


def _token_reply(world: World, access_token: str, **more: str) -> SandboxReply:
    tokens = {"access_token": access_token, "expires_in": int(world.switches.token_lifetime_seconds), **more}
    if world.switches.token_answer == "enveloped":  # noqa: S105 - a position
        return enveloped(tokens)
    return SandboxReply(body=msgspec.json.encode({_camel(name): value for name, value in tokens.items()}))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)

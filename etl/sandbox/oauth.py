"""Getting tokens: client credentials, the consent page in the browser, code exchange, refresh.

The documentation contradicts itself on nearly all of this, hence the switches.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote

import msgspec

from etl.sandbox.refusals import Refusal
from etl.sandbox.state import SandboxUser
from etl.sandbox.wire import HTML, SandboxReply, SandboxRequest, enveloped
from etl.sandbox.world import APP_ID, APP_SECRET, World

_PAGE = """<!doctype html>
<html lang="en">
<title>Sandbox consent</title>
<h1>May this app read your favourites?</h1>
<p>This is favsync's stand-in for Boomplay, not Boomplay.</p>
<form action="/oauth/consent">
{fields}
<label>Account <select name="user">{users}</select></label>
<button name="decision" value="approve">Approve</button>
<button name="decision" value="deny">Deny</button>
</form>
</html>
"""
_REQUIRED = ("grant_type", "app_id", "response_type", "redirect_uri")


def app_token(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer ``POST /oauth/token``: an app token for app id and secret, or by switch also a refresh.

    Raises: Refusal for wrong credentials, or a grant_type that is switched off.
    """
    asked = _posted(request)
    if "refresh_token" in asked and world.switches.refresh_path == request.path:
        return refreshed(world, request)
    _check_app(asked)
    accepted = world.switches.grant_type
    given = asked.get("grant_type")
    if accepted != "any" and given != (None if accepted == "absent" else accepted):
        raise Refusal("grant_type", f"only {accepted}")
    token = world.tokens.access(None, world.switches.token_lifetime_seconds)
    return _token_reply(world, {"access_token": token, "expires_in": _lifetime(world)})


def consent(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer ``/oauth/consent``: the page, and after its decision the redirect.

    Raises: Refusal for missing parameters, an unknown app, or a redirect_uri that is not registered; none redirects.
    """
    query = request.query
    missing = [name for name in _REQUIRED if not query.get(name)]
    if missing:
        raise Refusal("parameter", f"{', '.join(missing)} missing")
    if query["app_id"] != APP_ID:
        raise Refusal("app_id")
    if query["redirect_uri"] not in world.redirect_uris:
        raise Refusal("redirect_uri")
    if "decision" not in query:
        return SandboxReply(body=_page(world, query).encode(), content_type=HTML)
    is_approved = query["decision"] == "approve" and world.switches.consent != "denied"
    return _redirect(world, query, _granted(world, query) if is_approved else {"error": "access_denied"})


def exchanged(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer the exchange of a code for a user token.

    Raises: Refusal for wrong credentials or a code that does not work.
    """
    asked = _posted(request)
    _check_app(asked)
    code = world.tokens.exchanged(str(asked.get("code", "")))
    if code is None:
        raise Refusal("code")
    if asked.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        raise Refusal("redirect_uri")
    user = world.accounts[code.user].user
    tokens: dict[str, Any] = {"access_token": _renewed(world, user), "expires_in": _lifetime(world)}
    if world.switches.refresh != "none":
        user.refresh_token = tokens["refresh_token"] = world.tokens.refresh(user.name)
    return _token_reply(world, tokens | {"user_id": user.user_id})


def refreshed(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer a refresh: a new access token, and where refresh tokens rotate also a new one of those.

    Raises: Refusal for wrong credentials, or a refresh token that does not work.
    """
    asked = _posted(request)
    _check_app(asked)
    spent = str(asked.get("refresh_token", ""))
    name = world.tokens.refreshed_user(spent)
    if name is None:
        raise Refusal("refresh_token")
    user = world.accounts[name].user
    tokens: dict[str, Any] = {"access_token": _renewed(world, user), "expires_in": _lifetime(world)}
    if world.switches.refresh == "rotating":
        world.tokens.spend(spent)
        user.refresh_token = tokens["refresh_token"] = world.tokens.refresh(name)
    return _token_reply(world, tokens)


def token_endpoint(world: World, path: str) -> Callable[[World, SandboxRequest], SandboxReply] | None:
    """Return what answers a POST to ``path``, None if no token is to be had there."""
    if path == "/oauth/token":
        return app_token
    if path == world.switches.exchange_path and world.switches.consent == "query_code":
        return exchanged
    return refreshed if path == world.switches.refresh_path and world.switches.refresh != "none" else None


def _posted(request: SandboxRequest) -> dict[str, Any]:
    try:
        decoded: dict[str, Any] = msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal("body") from None
    return decoded


def _check_app(asked: dict[str, Any]) -> None:
    secret = str(asked.get("app_secret", "")).encode()
    if asked.get("app_id") != APP_ID or not hmac.compare_digest(secret, APP_SECRET.encode()):
        raise Refusal("app_secret")


def _lifetime(world: World) -> int:
    return int(world.switches.token_lifetime_seconds)


def _token_reply(world: World, tokens: dict[str, Any]) -> SandboxReply:
    if world.switches.token_answer == "enveloped":  # noqa: S105 - a position
        return enveloped(tokens)
    return SandboxReply(body=msgspec.json.encode({_camel(name): value for name, value in tokens.items()}))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _granted(world: World, query: dict[str, str]) -> dict[str, str]:
    account = world.accounts.get(query.get("user") or next(iter(world.accounts)))
    if account is None:
        raise Refusal("parameter", "there is no such user")
    if world.switches.consent == "query_code":
        return {"code": world.tokens.code(account.user.name, query["redirect_uri"])}
    return {"access_token": _renewed(world, account.user), "expires_in": str(_lifetime(world))}


def _renewed(world: World, user: SandboxUser) -> str:
    user.access_token = world.tokens.access(user.name, world.switches.token_lifetime_seconds)
    return user.access_token


def _redirect(world: World, query: dict[str, str], values: dict[str, str]) -> SandboxReply:
    if "state" in query:
        values = values | {"state": query["state"]}
    is_raw = world.switches.consent_encoding == "raw"
    pairs = [
        f"{name}={value if is_raw and name != 'state' else quote(value, safe='')}" for name, value in values.items()
    ]
    uri = query["redirect_uri"]
    mark = "#" if world.switches.consent != "query_code" else "&" if "?" in uri else "?"
    return SandboxReply(302, b"", HTML, (("Location", uri + mark + "&".join(pairs)),))


def _page(world: World, query: dict[str, str]) -> str:
    hidden = [
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in query.items()
        if name not in ("user", "decision")
    ]
    users = "".join(f"<option>{escape(name)}</option>" for name in world.accounts)
    return _PAGE.format(fields="\n".join(hidden), users=users)

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from etl.sandbox import Sandbox, Switches
from tests.sandbox.client import TRACKS, Open, SandboxClient, status_and_code

REDIRECT_URI = "http://localhost:8888/"


def credentials(client: SandboxClient, **more: Any) -> dict[str, Any]:
    return {"app_id": client.sandbox.app_id, "app_secret": client.sandbox.app_secret, **more}


def consent(client: SandboxClient, **more: str) -> httpx.Response:
    asked = {
        "grant_type": "authorization_code",
        "app_id": client.sandbox.app_id,
        "response_type": "token",
        "redirect_uri": REDIRECT_URI,
        "state": "a b&c",
    }
    return client.get("/oauth/consent", **{name: value for name, value in (asked | more).items() if value})


def as_bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"app_id": ""}, (401, 1)),
        ({"app_id": "another"}, (401, 1)),
        ({"Authorization": ""}, (401, 2)),
        ({"Authorization": "Basic abc"}, (401, 2)),
        ({"Authorization": "Bearer"}, (401, 2)),
        ({"Authorization": "Bearer unknown"}, (401, 3)),
    ],
)
def test_app_id_and_bearer_token_are_required(opened: Open, headers: dict[str, str], refusal: tuple[int, int]) -> None:
    client = opened(tracks=3)
    assert status_and_code(client.http.get(TRACKS, headers=headers)) == refusal


def test_a_bare_token_works_only_by_switch(opened: Open) -> None:
    client = opened(tracks=3)
    bare = {"Authorization": client.sandbox.users["ada"].access_token}
    assert client.http.get(TRACKS, headers=bare).status_code == 401
    client.sandbox.switch(bare_token=True)
    assert client.http.get(TRACKS, headers=bare).status_code == 200


def test_content_type_is_required_only_by_switch(opened: Open) -> None:
    client = opened(tracks=3)
    assert client.get().status_code == 200
    client.sandbox.switch(strict_headers=True)
    assert client.refusal() == (415, 7)
    assert client.http.get(TRACKS, headers={"Content-Type": "application/json"}).status_code == 200


def test_a_token_expires_after_its_lifetime(opened: Open) -> None:
    clock = [datetime(2024, 5, 1, tzinfo=UTC)]
    client = opened(tracks=3, now=lambda: clock[0], switches=Switches(token_lifetime_seconds=60))
    clock[0] += timedelta(seconds=59)
    assert client.get().status_code == 200
    clock[0] += timedelta(seconds=1)
    assert client.refusal() == (401, 4)


def test_a_token_can_be_expired_or_revoked_and_replaced(opened: Open) -> None:
    client = opened(tracks=3)
    client.sandbox.expire_token("ada")
    assert client.refusal() == (401, 4)
    fresh = client.sandbox.new_token("ada")
    assert client.http.get(TRACKS, headers=as_bearer(fresh)).status_code == 200
    client.sandbox.revoke_token(client.sandbox.users["ada"])
    assert status_and_code(client.http.get(TRACKS, headers=as_bearer(fresh))) == (401, 5)


@pytest.mark.parametrize("end", ["expire_token", "revoke_token"])
def test_ending_one_users_tokens_spares_the_others(opened: Open, end: str) -> None:
    client = opened(tracks=3, users=("ada", "bola"), switches=Switches(refresh="fixed"))
    getattr(client.sandbox, end)("bola")
    assert client.get().status_code == 200
    refresh_token = client.sandbox.users["ada"].refresh_token
    assert client.post("/oauth/refreshToken", **credentials(client, refresh_token=refresh_token)).status_code == 200
    assert client.http.get(TRACKS, headers=as_bearer(client.sandbox.users["bola"].access_token)).status_code == 401


@pytest.mark.parametrize("transport", ["http_envelope", "http_html", "ok_code"])
def test_a_refusal_travels_as_the_switch_says(opened: Open, transport: Any) -> None:
    client = opened(tracks=3, switches=Switches(error_transport=transport, error_base=770_000))
    answer = client.http.get(TRACKS, headers={"app_id": ""})
    assert answer.status_code == (200 if transport == "ok_code" else 401)
    if transport == "http_html":
        assert answer.headers["content-type"].startswith("text/html")
        assert "401" in answer.text
    else:
        assert answer.json() == {"desc": "the header app_id is missing or unknown", "code": 770_001, "data": None}


@pytest.mark.parametrize(
    ("position", "status", "retry_after"), [("retry_after", 429, "7"), ("bare", 429, None), ("ok_code", 200, None)]
)
def test_every_third_request_is_throttled(opened: Open, position: Any, status: int, retry_after: str | None) -> None:
    client = opened(tracks=3, switches=Switches(throttling=position, retry_after="7"))
    answers = [client.get() for _ in range(6)]
    assert [answer.json()["code"] for answer in answers] == [0, 0, 990_030] * 2
    assert answers[2].status_code == status
    assert answers[2].headers.get("retry-after") == retry_after


@pytest.mark.parametrize("accepted", ["any", "clientCredentials", "client_credentials", "absent"])
@pytest.mark.parametrize("sent", ["clientCredentials", "client_credentials", None])
def test_an_app_token_needs_the_accepted_grant_type(opened: Open, accepted: Any, sent: str | None) -> None:
    client = opened(tracks=3, switches=Switches(grant_type=accepted))
    spelling = {"grant_type": sent} if sent else {}
    answer = client.post("/oauth/token", **credentials(client), **spelling)
    if accepted in ("any", sent or "absent"):
        assert list(answer.json()) == ["desc", "code", "data"]
        assert answer.json()["data"]["expires_in"] == 7200
    else:
        assert status_and_code(answer) == (400, 41)


def test_the_token_answer_is_enveloped_or_bare(opened: Open) -> None:
    client = opened(tracks=3, switches=Switches(token_answer="bare"))
    answer = client.post("/oauth/token", **credentials(client)).json()
    assert list(answer) == ["accessToken", "expiresIn"]


def test_tokens_look_like_the_documented_one(opened: Open) -> None:
    client = opened(tracks=3)
    token = client.post("/oauth/token", **credentials(client)).json()["data"]["access_token"]
    assert len(token) == 44
    assert len(b64decode(token, validate=True)) == 32
    assert "+" in token


@pytest.mark.parametrize(
    "wrong", [{"app_secret": "guess"}, {"app_id": "another"}, {"app_secret": None}, {"app_secret": "é"}]
)
def test_wrong_credentials_get_no_token(opened: Open, wrong: dict[str, Any]) -> None:
    client = opened(tracks=3)
    assert status_and_code(client.post("/oauth/token", **credentials(client) | wrong)) == (401, 40)


@pytest.mark.parametrize("body", [b"", b"[]", b"grant_type=x", b"\xff"])
def test_a_token_request_that_is_no_json_object_is_refused(opened: Open, body: bytes) -> None:
    client = opened(tracks=3)
    assert status_and_code(client.http.post("/oauth/token", content=body)) == (400, 42)


def test_app_tokens_and_user_tokens_differ(opened: Open) -> None:
    client = opened(tracks=3)
    app = as_bearer(client.post("/oauth/token", **credentials(client)).json()["data"]["access_token"])
    by_ids: dict[str, Any] = {"url": "/track/v1/trackIds", "params": {"ids": client.true_ids[0]}}
    assert status_and_code(client.http.get(TRACKS, headers=app)) == (403, 6)
    assert client.http.get(**by_ids, headers=app).status_code == 200
    assert client.http.get(**by_ids).status_code == 200
    client.sandbox.switch(user_token_everywhere=False)
    assert status_and_code(client.http.get(**by_ids)) == (403, 6)


def test_the_consent_page_asks_and_keeps_the_query(opened: Open) -> None:
    client = opened(tracks=3, users=("ada", "bola"))
    page = consent(client, state='"><script>')
    assert page.headers["content-type"].startswith("text/html")
    assert "Approve" in page.text
    assert "Deny" in page.text
    assert "not Boomplay" in page.text
    assert "<option>bola</option>" in page.text
    assert "<script>" not in page.text
    assert 'name="redirect_uri" value="http://localhost:8888/"' in page.text


@pytest.mark.parametrize("encoding", ["percent", "raw"])
def test_approval_puts_token_and_state_in_the_fragment(opened: Open, encoding: Any) -> None:
    client = opened(tracks=3, users=("ada", "bola"), switches=Switches(consent_encoding=encoding))
    answer = consent(client, decision="approve", user="bola")
    assert answer.status_code == 302
    location, _, fragment = answer.headers["location"].partition("#")
    assert location == REDIRECT_URI
    token = client.sandbox.users["bola"].access_token
    if encoding == "percent":
        assert parse_qs(fragment) == {"access_token": [token], "expires_in": ["7200"], "state": ["a b&c"]}
    else:
        assert f"access_token={token}&" in fragment
        assert dict(parse_qsl(fragment))["access_token"] != token
    answer = client.http.get(TRACKS, headers=as_bearer(token))
    assert [item["track_id"] for item in answer.json()["data"]] == client.sandbox.favourites("bola")


@pytest.mark.parametrize(("position", "decision"), [("fragment_token", "deny"), ("denied", "approve")])
def test_a_denial_comes_back_as_an_error(opened: Open, position: Any, decision: str) -> None:
    client = opened(tracks=3, switches=Switches(consent=position))
    fragment = urlsplit(consent(client, decision=decision).headers["location"]).fragment
    assert parse_qs(fragment) == {"error": ["access_denied"], "state": ["a b&c"]}


@pytest.mark.parametrize("refresh", ["none", "rotating"])
def test_a_code_in_the_query_is_exchanged_once(opened: Open, refresh: Any) -> None:
    client = opened(tracks=3, switches=Switches(consent="query_code", exchange_path="/x/y", refresh=refresh))
    client.sandbox.register_redirect_uri("http://127.0.0.1:1/cb?from=b")
    location = consent(client, decision="approve", redirect_uri="http://127.0.0.1:1/cb?from=b").headers["location"]
    query = dict(parse_qsl(urlsplit(location).query))
    assert (query["from"], query["state"]) == ("b", "a b&c")
    answer = client.post("/x/y", **credentials(client, code=query["code"])).json()["data"]
    user = client.sandbox.users["ada"]
    assert answer["access_token"] == user.access_token
    assert answer["user_id"] == user.user_id
    assert ("refresh_token" in answer) == (refresh == "rotating")
    assert client.http.get(TRACKS, headers=as_bearer(user.access_token)).status_code == 200
    assert status_and_code(client.post("/x/y", **credentials(client, code=query["code"]))) == (400, 43)


def test_a_code_is_bound_to_its_redirect_uri_and_expires(opened: Open) -> None:
    clock = [datetime(2024, 5, 1, tzinfo=UTC)]
    client = opened(tracks=3, now=lambda: clock[0], switches=Switches(consent="query_code"))

    def code() -> str:
        return parse_qs(urlsplit(consent(client, decision="approve").headers["location"]).query)["code"][0]

    elsewhere = credentials(client, code=code(), redirect_uri=f"{REDIRECT_URI}x")
    assert status_and_code(client.post("/oauth/userToken", **elsewhere)) == (400, 45)
    late = credentials(client, code=code())
    clock[0] += timedelta(minutes=10)
    assert status_and_code(client.post("/oauth/userToken", **late)) == (400, 43)


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"redirect_uri": "http://localhost:8888"}, (400, 45)),
        ({"redirect_uri": "http://LOCALHOST:8888/"}, (400, 45)),
        ({"app_id": "another"}, (401, 1)),
        ({"app_id": ""}, (400, 10)),
        ({"response_type": ""}, (400, 10)),
        ({"decision": "approve", "user": "eve"}, (400, 10)),
    ],
)
def test_a_wrong_consent_request_is_never_redirected(
    opened: Open, wrong: dict[str, str], refusal: tuple[int, int]
) -> None:
    assert status_and_code(consent(opened(tracks=3), **wrong)) == refusal


@pytest.mark.parametrize("path", ["/oauth/refreshToken", "/oauth/token", "/made/up"])
def test_a_fixed_refresh_token_works_again_and_again(opened: Open, path: str) -> None:
    client = opened(tracks=3, switches=Switches(refresh="fixed", refresh_path=path))
    user = client.sandbox.users["ada"]
    asked = credentials(client, grant_type="refresh_token", refresh_token=user.refresh_token)
    tokens = [client.post(path, **asked).json()["data"] for _ in range(2)]
    assert [list(token) for token in tokens] == [["access_token", "expires_in"]] * 2
    assert tokens[0] != tokens[1]
    assert client.http.get(TRACKS, headers=as_bearer(tokens[0]["access_token"])).status_code == 200


def test_a_rotating_refresh_token_works_once(opened: Open) -> None:
    client = opened(tracks=3, switches=Switches(refresh="rotating"))
    first = client.sandbox.users["ada"].refresh_token
    second = client.post("/oauth/refreshToken", **credentials(client, refresh_token=first)).json()["data"][
        "refresh_token"
    ]
    assert second == client.sandbox.users["ada"].refresh_token != first
    assert status_and_code(client.post("/oauth/refreshToken", **credentials(client, refresh_token=first))) == (400, 44)
    assert client.post("/oauth/refreshToken", **credentials(client, refresh_token=second)).json()["code"] == 0


def test_a_revoked_refresh_token_does_not_work(opened: Open) -> None:
    client = opened(tracks=3, switches=Switches(refresh="fixed"))
    client.sandbox.revoke_token("ada")
    refresh_token = client.sandbox.users["ada"].refresh_token
    refused = client.post("/oauth/refreshToken", **credentials(client, refresh_token=refresh_token))
    assert status_and_code(refused) == (400, 44)


def test_switched_off_token_paths_do_not_exist(opened: Open) -> None:
    client = opened(tracks=3)
    assert status_and_code(client.post("/oauth/refreshToken", **credentials(client))) == (404, 20)
    assert status_and_code(client.post("/oauth/userToken", **credentials(client))) == (404, 20)


def test_user_ids_look_like_the_documented_one() -> None:
    for user in Sandbox(tracks=1, users=("ada", "bola", "chidi")).users.values():
        assert re.fullmatch(r"[A-Za-z0-9+/]{22}==", user.user_id)
        assert "+" in user.user_id
        assert "/" in user.user_id

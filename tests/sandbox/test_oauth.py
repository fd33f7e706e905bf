from __future__ import annotations

import re
from base64 import b64decode
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from etl.sandbox import Sandbox
from tests.sandbox.service import Answer, Service

REDIRECT_URI = "http://localhost:8888/"


def token(service: Service, path: str = "/oauth/token", **fields: Any) -> Answer:
    known = {"app_id": service.sandbox.app_id, "app_secret": service.sandbox.app_secret}
    return service.post(path, **(known | fields))


def consent(service: Service, **fields: str) -> Answer:
    asked = {
        "grant_type": "authorization_code",
        "app_id": service.sandbox.app_id,
        "response_type": "token",
        "redirect_uri": REDIRECT_URI,
        "state": "a b&c",
    }
    return service.ask("/oauth/consent", **{name: value for name, value in (asked | fields).items() if value})


def status_with(service: Service, access_token: str) -> int:
    service.use(access_token)
    return service.ask().status


@pytest.mark.parametrize("accepted", ["any", "clientCredentials", "client_credentials", "absent"])
@pytest.mark.parametrize("sent", ["clientCredentials", "client_credentials", None])
def test_an_app_token_needs_the_accepted_grant_type(accepted: str, sent: str | None) -> None:
    answer = token(Service(tracks=3, grant_type=accepted), **({"grant_type": sent} if sent else {}))
    if accepted in ("any", sent or "absent"):
        assert list(answer.json) == ["desc", "code", "data"]
        assert answer.json["data"]["expires_in"] == 7200
    else:
        assert answer.refusal == (400, 41)


def test_tokens_and_user_ids_look_like_the_documented_ones() -> None:
    answer = token(Service(tracks=3, token_answer="bare")).json
    assert list(answer) == ["accessToken", "expiresIn"]
    assert len(answer["accessToken"]) == 44
    assert len(b64decode(answer["accessToken"], validate=True)) == 32
    assert "+" in answer["accessToken"]
    for user in Sandbox(tracks=1, users=("ada", "bola", "chidi")).users.values():
        assert re.fullmatch(r"[A-Za-z0-9+/]{22}==", user.user_id)
        assert {"+", "/"} <= set(user.user_id)


@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        ("/oauth/token", {"app_secret": "guess"}, (401, 40)),
        ("/oauth/token", {"app_id": "another"}, (401, 40)),
        ("/oauth/token", {"app_secret": None}, (401, 40)),
        ("/oauth/token", {"app_secret": "é"}, (401, 40)),
        ("/oauth/token", {"body": b"[]"}, (400, 42)),
        ("/oauth/token", {"body": b"\xff"}, (400, 42)),
        ("/oauth/refreshToken", {}, (404, 20)),  # switched off
        ("/oauth/userToken", {}, (404, 20)),
    ],
)
def test_a_wrong_request_gets_no_token(path: str, body: dict[str, Any], refusal: tuple[int, int]) -> None:
    assert token(Service(tracks=3), path, **body).refusal == refusal


def test_the_consent_page_asks_and_keeps_the_query() -> None:
    page = consent(Service(tracks=3, users=("ada", "bola")), state='"><script>')
    assert page.reply.content_type.startswith("text/html")
    for text in ("Approve", "Deny", "not Boomplay", "<option>bola</option>"):
        assert text in page.reply.body.decode()
    assert b"<script>" not in page.reply.body
    assert b'name="redirect_uri" value="http://localhost:8888/"' in page.reply.body


def test_a_code_is_bound_to_its_redirect_uri_and_expires() -> None:
    service = Service(tracks=3, consent="query_code")

    def code() -> str:
        return parse_qs(urlsplit(consent(service, decision="approve").headers["Location"]).query)["code"][0]

    elsewhere = token(service, "/oauth/userToken", code=code(), redirect_uri=f"{REDIRECT_URI}x")
    assert elsewhere.refusal == (400, 45)
    late = code()
    service.now += timedelta(minutes=10)
    assert token(service, "/oauth/userToken", code=late).refusal == (400, 43)


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
def test_a_wrong_consent_request_is_never_redirected(wrong: dict[str, str], refusal: tuple[int, int]) -> None:
    assert consent(Service(tracks=3), **wrong).refusal == refusal


@pytest.mark.parametrize("path", ["/oauth/refreshToken", "/oauth/token", "/made/up"])
def test_a_fixed_refresh_token_works_again_and_again(path: str) -> None:
    service = Service(tracks=3, refresh="fixed", refresh_path=path)
    used = service.sandbox.users["ada"].refresh_token
    tokens = [token(service, path, grant_type="refresh_token", refresh_token=used).json["data"] for _ in range(2)]
    assert [list(each) for each in tokens] == [["access_token", "expires_in"]] * 2
    assert tokens[0] != tokens[1]
    assert status_with(service, tokens[0]["access_token"]) == 200

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from etl.boomplay.oauth import ConsentRedirect, ConsentRequest, consent_url, parse_redirect
from etl.boomplay.payloads import Token
from etl.errors import CredentialsError, SettingsError

HERE = "http://127.0.0.1:8888/callback"
TOKEN = "Ab+c/d0=="


def test_the_consent_url_has_the_documented_fields_only() -> None:
    url = consent_url("https://api.example.com", ConsentRequest(app_id="app 1", redirect_uri=HERE, state="s&+1"))
    parts = urlsplit(url)
    assert url.startswith("https://api.example.com/oauth/consent?")
    assert dict(parse_qsl(parts.query)) == {
        "grant_type": "authorization_code",
        "app_id": "app 1",
        "response_type": "token",
        "redirect_uri": HERE,
        "state": "s&+1",
    }
    assert "+" not in parts.query


def test_a_configured_scope_is_sent() -> None:
    consent = ConsentRequest(app_id="a", redirect_uri=HERE, state="s", scope="one two")
    url = consent_url("https://api.example.com", consent, "/go")
    assert url.startswith("https://api.example.com/go?")
    assert url.endswith("&scope=one%20two")


def test_a_plain_http_consent_page_is_refused() -> None:
    with pytest.raises(SettingsError):
        consent_url("http://api.example.com", ConsentRequest(app_id="a", redirect_uri=HERE, state="s"))


@pytest.mark.parametrize(
    "url",
    [
        f"{HERE}#access_token={TOKEN}&state=s1&expires_in=7200",
        f"{HERE}?access_token={TOKEN}&state=s1&expires_in=7200",
        f"{HERE}?state=s1#access_token={TOKEN}&expires_in=7200",
        f"{HERE}#access_token=Ab%2Bc%2Fd0%3D%3D&state=s1&expires_in=7200",
        f"{HERE}#access_token=Ab%20c%2Fd0%3D%3D&state=s1&expires_in=7200",
        f"#accessToken={TOKEN}&state=s1&expiresIn=7200",
        f"  ?access_token={TOKEN}&&state=s1&expires_in=7200\n",
    ],
)
def test_a_token_is_read_from_query_or_fragment_with_its_plus(url: str) -> None:
    assert parse_redirect(url, state="s1") == ConsentRedirect(token=Token(TOKEN, 7200))


@pytest.mark.parametrize(
    "url", [f"{HERE}?code=a+b%2F&state=s1", f"{HERE}#state=s1&code=a+b/", f"{HERE}/?code=a%2Bb/&state=s1"]
)
def test_a_code_is_read_from_query_or_fragment(url: str) -> None:
    assert parse_redirect(url, state="s1") == ConsentRedirect(code="a+b/")


def test_a_denial_keeps_the_words_of_the_service() -> None:
    url = f"{HERE}?error=access_denied&error_description=The+user%0Asaid%1B+no&state=s1&code=left-over"
    assert parse_redirect(url, state="s1") == ConsentRedirect(denied="The user said no")
    assert parse_redirect(f"{HERE}#error=access_denied&state=s1", state="s1").denied == "access_denied"


@pytest.mark.parametrize("state", ["", "&state=", "&state=s2", "&state=S1", "&state=s1%00", "&state=ü"])
def test_a_redirect_of_another_sign_in_is_refused(state: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        parse_redirect(f"{HERE}#access_token={TOKEN}{state}", state="s1")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("url", [f"{HERE}?state=s1", f"{HERE}?state=s1&code=&access_token=", "?state=s1&access_token"])
def test_a_redirect_without_code_or_token_is_refused(url: str) -> None:
    with pytest.raises(CredentialsError, match="neither a code nor a token"):
        parse_redirect(url, state="s1")


def test_no_repr_shows_the_content_of_a_redirect() -> None:
    shown = repr(parse_redirect(f"?code={TOKEN}&state=s", state="s")) + repr(
        parse_redirect(f"?access_token={TOKEN}&state=s", state="s")
    )
    assert TOKEN not in shown

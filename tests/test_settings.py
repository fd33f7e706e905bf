"""The settings of sign-in, renewal and the dead man's switch: what is taken and what is not."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from etl.config import load
from etl.errors import SettingsError
from etl.settings import SETTINGS, Settings


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("BOOMPLAY_REFRESH_PATH", "oauth/token"),
        ("BOOMPLAY_REFRESH_PATH", "/oauth/token?x=1"),
        ("BOOMPLAY_EXCHANGE_PATH", "https://elsewhere.example/oauth"),
        ("BOOMPLAY_CONSENT_PATH", "/"),
        ("BOOMPLAY_REFRESH_GRANT_TYPE", "refresh token"),
        ("BOOMPLAY_REDIRECT_URI", "localhost:8888"),
        ("BOOMPLAY_REDIRECT_URI", "http://localhost:8888/#here"),
        ("BOOMPLAY_TOKEN_CODES", "401,bad"),
        ("FAVSYNC_PING_URL", "hc-ping.com/secret-marker"),
        ("FAVSYNC_PING_URL", "file:///etc/secret-marker"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_what_would(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=variable) as refused:
        load({}, {variable: text}, None)
    assert refused.value.remedy.startswith(f"set {variable} to ")
    assert "secret-marker" not in f"{refused.value} {refused.value.remedy}"


def test_the_defaults_are_the_documented_ones() -> None:
    config = load({}, {}, None)
    assert (config.consent_path, config.exchange_path, config.refresh_path) == (
        "/oauth/consent",
        "/oauth/userToken",
        "/oauth/token",
    )
    assert (config.refresh_grant_type, config.refresh_field) == ("refresh_token", "refresh_token")
    assert config.redirect_uri == "http://localhost:8888/"
    assert config.token_codes == frozenset()
    assert config.ping_url is config.scope is None


def test_codes_that_mean_a_bad_token_are_numbers_with_commas() -> None:
    assert load({}, {"BOOMPLAY_TOKEN_CODES": "40101, 40102"}, None).token_codes == {40101, 40102}


def test_the_switchs_address_is_a_secret() -> None:
    config = load({}, {"FAVSYNC_PING_URL": "https://hc-ping.com/the-uuid"}, None)
    assert "the-uuid" not in repr(config)
    assert "https://hc-ping.com/the-uuid" in set(config.secrets())


def test_every_setting_with_a_secret_is_known_as_one() -> None:
    secret = {name for name, kind in get_type_hints(Settings).items() if "SecretText" in str(kind)}
    assert {setting.name for setting in SETTINGS if setting.is_secret} == secret - {
        "database_url"
    }  # it has its own mask

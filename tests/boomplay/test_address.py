from __future__ import annotations

import pytest

from etl.boomplay.address import service_address
from etl.errors import SettingsError

HTTPS = service_address("https://api.example.com/base/")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080", "http://127.1.2.3", "http://localhost:1", "http://[::1]:9", "HTTPS://api.example.com"],
)
def test_https_goes_anywhere_and_plain_http_to_this_machine(url: str) -> None:
    service_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://openapi.boomplay.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://[::2]",
        "http://2130706433",
        "ftp://openapi.boomplay.com",
        "openapi.boomplay.com",
        "//openapi.boomplay.com",
        "https://",
        "https:///path",
        "",
        "https://host:port",
        "https://host:0",
        "https://[::1",
        "https://a b",
        "https://bücher.example",
        "https://host/?key=1",
        "https://host/#part",
        "https://host/\r\nX: y",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        service_address(url)
    assert "\n" not in str(caught.value)


def test_a_refused_address_does_not_show_its_password() -> None:
    with pytest.raises(SettingsError) as caught:
        service_address("https://me:hunter2@openapi.boomplay.com")
    assert "hunter2" not in str(caught.value) + caught.value.remedy


def test_a_path_before_the_api_is_kept() -> None:
    assert HTTPS.target("/user/getUserInfo") == "/base/user/getUserInfo"
    assert HTTPS.target("/a", "b=1") == "/base/a?b=1"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/other?x=1", "/other?x=1"),
        ("sibling", "/base/sibling"),
        ("?offset=5", "/base/list?offset=5"),
        ("https://api.example.com/other", "/other"),
        ("https://API.example.com:443/other#part", "/other"),
        ("https://user:pw@api.example.com/other", "/other"),
        ("https://api.example.com", "/"),
        ("https://api.example.com//evil.example/x", "//evil.example/x"),
    ],
)
def test_a_redirect_within_the_service_is_followed(location: str, target: str) -> None:
    assert HTTPS.redirected("/base/list?offset=1", location) == target


@pytest.mark.parametrize(
    "location",
    [
        "http://api.example.com/other",
        "https://evil.example/other",
        "//evil.example/other",
        "https://api.example.com:444/other",
        "https://api.example.com.evil.example/",
        "https://api.example.com@evil.example/",
        "https://evil.example\\@api.example.com/",
        "https://api.example.com:x/",
        "http://[::1",
        "ftp://api.example.com/",
        "javascript:alert(1)",
        "/white space",
        "/ümlaut",
        "",
    ],
)
def test_a_redirect_elsewhere_is_not(location: str) -> None:
    assert HTTPS.redirected("/base/list", location) is None

"""Covers: which addresses are asked, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etl.boomplay.covers import MAX_COVER_BYTES, MAX_FAILURES, fetch_covers
from tests.boomplay.service import Service, hang_up, reply

API = "https://api.example.com"
LOCAL = "http://127.0.0.1:1"


@pytest.fixture
def pictures() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF89a", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
    ],
)
def test_the_bytes_decide_the_kind_of_picture(pictures: Service, start: bytes, kind: str) -> None:
    pictures.always = reply(start, Content_Type="text/html")
    found, refused = fetch_covers([f"{pictures.url}/a"] * 2, LOCAL, 10)
    assert found[f"{pictures.url}/a"].startswith(f"data:image/{kind};base64,")
    assert (refused, len(pictures.requests)) == ({}, 1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(b"\xff\xd8\xff", status=404), "HTTP 404"),
        (reply(b"<svg/>"), "no JPEG, PNG, WebP or GIF"),
        (reply(b"RIFF0000WAVE"), "no JPEG, PNG, WebP or GIF"),
        (reply(b"\xff\xd8\xff" + bytes(MAX_COVER_BYTES)), "larger than 512 KiB"),
        (reply(status=302, Location="https://elsewhere.example.com/"), "which is not followed"),
        (hang_up, "the connection broke"),
    ],
)
def test_anything_else_is_left_out_with_a_reason(pictures: Service, answer: bytes, reason: str) -> None:
    pictures.always = answer
    found, refused = fetch_covers([f"{pictures.url}/a"], LOCAL, 10)
    assert found == {}
    assert reason in refused[f"{pictures.url}/a"]


def test_no_untrusted_address_is_asked(pictures: Service) -> None:
    local = [f"{pictures.url}/a", "https://127.0.0.1/a", "https://localhost/a", "https://[::1]/", "https://10.0.0.1/a"]
    odd = [
        "http://img.example.com/a",
        "file:///etc/passwd",
        "https://u:p@img.example.com/a",
        "javascript:x",
        "",
        "https:///a",
    ]
    odd += ["https://img.example.com:x/", "https://[/", "https://img.example.com/a\r\nX: y"]
    found, refused = fetch_covers([*local, *odd], API, 10)
    assert (found, set(refused.values())) == ({}, {"its address is not https://host/path"})
    assert pictures.requests == []


def test_a_host_that_fails_often_is_not_asked_again(pictures: Service) -> None:
    pictures.always = reply(status=500)
    _, refused = fetch_covers([f"{pictures.url}/{number}" for number in range(9)], LOCAL, 10)
    assert (len(refused), len(pictures.requests)) == (9, MAX_FAILURES)

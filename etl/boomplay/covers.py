"""Fetches the covers of tracks, for a page that its owner asked to have them. No token and no app id goes with a request.

An address comes from Boomplay's answers, so it is not trusted: https only, no literal address of a machine, the size is
limited, a redirect leaves no host, and the bytes decide what kind of picture it is. Plain http and this machine are allowed only
where the API itself is on this machine.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from etl import __version__
from etl.boomplay.redact import one_line
from etl.boomplay.retry import Failure
from etl.boomplay.transport import Request, Transport, service_url
from etl.boomplay.waiting import Clock
from etl.errors import SettingsError
from etl.setting_values import is_loopback

MAX_COVER_BYTES: Final = 512 * 1024
MAX_FAILURES: Final = 5
"""Covers of one host that fail before it is not asked again."""
SIGNATURES: Final = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"))
HEADERS: Final = {
    "Accept": "image/jpeg, image/png, image/webp, image/gif",
    "Accept-Encoding": "identity",
    "User-Agent": f"favsync/{__version__}",
}


def fetch_covers(urls: Iterable[str], api_url: str, timeout_seconds: float) -> tuple[dict[str, str], dict[str, str]]:
    """Return the pictures as data URIs by address, and why each of the others is left out. Never raises for a picture."""
    found: dict[str, str] = {}
    refused: dict[str, str] = {}
    failures: dict[str, int] = {}
    is_local = is_loopback(urlsplit(api_url).hostname or "")
    for url in dict.fromkeys(urls):
        origin = _origin(url, is_local=is_local)
        if origin is None:
            refused[url] = "its address is not https://host/path"
        elif failures.get(origin, 0) >= MAX_FAILURES:
            refused[url] = f"{origin} failed {MAX_FAILURES} times"
        else:
            picture = _fetch(origin, url, timeout_seconds)
            if isinstance(picture, Failure):
                failures[origin] = failures.get(origin, 0) + 1
                refused[url] = picture.message
            else:
                found[url] = picture
    return found, refused


def _origin(url: str, *, is_local: bool) -> str | None:
    """Return the scheme, host and port of an address that may be asked, else None."""
    with suppress(ValueError, SettingsError):
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_machine = is_loopback(host)
        with suppress(ValueError):
            is_machine = is_machine or bool(ipaddress.ip_address(host))
        if host and url.isprintable() and (is_local or not is_machine) and not parts.username:
            return service_url(f"{parts.scheme}://{parts.netloc}")
    return None


def _fetch(origin: str, url: str, timeout_seconds: float) -> str | Failure:
    """Return a picture as a data URI."""
    parts = urlsplit(url)
    request = Request("cover", parts.path or "/", parts.query)
    try:
        answer = Transport(origin, timeout_seconds, Clock()).send(request, HEADERS)
    except SettingsError as error:  # a proxy or CA file that cannot be used
        return Failure(error.message)
    if isinstance(answer, Failure):
        return Failure(one_line(answer.message))
    if not 200 <= answer.status < 300:
        return Failure(f"HTTP {answer.status}")
    if len(answer.body) > MAX_COVER_BYTES:
        return Failure(f"larger than {MAX_COVER_BYTES // 1024} KiB")
    kind = next((kind for start, kind in SIGNATURES if answer.body.startswith(start)), None)
    if kind is None and answer.body[:4] == b"RIFF" and answer.body[8:12] == b"WEBP":
        kind = "image/webp"
    return f"data:{kind};base64,{b64encode(answer.body).decode()}" if kind else Failure("no JPEG, PNG, WebP or GIF")

"""The service's address, and where a request with a token may go.

Plain http is allowed to this machine only. The address holds no credentials, query or fragment. A redirect is followed only
within the same scheme, host and port, so that no token goes to another host.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from etl.boomplay.redact import one_line
from etl.errors import SettingsError

_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,4000}")  # no blank, backslash or umlaut: libraries differ over them
_REMEDY = "set BOOMPLAY_API_URL to an address like https://openapi.boomplay.com"


class Address(msgspec.Struct, frozen=True):
    """The service: its origin (``scheme://host[:port]``), and the path before every path of the API."""

    origin: str
    base_path: str

    def target(self, path: str, query: str = "") -> str:
        """Return path and query of a request, as they follow the origin."""
        return self.base_path + path + (f"?{query}" if query else "")

    def redirected(self, target: str, location: str) -> str | None:
        """Return the target of a redirect from ``target``; None if it leaves the origin."""
        there = _split(location, self.origin + target)
        if there is None or _place(there) != _place(urlsplit(self.origin)):
            return None
        return (there.path or "/") + (f"?{there.query}" if there.query else "")


def service_address(api_url: str) -> Address:
    """Return the address that a setting names.

    Raises: SettingsError. Its message omits the part before an ``@``, which may be a password.
    """
    url = _split(api_url)
    if url is None or url.scheme not in _PORTS or not url.hostname:
        raise SettingsError("the API's address is not an https:// address", remedy=_REMEDY)
    if "@" in url.netloc or url.query or url.fragment:
        raise SettingsError("the API's address may hold no user, query or fragment", remedy=_REMEDY)
    if url.scheme == "http" and not is_loopback(url.hostname):
        host = one_line(url.hostname)
        raise SettingsError(f"plain http would show the token to everybody on the way to {host}", remedy=_REMEDY)
    return Address(f"{url.scheme}://{url.netloc}", url.path.rstrip("/"))


def is_loopback(host: str) -> bool:
    """True if a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def named_host(origin: str, location: str) -> str:
    """Return the host of a redirect, for an error message."""
    url = _split(location, origin)
    return one_line(url.hostname or "") if url else ""


def _split(url: str, base: str = "") -> SplitResult | None:
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(urljoin(base, url))
        return parts if parts.port != 0 else None
    except ValueError:  # the port is no number, or an IPv6 address has no end
        return None


def _place(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)

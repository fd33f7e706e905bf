"""Reads the values of settings from text, and shows them. A reader raises ValueError with a predicate like ``is not a URL``."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from etl.model.records import RemovalThreshold

_HOST = re.compile(r"(?:\[[^\[\]]+\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?", re.ASCII)
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class SecretText:
    """A value that prints as ``shown``. Only `reveal` returns the value itself."""

    __slots__ = ("_shown", "_value")

    def __init__(self, value: str, shown: str = "***") -> None:
        self._value = value
        self._shown = shown

    def reveal(self) -> str:
        """Return the value itself, for the one place that sends it."""
        return self._value

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Secret({self._shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def nearest(word: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """Return "did you mean X?" with the name most like ``word``, or nothing if none is near."""
    matches = difflib.get_close_matches(word, list(names), n=1, cutoff=likeness)
    return f"did you mean {matches[0]}?" if matches else ""


def quoted(text: str) -> str:
    """Quote ``text`` in one short line; repr escapes control characters."""
    return repr(text if len(text) <= 80 else f"{text[:39]}…{text[-40:]}")


def plain_value(value: object) -> str | int | float | None:
    """Return the value of a setting as `favsync config` shows it."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, tuple | frozenset):
        return ",".join(map(str, value)) or None
    if isinstance(value, timedelta):
        return _length_text(value)
    return f"{value.minimum},{value.ratio:g}" if isinstance(value, RemovalThreshold) else str(value)


def truth(text: str) -> bool:
    """Return the boolean that a word such as ``yes`` or ``off`` means.

    Raises: ValueError.
    """
    if text.lower() not in _TRUTHS:
        raise ValueError("is neither true nor false")
    return _TRUTHS[text.lower()]


def removal_threshold(text: str) -> RemovalThreshold:
    """Return the threshold that ``10,0.25`` means.

    Raises: ValueError.
    """
    minimum, comma, ratio = (part.strip() for part in text.partition(","))
    if not comma:
        raise ValueError("is not two numbers separated by a comma")
    if not re.fullmatch(r"[0-9]{1,9}", minimum) or not re.fullmatch(r"[0-9]*\.?[0-9]{1,9}", ratio) or float(ratio) > 1:
        raise ValueError("is not a count and a share from 0 to 1")
    return RemovalThreshold(int(minimum), float(ratio))


def length_of_time(text: str) -> timedelta:
    """Return the time that ``48h``, ``7d``, ``30m`` or ``0`` means.

    Raises: ValueError.
    """
    found = re.fullmatch(r"([0-9]{1,5})\s*([mhd]?)", text.lower())
    if found is None or (not found[2] and int(found[1])):
        raise ValueError("is not a length of time")
    unit = {"m": "minutes", "h": "hours", "d": "days", "": "hours"}[found[2]]
    return timedelta(**{unit: int(found[1])})


def _length_text(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    if minutes >= 3 * 1440 and minutes % 1440 == 0:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes and minutes % 60 == 0 else f"{minutes}m" if minutes else "0"


def header_text(text: str) -> str:
    """Check text that is sent in an HTTP header."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError('contains a space or a non-ASCII character (leave out the word "Bearer")')
    return text


def token(text: str) -> SecretText:
    """Return an access token without quotes and ``Bearer``.

    Raises: ValueError.
    """
    bare = text.strip("\"'\ufeff")  # as pasted from a document or a shell
    return SecretText(header_text(re.sub(r"(?i)^bearer\s+", "", bare)))


def key_list(text: str) -> tuple[SecretText, ...]:
    """Return the Fernet keys in ``text``, separated by commas or blanks.

    Raises: ValueError.
    """
    keys = [key.strip("\"'\ufeff") for key in text.replace(",", " ").split()]
    # 43 characters of Base64 and one of padding are 32 bytes; the last character carries only four bits.
    wrong = [place for place, key in enumerate(keys, 1) if not re.fullmatch(r"[\w-]{43}=", key, re.ASCII)]
    if wrong or not keys:
        raise ValueError(f"is not usable: key {wrong[0]} of {len(keys)} is not a Fernet key" if wrong else "has no key")
    return tuple(SecretText(key) for key in keys)


def api_url(text: str) -> str:
    """Return an address of a service, without a slash at its end. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("is not the address of a web service")
    if not re.fullmatch(r"[!-\[\]-~]+", text) or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("contains more than a host, a port and a path")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("would send the token unencrypted")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """True if a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("is not a web address")
    return text


def secret_address(text: str) -> SecretText:
    """Return a web address that is not shown. Raises ValueError."""
    return SecretText(_web_address(text))


def redirect_uri(text: str) -> str:
    """Return the address to which a sign-in returns. Raises ValueError."""
    if urlsplit(_web_address(text)).fragment:
        raise ValueError("contains a fragment (#)")
    return text


def codes(text: str) -> frozenset[int]:
    """Return the numbers of a list. Raises ValueError."""
    numbers = text.replace(",", " ").split()
    if not all(re.fullmatch(r"-?[0-9]{1,9}", number) for number in numbers):
        raise ValueError("is not a list of numbers")
    return frozenset(map(int, numbers))


def database_url(text: str) -> SecretText:
    """Return the URL of a database, for a URL or a path; it is shown without its password. Raises ValueError."""
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark and (text.startswith(("/", "./", "../", "~/")) or text.endswith((".db", ".sqlite", ".sqlite3"))):
        if "?" in text:
            raise ValueError("contains a question mark, which starts the options of a URL")
        scheme, rest = "sqlite", f"/{Path(text).expanduser()}"
    elif not mark:
        raise ValueError("is neither a URL nor a path such as ./favsync.db")
    if scheme == "sqlite":
        url = f"sqlite://{_sqlite_place(rest)}"
    elif scheme in {"postgresql", "postgres"}:
        url = f"postgresql://{_postgresql_place(rest)}"
    else:
        raise ValueError(f"has the scheme {quoted(scheme)}, which favsync does not support")
    return SecretText(url, shown=masked(url))


def _sqlite_place(rest: str) -> str:
    """Return the path and the mode of a SQLite file; SQLite's own form ``file:/path?uri=true`` names the same file."""
    if rest and not rest.startswith("/"):
        raise ValueError("has two slashes where three are needed")
    path, _, query = rest[1:].partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if path.lower().startswith("file:"):
        path = re.sub(r"^file:(//(localhost)?(?=/))?", "", path, flags=re.IGNORECASE)
        options.pop("uri", None)
    if not path or ":memory:" in path or options.get("mode") == "memory":
        raise ValueError("names no file, and a database in memory is lost at the end of the run")
    if options not in ({}, {"mode": "ro"}):
        names = ", ".join(quoted(name) for name in options)
        raise ValueError(f"has the option {names}: only mode=ro is one, and a ? in a path is written as %3F")
    if re.search(r"\$[A-Za-z_{]", path):
        raise ValueError("contains a variable, which only a shell replaces: write the path itself, or begin it with ~/")
    try:
        path = str(Path(path).expanduser())
    except RuntimeError:
        raise ValueError("is in a home folder, and this user has none") from None
    return f"/{path}{'?mode=ro' if options else ''}"


def _postgresql_place(rest: str) -> str:
    try:
        address = urlsplit(f"postgresql://{rest}").netloc
    except ValueError:
        address = "@@"
    hosts = [_HOST.fullmatch(host) for host in address.rpartition("@")[2].split(",")]
    is_sound = address.count("@") <= 1 and ("@" in address or "@" not in rest)
    if not is_sound or not all(host and 0 < int(host["port"] or 1) < 65_536 for host in hosts):
        raise ValueError("cannot be parsed: percent-encode @ : / ? # [ ] in user and password, and check the port")
    return rest


def masked(url: str) -> str:
    """Mask the password of a URL, well formed or not. Rather masks too much than too little."""
    url = re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&][^=&]*(?:password|secret|scram_\w*key)=)[^&]*", r"\1***", url, flags=re.IGNORECASE)

"""Every setting: its name, its variable, its default, what its text means.

A reader turns text into a value, or raises ValueError with a fault that reads on after the value: ``is out of range``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from etl.model.records import RemovalThreshold

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOST_WITHOUT_RAW = (
    "keep_raw is off, so no item is stored as it was received: a later fix in how items are read cannot reach those of now, "
    "and `favsync rebuild` has to believe their facts"
)
DIGEST_FORMATS = ("chat", "discord", "text", "markdown", "html", "json")


class SecretText:
    """A value that prints as ``shown``; `reveal` is the only way to the value itself."""

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


class Setting(NamedTuple):
    """One line of the table in docs/settings.md. ``read`` turns text into the value or raises ValueError with the fault.

    ``wanted``: what would be right, in words that follow "set it to". ``default`` None: worked out later, or unset.
    """

    name: str
    variable: str
    default: str | None
    read: Callable[[str], object]
    wanted: str
    is_secret: bool = False


def nearest(word: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """Return "did you mean X?" with the name most like ``word``, or nothing if none is near."""
    import difflib

    matches = difflib.get_close_matches(word, list(names), n=1, cutoff=likeness)
    return f"did you mean {matches[0]}?" if matches else ""


def quoted(text: str) -> str:
    """Quote ``text`` in one short line; repr escapes whatever could drive a terminal."""
    return repr(text if len(text) <= 80 else f"{text[:39]}…{text[-40:]}")


def _whole(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError("is not a whole number")
    if not low <= int(text) <= high:
        raise ValueError("is out of range")
    return int(text)


def _number(text: str, low: float, high: float) -> float:
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text):
        raise ValueError("is not a number")
    if not low <= float(text) <= high:
        raise ValueError("is out of range")
    return float(text)


def truth(text: str) -> bool:
    """Return what a word such as ``yes`` or ``off`` says.

    Raises: ValueError, with the fault.
    """
    if text.lower() not in _TRUTHS:
        raise ValueError("is neither true nor false")
    return _TRUTHS[text.lower()]


def _brake(text: str) -> RemovalThreshold:
    minimum, comma, ratio = text.partition(",")
    if not comma:
        raise ValueError("is not two numbers with a comma between")
    return RemovalThreshold(_whole(minimum.strip(), 0, 10**9), _number(ratio.strip(), 0, 1))


def _one_of(text: str, choices: tuple[str, ...]) -> str:
    if text.lower() not in choices:
        question = nearest(text.lower(), choices)
        raise ValueError(f"is not one of {', '.join(choices)}" + (f" ({question})" if question else ""))
    return text.lower()


def _header_text(text: str) -> str:
    """Check what will be sent in an HTTP header."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError('holds a space or a character outside ASCII (leave out the word "Bearer")')
    return text


def _token(text: str) -> SecretText:
    return SecretText(_header_text(text))


def _language(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", text):
        raise ValueError("is not a language tag")
    return text


def _is_key(text: str) -> bool:
    import base64

    return bool(re.fullmatch(r"[\w-]{43}=", text, re.ASCII)) and len(base64.urlsafe_b64decode(text)) == 32


def key_list(text: str) -> tuple[SecretText, ...]:
    """Return the Fernet keys in ``text``, with commas or blanks between.

    Raises: ValueError, with the fault.
    """
    keys = [key.strip("\"'\ufeff") for key in text.replace(",", " ").split()]
    wrong = [place for place, key in enumerate(keys, 1) if not _is_key(key)]
    if wrong or not keys:
        raise ValueError(
            f"cannot be used: key {wrong[0]} of {len(keys)} is not a Fernet key" if wrong else "holds no key"
        )
    return tuple(SecretText(key) for key in keys)


def _api_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("is not the address of a web service")
    if not re.fullmatch(r"[!-\[\]-~]+", text) or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("holds more than a host, a port and a path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("would send the token unencrypted")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ping_url(text: str) -> SecretText:
    if (
        urlsplit(text).scheme not in {"http", "https"}
        or not re.fullmatch(r"[!-~]+", text)
        or not urlsplit(text).hostname
    ):
        raise ValueError("is not the address of a web service")
    return SecretText(text)


def _path(text: str) -> str:
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", text):
        raise ValueError("is not a path")
    return text


def _redirect_uri(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.fragment
        or not re.fullmatch(r"[!-~]+", text)
    ):
        raise ValueError("is not an address that a browser can be sent to")
    return text


def _codes(text: str) -> frozenset[int]:
    return frozenset(_whole(code, -(10**9), 10**9) for code in text.replace(",", " ").split())


def _database_url(text: str) -> SecretText:
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark:
        raise ValueError("is not a URL")
    if scheme == "sqlite":
        url = f"sqlite://{_sqlite_place(rest)}"
    elif scheme in {"postgresql", "postgres"}:
        url = f"postgresql://{_postgresql_place(rest)}"
    else:
        raise ValueError(f"is of the kind {quoted(scheme)}, which favsync does not write")
    return SecretText(url, shown=masked(url))


def _sqlite_place(rest: str) -> str:
    if rest and not rest.startswith("/"):
        raise ValueError("has two slashes where three belong")
    if rest in {"", "/"} or ":memory:" in rest or "mode=memory" in rest:
        raise ValueError("names no file, and a history in memory would be lost at the end of the run")
    return f"/{Path(rest[1:]).expanduser()}" if rest.startswith("/~/") else rest


def _postgresql_place(rest: str) -> str:
    try:
        parts = urlsplit(f"postgresql://{rest}")
        is_sound = parts.port != 0 and ("@" in parts.netloc or "@" not in rest)
    except ValueError:
        is_sound = False
    if not is_sound:
        raise ValueError("cannot be taken apart: percent-encode @ : / ? # [ ] in user and password, and check the port")
    return rest


def masked(url: str) -> str:
    """Mask the password of a URL, well formed or not, so as to hide too much rather than too little."""
    url = re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", url, flags=re.IGNORECASE)


_FILES = "sqlite:///favsync.db (relative), sqlite:////var/lib/favsync/favsync.db (absolute)"
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
KEY_WANTED = 'a Fernet key (python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())")'
_TOKEN = "the token alone, as Boomplay gave it"  # noqa: S105
_A_PATH, _A_WORD = "a path such as /oauth/token", "one word, as the service spells it"
_RATE, _SECONDS = partial(_number, low=0, high=10_000), partial(_number, low=0.1, high=3600)
_FORMAT, _LEVEL = partial(_one_of, choices=LOG_FORMATS), partial(_one_of, choices=LOG_LEVELS)
_DIGEST = partial(_one_of, choices=DIGEST_FORMATS)
_PAGES, _RETRIES = partial(_whole, low=1, high=32), partial(_whole, low=0, high=100)

SETTINGS = (
    Setting("database_url", "FAVSYNC_DATABASE_URL", None, _database_url, f"{_FILES} or postgresql://user@host/name"),
    Setting(
        "api_url", "BOOMPLAY_API_URL", "https://openapi.boomplay.com", _api_url, "https://host, http:// for loopback"
    ),
    Setting("app_id", "BOOMPLAY_APP_ID", None, _header_text, "the app id alone, as Boomplay gave it"),
    Setting("app_secret", "BOOMPLAY_APP_SECRET", None, _token, "the app secret alone, as Boomplay gave it", True),
    Setting("access_token", "BOOMPLAY_ACCESS_TOKEN", None, _token, _TOKEN, True),
    Setting("refresh_token", "BOOMPLAY_REFRESH_TOKEN", None, _token, _TOKEN, True),
    Setting("language", "FAVSYNC_LANGUAGE", "en", _language, "a language tag such as en, fr or zh-CN"),
    Setting("page_concurrency", "FAVSYNC_PAGE_CONCURRENCY", "4", _PAGES, "a whole number from 1 to 32"),
    Setting("requests_per_second", "FAVSYNC_REQUESTS_PER_SECOND", "10", _RATE, "a number from 0 (no limit) to 10000"),
    Setting("timeout_seconds", "FAVSYNC_TIMEOUT_SECONDS", "30", _SECONDS, "seconds, from 0.1 to 3600"),
    Setting("max_retries", "FAVSYNC_MAX_RETRIES", "5", _RETRIES, "a whole number from 0 to 100"),
    Setting("removal_brake", "FAVSYNC_REMOVAL_BRAKE", "10,0.25", _brake, "a count and a share from 0 to 1: 10,0.25"),
    Setting("keep_raw", "FAVSYNC_KEEP_RAW", "true", truth, "true, or false to store no item as it was received"),
    Setting("encryption_keys", "FAVSYNC_ENCRYPTION_KEY", None, key_list, f"{KEY_WANTED}; several with commas", True),
    Setting(
        "encryption_key_file", "FAVSYNC_ENCRYPTION_KEY_FILE", None, str, f"the path of a file that holds {KEY_WANTED}"
    ),
    Setting("schedule", "FAVSYNC_SCHEDULE", "every 1h", str, "every 1h, or five cron fields"),
    Setting("log_format", "FAVSYNC_LOG_FORMAT", "text", _FORMAT, "text or json"),
    Setting("log_level", "FAVSYNC_LOG_LEVEL", "info", _LEVEL, "debug, info, warning or error"),
    Setting("ping_url", "FAVSYNC_PING_URL", None, _ping_url, "an address such as https://hc-ping.com/<uuid>", True),
    Setting("digest_url", "FAVSYNC_DIGEST_URL", None, _ping_url, "the address of a webhook", True),
    Setting("digest_format", "FAVSYNC_DIGEST_FORMAT", "chat", _DIGEST, f"one of {', '.join(DIGEST_FORMATS)}"),
    Setting(
        "redirect_uri", "BOOMPLAY_REDIRECT_URI", "http://localhost:8888/", _redirect_uri, "one that Boomplay registered"
    ),
    Setting("scope", "BOOMPLAY_SCOPE", None, str, "scope names with blanks between"),
    Setting("consent_path", "BOOMPLAY_CONSENT_PATH", "/oauth/consent", _path, _A_PATH),
    Setting("exchange_path", "BOOMPLAY_EXCHANGE_PATH", "/oauth/userToken", _path, _A_PATH),
    Setting("exchange_grant_type", "BOOMPLAY_EXCHANGE_GRANT_TYPE", "authorization_code", _header_text, _A_WORD),
    Setting("refresh_path", "BOOMPLAY_REFRESH_PATH", "/oauth/token", _path, _A_PATH),
    Setting("refresh_grant_type", "BOOMPLAY_REFRESH_GRANT_TYPE", "refresh_token", _header_text, _A_WORD),
    Setting("refresh_field", "BOOMPLAY_REFRESH_FIELD", "refresh_token", _header_text, _A_WORD),
    Setting("token_codes", "BOOMPLAY_TOKEN_CODES", None, _codes, "numbers in `code` that mean a bad token: 401,40101"),
)

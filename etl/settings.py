# ruff: noqa: RUF009 - `_setting` returns a field of the dataclass
"""The declaration of every setting: name, environment variable, type, checks and default.

`Settings` is the one declaration. `SETTINGS` lists its fields, and `file_schema` returns the JSON Schema of the TOML file.
A reader turns text into a value, or raises ValueError with a predicate such as ``is not a URL``.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import json
import re
import textwrap
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from etl.model.records import RemovalThreshold

LOST_WITHOUT_RAW = (
    "keep_raw is off, so items are not stored as received: a later fix in the parser cannot be applied to them, "
    "and `favsync rebuild` uses their stored attributes as they are"
)
DigestFormat = Literal["chat", "discord", "text", "markdown", "html", "json"]
DIGEST_FORMATS: tuple[str, ...] = get_args(DigestFormat)
KEY_WANTED = "a Fernet key (`favsync accounts new-key` prints one)"
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


def _header_text(text: str) -> str:
    """Check text that is sent in an HTTP header."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError('contains a space or a non-ASCII character (leave out the word "Bearer")')
    return text


def _token(text: str) -> SecretText:
    bare = text.strip("\"'\ufeff")  # as pasted from a document or a shell
    return SecretText(_header_text(re.sub(r"(?i)^bearer\s+", "", bare)))


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


def _api_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("is not the address of a web service")
    if not re.fullmatch(r"[!-\[\]-~]+", text) or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("contains more than a host, a port and a path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("would send the token unencrypted")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("is not a web address")
    return text


def _secret_address(text: str) -> SecretText:
    return SecretText(_web_address(text))


def _redirect_uri(text: str) -> str:
    if urlsplit(_web_address(text)).fragment:
        raise ValueError("contains a fragment (#)")
    return text


def _codes(text: str) -> frozenset[int]:
    codes = text.replace(",", " ").split()
    if not all(re.fullmatch(r"-?[0-9]{1,9}", code) for code in codes):
        raise ValueError("is not a list of numbers")
    return frozenset(map(int, codes))


def _database_url(text: str) -> SecretText:
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


class Setting(NamedTuple):
    """What is known of one field of `Settings`."""

    name: str
    variable: str
    initial: Any  # the default value; None: computed by the caller, or unset
    wanted: str  # a valid value, as a phrase after "set it to"
    read: Callable[[str], object] | None  # None: msgspec checks the text against ``in_file``
    in_file: Any  # the type in the TOML file
    is_secret: bool

    @property
    def default(self) -> str | None:
        """The default as a user would write it, None if it is computed or unset."""
        shown = plain_value(self.initial)
        if isinstance(shown, bool):
            return str(shown).lower()
        return f"{shown:g}" if isinstance(shown, float) else None if shown is None else str(shown)

    def parse(self, text: str) -> object:
        """Return the value of ``text``.

        Raises: ValueError, with a predicate that follows the value.
        """
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise ValueError("contains a control character")
        if self.read is not None:
            return self.read(text)
        choices = get_args(self.in_file) if get_origin(self.in_file) is Literal else ()
        try:
            return msgspec.convert(text.lower() if choices else text, self.in_file, strict=False)
        except msgspec.ValidationError:
            question = nearest(text.lower(), choices)
            raise ValueError(f"is not {self.wanted}" + (f" ({question})" if question else "")) from None


def _setting(
    variable: str,
    default: object,
    wanted: str,
    read: Callable[[str], object] | None = None,
    *,
    in_file: Any = str,
    is_secret: bool = False,
) -> Any:
    about = {"variable": variable, "wanted": wanted, "read": read, "in_file": in_file, "is_secret": is_secret}
    return dataclasses.field(default=default, metadata=about)


_LENGTH = "a length of time such as 48h, 7d or 0 (at once)"
_LENGTH_IN_FILE = Annotated[str, Meta(pattern=r"^\s*([0-9]{1,5}\s*[mhdMHD]|0+)\s*$")] | Literal[0]
_AS_RECEIVED = "alone, as received from Boomplay"
_A_PATH, _A_WORD = "a path such as /oauth/token", "one word, as the service documents it"
_DATABASES = "a path such as ./favsync.db or /var/lib/favsync/favsync.db, or postgresql://user@host/name"
_KEY_FILE = f"the path of a file with {KEY_WANTED}"
_PAGES, _RETRIES = Annotated[int, Meta(ge=1, le=32)], Annotated[int, Meta(ge=0, le=100)]
_RATE, _SECONDS = Annotated[float, Meta(ge=0, le=10_000)], Annotated[float, Meta(ge=0.1, le=3600)]
_LANGUAGE = Annotated[str, Meta(pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$")]
_PATH = Annotated[str, Meta(pattern=r"^(?:/[A-Za-z0-9._~-]+)+$")]
_LEVELS = Literal["debug", "info", "warning", "error"]
_THRESHOLD = "a count and a share from 0 to 1, such as 10,0.25"
_KEYS = f"{KEY_WANTED}; several separated by commas"
_CODES = "numbers in `code` that mean a bad token, such as 401,40101"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, checked (docs/settings.md). ``database_url`` prints without its password."""

    database_url: SecretText = _setting("FAVSYNC_DATABASE_URL", None, _DATABASES, _database_url)
    database_pooling: str = _setting(
        "FAVSYNC_DATABASE_POOLING", "direct", "direct or transaction", in_file=Literal["direct", "transaction"]
    )
    api_url: str = _setting(
        "BOOMPLAY_API_URL", "https://openapi.boomplay.com", "https://host; http:// only for this machine", _api_url
    )
    app_id: str | None = _setting("BOOMPLAY_APP_ID", None, f"the app id {_AS_RECEIVED}", _header_text)
    app_secret: SecretText | None = _setting(
        "BOOMPLAY_APP_SECRET", None, f"the app secret {_AS_RECEIVED}", _token, is_secret=True
    )
    access_token: SecretText | None = _setting(
        "BOOMPLAY_ACCESS_TOKEN", None, f"the token {_AS_RECEIVED}", _token, is_secret=True
    )
    refresh_token: SecretText | None = _setting(
        "BOOMPLAY_REFRESH_TOKEN", None, f"the token {_AS_RECEIVED}", _token, is_secret=True
    )
    language: str = _setting("FAVSYNC_LANGUAGE", "en", "a language tag such as en, fr or zh-CN", in_file=_LANGUAGE)
    page_concurrency: int = _setting("FAVSYNC_PAGE_CONCURRENCY", 4, "a whole number from 1 to 32", in_file=_PAGES)
    requests_per_second: float = _setting(
        "FAVSYNC_REQUESTS_PER_SECOND", 10.0, "a number from 0 (no limit) to 10000", in_file=_RATE
    )
    timeout_seconds: float = _setting(
        "FAVSYNC_TIMEOUT_SECONDS", 30.0, "a number of seconds from 0.1 to 3600", in_file=_SECONDS
    )
    max_retries: int = _setting("FAVSYNC_MAX_RETRIES", 5, "a whole number from 0 to 100", in_file=_RETRIES)
    removal_brake: RemovalThreshold = _setting(
        "FAVSYNC_REMOVAL_BRAKE", RemovalThreshold(), _THRESHOLD, removal_threshold, in_file=str | list[float]
    )
    removal_grace: timedelta = _setting(
        "FAVSYNC_REMOVAL_GRACE", timedelta(hours=48), _LENGTH, length_of_time, in_file=_LENGTH_IN_FILE
    )
    withdrawal_grace: timedelta = _setting(
        "FAVSYNC_WITHDRAWAL_GRACE", timedelta(days=7), _LENGTH, length_of_time, in_file=_LENGTH_IN_FILE
    )
    keep_raw: bool = _setting(
        "FAVSYNC_KEEP_RAW", True, "true, or false to store no item as received", truth, in_file=bool
    )
    idle_runs: str = _setting(
        "FAVSYNC_IDLE_RUNS", "keep", "keep, or daily for one row a day", in_file=Literal["keep", "daily"]
    )
    encryption_keys: tuple[SecretText, ...] = _setting(
        "FAVSYNC_ENCRYPTION_KEY", (), _KEYS, key_list, in_file=str | list[str], is_secret=True
    )
    encryption_key_file: str | None = _setting("FAVSYNC_ENCRYPTION_KEY_FILE", None, _KEY_FILE)
    schedule: str = _setting("FAVSYNC_SCHEDULE", "every 1h", "every 1h, or five cron fields")
    log_format: str = _setting("FAVSYNC_LOG_FORMAT", "text", "text or json", in_file=Literal["text", "json"])
    log_level: str = _setting("FAVSYNC_LOG_LEVEL", "info", "debug, info, warning or error", in_file=_LEVELS)
    ping_url: SecretText | None = _setting(
        "FAVSYNC_PING_URL", None, "an address such as https://hc-ping.com/<uuid>", _secret_address, is_secret=True
    )
    digest_url: SecretText | None = _setting(
        "FAVSYNC_DIGEST_URL", None, "the address of a webhook", _secret_address, is_secret=True
    )
    digest_format: str = _setting(
        "FAVSYNC_DIGEST_FORMAT", "chat", f"one of {', '.join(DIGEST_FORMATS)}", in_file=DigestFormat
    )
    redirect_uri: str = _setting(
        "BOOMPLAY_REDIRECT_URI", "http://localhost:8888/", "an address registered at Boomplay", _redirect_uri
    )
    scope: str | None = _setting("BOOMPLAY_SCOPE", None, "scope names separated by blanks")
    consent_path: str = _setting("BOOMPLAY_CONSENT_PATH", "/oauth/consent", _A_PATH, in_file=_PATH)
    exchange_path: str = _setting("BOOMPLAY_EXCHANGE_PATH", "/oauth/userToken", _A_PATH, in_file=_PATH)
    exchange_grant_type: str = _setting("BOOMPLAY_EXCHANGE_GRANT_TYPE", "authorization_code", _A_WORD, _header_text)
    refresh_path: str = _setting("BOOMPLAY_REFRESH_PATH", "/oauth/token", _A_PATH, in_file=_PATH)
    refresh_grant_type: str = _setting("BOOMPLAY_REFRESH_GRANT_TYPE", "refresh_token", _A_WORD, _header_text)
    refresh_field: str = _setting("BOOMPLAY_REFRESH_FIELD", "refresh_token", _A_WORD, _header_text)
    token_codes: frozenset[int] = _setting("BOOMPLAY_TOKEN_CODES", frozenset(), _CODES, _codes, in_file=str | list[int])


SETTINGS = tuple(Setting(field.name, initial=field.default, **field.metadata) for field in dataclasses.fields(Settings))


def file_template() -> str:
    """Return a settings file with every setting as a comment, at its default."""
    lines = ["# Settings of favsync. To set one, remove the # before its name and change the value.", ""]
    for each in SETTINGS:
        is_plain = isinstance(each.initial, int | float)
        lines += textwrap.wrap(
            f"{each.wanted}; or the variable {each.variable}", 78, initial_indent="# ", subsequent_indent="# "
        )
        lines += [f"#{each.name} = {each.default if is_plain else json.dumps(each.default or '')}", ""]
    return "\n".join(lines)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of the settings file."""
    fields = [
        (
            each.name,
            Annotated[each.in_file | UnsetType, Meta(description=each.wanted)],
            each.initial if isinstance(each.initial, str | int | float) else each.default or UNSET,
        )
        for each in SETTINGS
    ]
    struct = msgspec.defstruct("Settings", fields, forbid_unknown_fields=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(struct)}

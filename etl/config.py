"""The settings: command line, environment and file become one frozen `Config`. The only reader of the environment.

Not here: the meaning of a schedule (`etl.scheduler` judges its text), opening anything that a setting names.

Invariants: a flag beats the environment, which beats the file, which beats the default; ``sources`` says which it was.
A value that cannot be used is a `SettingsError` of one line that names the setting, its source and the fault, with what
would be right. Secrets are `Secret` and print as ``***``, in errors too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from etl.core.brake import Brake
from etl.errors import SettingsError

CONFIG_VARIABLE = "FAVSYNC_CONFIG"
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


class Secret:
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
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Source(NamedTuple):
    """Where a value came from: ``flag``, ``environment``, ``file`` or ``default``, and which one by name."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked (contract, "Settings"). ``database_url`` prints without its password.

    ``sources``: by setting. ``warnings``: lines about settings that work but should not stay as they are.
    """

    database_url: Secret
    api_url: str
    app_id: str | None
    app_secret: Secret | None
    access_token: Secret | None
    refresh_token: Secret | None
    language: str
    page_concurrency: int
    requests_per_second: float
    timeout_seconds: float
    max_retries: int
    removal_brake: Brake
    keep_raw: bool
    encryption_keys: tuple[Secret, ...]
    encryption_key_file: str | None
    schedule: str
    log_format: str
    log_level: str
    ping_url: Secret | None
    redirect_uri: str
    scope: str | None
    consent_path: str
    exchange_path: str
    exchange_grant_type: str
    refresh_path: str
    refresh_grant_type: str
    refresh_field: str
    token_codes: frozenset[int]
    sources: Mapping[str, Source] = field(default_factory=dict, hash=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)

    def secrets(self) -> Iterator[str]:
        """Yield every text that must never be printed, for `etl.logs.mask`."""
        yield from _passwords(self.database_url.reveal())
        for each in (self.app_secret, self.access_token, self.refresh_token, self.ping_url, *self.encryption_keys):
            if each is not None:
                yield each.reveal()

    def shown(self) -> Iterator[tuple[str, str | int | float | None, Source, str]]:
        """Yield (setting, value with secrets masked, source, environment variable) of every setting."""
        for setting in SETTINGS:
            yield setting.name, _shown(getattr(self, setting.name)), self.sources[setting.name], setting.variable


class Setting(NamedTuple):
    """One line of the contract's table. ``read`` turns text into the value or raises ValueError with the fault.

    ``wanted``: what would be right, in words that follow "set it to". ``default`` None: worked out later, or unset.
    """

    name: str
    variable: str
    default: str | None
    read: Callable[[str], object]
    wanted: str
    is_secret: bool = False


def load(flags: Mapping[str, str | None], environ: Mapping[str, str], file: Path | None) -> Config:
    """Return the settings from ``flags`` (by setting, None where not given), ``environ`` and the TOML ``file``.

    Without ``file``, the one that ``FAVSYNC_CONFIG`` names is read, if any.

    Raises:
        SettingsError: a value, a key or the file itself cannot be used.
    """
    file = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    table, is_exposed = _table(file) if file else ({}, False)
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    hints = list(_near_misses(environ))
    for setting in SETTINGS:
        text, source = _found(setting, flags, environ) or _found_in(table, str(file), setting)
        values[setting.name], sources[setting.name] = _value(setting, text, source), source
        if setting.name == "database_url" and text and text.lower().startswith("postgres:"):
            hints.append(f"database_url ({source}): postgres:// was read as postgresql://, which is the name to use")
    values["encryption_keys"], sources["encryption_keys"] = _keys(values, sources)
    config = Config(**values, sources=MappingProxyType(sources))
    return replace(config, warnings=(*_exposures(config, file if is_exposed else None), *hints))


def environment() -> Mapping[str, str]:
    """Return the process's environment, read only."""
    return MappingProxyType(os.environ)


def nearest(word: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """Return "did you mean X?" with the name most like ``word``, or nothing if none is near."""
    import difflib

    matches = difflib.get_close_matches(word, list(names), n=1, cutoff=likeness)
    return f"did you mean {matches[0]}?" if matches else ""


def _found(setting: Setting, flags: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str, Source] | None:
    flag = flags.get(setting.name)
    if flag is not None:
        return flag.strip(), Source("flag", "--" + setting.name.replace("_", "-"))
    if variable := environ.get(setting.variable, "").strip():
        return variable, Source("environment", setting.variable)
    return None


def _found_in(table: Mapping[str, object], file: str, setting: Setting) -> tuple[str | None, Source]:
    """Look in the file, where numbers need no quotes and lists no commas; empty text is unset there too."""
    value = table.get(setting.name, "")
    if isinstance(value, bool) and setting.read is _truth:
        value = str(value)
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) and not isinstance(part, bool) for part in parts):
        kind = {bool: "is true or false", dict: "is a table"}.get(type(value), "is of a kind that no setting has")
        raise SettingsError(f"{setting.name} (file {file}) {kind}", remedy=f"set {setting.name} to {setting.wanted}")
    text = ",".join(map(str, parts)).strip()
    return (text, Source("file", file)) if text else (None, Source("default"))


def _value(setting: Setting, text: str | None, source: Source) -> object:
    if text is None:
        text = _default_database_url() if setting.name == "database_url" else setting.default
    if text is None:
        return {"encryption_keys": (), "token_codes": frozenset()}.get(setting.name)
    try:
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise ValueError("holds a control character")
        return setting.read(text)
    except ValueError as fault:
        value = "" if setting.is_secret else f" {_quoted(_masked(text))}"
        where = source.name if source.kind in {"flag", "environment"} else setting.name
        remedy = f"set {where} to {setting.wanted}"
        raise SettingsError(f"{setting.name} ({source}){value} {fault}", remedy=remedy) from None


def _quoted(text: str) -> str:
    """Quote ``text`` in one short line; repr escapes whatever could drive a terminal."""
    return repr(text if len(text) <= 80 else f"{text[:39]}…{text[-40:]}")


def _shown(value: object) -> str | int | float | None:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, tuple | frozenset):
        return ",".join(map(str, value)) or None
    return f"{value.minimum},{value.ratio:g}" if isinstance(value, Brake) else str(value)


def _table(file: Path) -> tuple[dict[str, object], bool]:
    """Return the settings in ``file``, and whether users other than its owner may read it."""
    import tomllib

    name, names = _quoted(str(file)), [setting.name for setting in SETTINGS]
    try:
        with file.open("rb") as opened:
            is_exposed = bool(os.fstat(opened.fileno()).st_mode & 0o077)
            table = tomllib.load(opened)
    except OSError as fault:
        remedy = "name a readable TOML file with --config, or leave it out"
        raise SettingsError(f"the settings file {name} cannot be read: {fault.strerror}", remedy=remedy) from fault
    except ValueError as fault:
        reason = "it is not UTF-8" if isinstance(fault, UnicodeDecodeError) else str(fault).splitlines()[0]
        remedy = 'mend that line; a setting is written as name = "text" or name = 5'
        raise SettingsError(f"the settings file {name} is not TOML: {reason}", remedy=remedy) from None
    for key in table:
        if key not in names:
            remedy = nearest(key.lower().replace("-", "_"), names) or "`favsync config` lists the settings"
            raise SettingsError(f"{_quoted(key)} in {name} is not a setting", remedy=remedy)
    return table, is_exposed


def _exposures(config: Config, exposed: Path | None) -> Iterator[str]:
    source, has_password = config.sources["database_url"], any(_passwords(config.database_url.reveal()))
    if has_password and source.kind == "flag":
        yield "the password in --database-url shows in the process list; FAVSYNC_DATABASE_URL hides it"
    in_file = Source("file", str(exposed))
    held = [each.name for each in SETTINGS if each.is_secret and config.sources[each.name] == in_file]
    held += ["a password in database_url"] if has_password and source == in_file else []
    if exposed and held:
        yield f"other users may read {_quoted(str(exposed))}, which holds {', '.join(held)}; chmod 600 protects it"
    key_file, is_read = (
        config.encryption_key_file,
        config.sources["encryption_keys"] == config.sources["encryption_key_file"],
    )
    if key_file and is_read and Path(key_file).stat().st_mode & 0o007:
        yield f"every user may read the key file {_quoted(key_file)}; chmod 600 protects it"


def _near_misses(environ: Mapping[str, str]) -> Iterator[str]:
    known = (CONFIG_VARIABLE, *(setting.variable for setting in SETTINGS))
    for name in sorted(environ):
        if name.startswith(("FAVSYNC_", "BOOMPLAY_")) and not name.startswith(known):
            question = nearest(name, known, likeness=0.85)
            if question:
                yield f"{_quoted(name)} in the environment is not a setting; {question}"


# The readers: each turns text into a value, or raises ValueError with a fault that reads on after the value.


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


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError("is neither true nor false")
    return _TRUTHS[text.lower()]


def _brake(text: str) -> Brake:
    minimum, comma, ratio = text.partition(",")
    if not comma:
        raise ValueError("is not two numbers with a comma between")
    return Brake(_whole(minimum.strip(), 0, 10**9), _number(ratio.strip(), 0, 1))


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


def _token(text: str) -> Secret:
    return Secret(_header_text(text))


def _language(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", text):
        raise ValueError("is not a language tag")
    return text


def _is_key(text: str) -> bool:
    import base64

    return bool(re.fullmatch(r"[\w-]{43}=", text, re.ASCII)) and len(base64.urlsafe_b64decode(text)) == 32


def _key_list(text: str) -> tuple[Secret, ...]:
    keys = text.replace(",", " ").split()
    wrong = [place for place, key in enumerate(keys, 1) if not _is_key(key)]
    if wrong or not keys:
        raise ValueError(
            f"cannot be used: key {wrong[0]} of {len(keys)} is not a Fernet key" if wrong else "holds no key"
        )
    return tuple(Secret(key) for key in keys)


def _keys(values: Mapping[str, Any], sources: Mapping[str, Source]) -> tuple[tuple[Secret, ...], Source]:
    """Return the keys from the setting or from the file that the other one names, whichever has the higher rank."""
    ranks, file = ("flag", "environment", "file", "default"), values["encryption_key_file"]
    direct, by_file = sources["encryption_keys"], sources["encryption_key_file"]
    if file is None or ranks.index(direct.kind) < ranks.index(by_file.kind):
        return values["encryption_keys"], direct
    if direct.kind == by_file.kind:
        both = f"both encryption_keys ({direct}) and encryption_key_file ({by_file}) are set"
        raise SettingsError(both, remedy="unset one of them")
    try:
        return _key_list(Path(file).read_text("utf-8")), by_file
    except (OSError, ValueError) as fault:
        reason = (
            "is not text" if isinstance(fault, UnicodeDecodeError) else getattr(fault, "strerror", None) or str(fault)
        )
        remedy = f"name a readable file that holds {_KEY} on each line"
        raise SettingsError(f"encryption_key_file ({by_file}) {_quoted(file)}: {reason}", remedy=remedy) from None


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


def _ping_url(text: str) -> Secret:
    if urlsplit(text).scheme not in {"http", "https"} or not re.fullmatch(r"[!-~]+", text) or not urlsplit(text).hostname:
        raise ValueError("is not the address of a web service")
    return Secret(text)


def _path(text: str) -> str:
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", text):
        raise ValueError("is not a path")
    return text


def _redirect_uri(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("is not an address that a browser can be sent to")
    return text


def _codes(text: str) -> frozenset[int]:
    return frozenset(_whole(code, -(10**9), 10**9) for code in text.replace(",", " ").split())


def _database_url(text: str) -> Secret:
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark:
        raise ValueError("is not a URL")
    if scheme == "sqlite":
        url = f"sqlite://{_sqlite_place(rest)}"
    elif scheme in {"postgresql", "postgres"}:
        url = f"postgresql://{_postgresql_place(rest)}"
    else:
        raise ValueError(f"is of the kind {_quoted(scheme)}, which favsync does not write")
    return Secret(url, shown=_masked(url))


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


def _masked(url: str) -> str:
    """Mask the password of a URL, well formed or not, so as to hide too much rather than too little."""
    url = re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", url, flags=re.IGNORECASE)


def _passwords(url: str) -> list[str]:
    if url.startswith("sqlite:"):
        return []
    parts = urlsplit(url)
    in_query = [value for name, value in parse_qsl(parts.query) if name.lower() in {"password", "sslpassword"}]
    return [*({parts.password, unquote(parts.password)} if parts.password else ()), *in_query]


def _default_database_url() -> str:
    import platformdirs

    return f"sqlite:///{platformdirs.user_data_dir('favsync', appauthor=False)}/favsync.db"


_FILES = "sqlite:///favsync.db (relative), sqlite:////var/lib/favsync/favsync.db (absolute)"
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KEY = 'a Fernet key (python -c "from cryptography.fernet import Fernet as F; print(F.generate_key().decode())")'
_TOKEN = "the token alone, as Boomplay gave it"  # noqa: S105
_A_PATH, _A_WORD = "a path such as /oauth/token", "one word, as the service spells it"
_RATE, _SECONDS = partial(_number, low=0, high=10_000), partial(_number, low=0.1, high=3600)
_FORMAT, _LEVEL = partial(_one_of, choices=LOG_FORMATS), partial(_one_of, choices=LOG_LEVELS)
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
    Setting("keep_raw", "FAVSYNC_KEEP_RAW", "true", _truth, "true, or false to store no item as it was received"),
    Setting("encryption_keys", "FAVSYNC_ENCRYPTION_KEY", None, _key_list, f"{_KEY}; several with commas", True),
    Setting("encryption_key_file", "FAVSYNC_ENCRYPTION_KEY_FILE", None, str, f"the path of a file that holds {_KEY}"),
    Setting("schedule", "FAVSYNC_SCHEDULE", "every 1h", str, "every 1h, or five cron fields"),
    Setting("log_format", "FAVSYNC_LOG_FORMAT", "text", _FORMAT, "text or json"),
    Setting("log_level", "FAVSYNC_LOG_LEVEL", "info", _LEVEL, "debug, info, warning or error"),
    Setting("ping_url", "FAVSYNC_PING_URL", None, _ping_url, "an address such as https://hc-ping.com/<uuid>", True),
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

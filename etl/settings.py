# ruff: noqa: RUF009 - `_setting` returns a field of the dataclass
"""The declaration of every setting: name, environment variable, type, checks and default.

`Settings` is the one declaration. `SETTINGS` lists its fields, and `file_schema` returns the JSON Schema of the TOML file.
A reader turns text into a value, or raises ValueError with a predicate such as ``is not a URL``.
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType

from etl.model.records import RemovalThreshold
from etl.setting_values import (
    SecretText,
    api_url,
    codes,
    database_url,
    header_text,
    key_list,
    length_of_time,
    nearest,
    plain_value,
    redirect_uri,
    removal_threshold,
    secret_address,
    token,
    truth,
)

LOST_WITHOUT_RAW = (
    "keep_raw is off, so items are not stored as received: a later fix in the parser cannot be applied to them, "
    "and `favsync rebuild` uses their stored attributes as they are"
)
DigestFormat = Literal["chat", "discord", "text", "markdown", "html", "json"]
DIGEST_FORMATS: tuple[str, ...] = get_args(DigestFormat)
KEY_WANTED = "a Fernet key (`favsync accounts new-key` prints one)"


class Setting(NamedTuple):
    """What is known of one field of `Settings`."""

    name: str
    variable: str
    initial: Any  # the default value; None: computed by the caller, or unset
    wanted: str  # a valid value, as a phrase after "set it to"
    read: Callable[[str], object] | None  # None: msgspec checks the text against ``in_file``
    in_file: Any  # the type in the TOML file

    @property
    def is_secret(self) -> bool:
        """True if the value must never be printed."""
        return self.read in (token, key_list, secret_address)

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
) -> Any:
    about = {"variable": variable, "wanted": wanted, "read": read, "in_file": in_file}
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

    database_url: SecretText = _setting("FAVSYNC_DATABASE_URL", None, _DATABASES, database_url)
    database_pooling: str = _setting(
        "FAVSYNC_DATABASE_POOLING", "direct", "direct or transaction", in_file=Literal["direct", "transaction"]
    )
    api_url: str = _setting(
        "BOOMPLAY_API_URL", "https://openapi.boomplay.com", "https://host; http:// only for this machine", api_url
    )
    app_id: str | None = _setting("BOOMPLAY_APP_ID", None, f"the app id {_AS_RECEIVED}", header_text)
    app_secret: SecretText | None = _setting("BOOMPLAY_APP_SECRET", None, f"the app secret {_AS_RECEIVED}", token)
    access_token: SecretText | None = _setting("BOOMPLAY_ACCESS_TOKEN", None, f"the token {_AS_RECEIVED}", token)
    refresh_token: SecretText | None = _setting("BOOMPLAY_REFRESH_TOKEN", None, f"the token {_AS_RECEIVED}", token)
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
        "FAVSYNC_ENCRYPTION_KEY", (), _KEYS, key_list, in_file=str | list[str]
    )
    encryption_key_file: str | None = _setting("FAVSYNC_ENCRYPTION_KEY_FILE", None, _KEY_FILE)
    schedule: str = _setting("FAVSYNC_SCHEDULE", "every 1h", "every 1h, or five cron fields")
    log_format: str = _setting("FAVSYNC_LOG_FORMAT", "text", "text or json", in_file=Literal["text", "json"])
    log_level: str = _setting("FAVSYNC_LOG_LEVEL", "info", "debug, info, warning or error", in_file=_LEVELS)
    ping_url: SecretText | None = _setting(
        "FAVSYNC_PING_URL", None, "an address such as https://hc-ping.com/<uuid>", secret_address
    )
    digest_url: SecretText | None = _setting("FAVSYNC_DIGEST_URL", None, "the address of a webhook", secret_address)
    digest_format: str = _setting(
        "FAVSYNC_DIGEST_FORMAT", "chat", f"one of {', '.join(DIGEST_FORMATS)}", in_file=DigestFormat
    )
    redirect_uri: str = _setting(
        "BOOMPLAY_REDIRECT_URI", "http://localhost:8888/", "an address registered at Boomplay", redirect_uri
    )
    scope: str | None = _setting("BOOMPLAY_SCOPE", None, "scope names separated by blanks")
    consent_path: str = _setting("BOOMPLAY_CONSENT_PATH", "/oauth/consent", _A_PATH, in_file=_PATH)
    exchange_path: str = _setting("BOOMPLAY_EXCHANGE_PATH", "/oauth/userToken", _A_PATH, in_file=_PATH)
    exchange_grant_type: str = _setting("BOOMPLAY_EXCHANGE_GRANT_TYPE", "authorization_code", _A_WORD, header_text)
    refresh_path: str = _setting("BOOMPLAY_REFRESH_PATH", "/oauth/token", _A_PATH, in_file=_PATH)
    refresh_grant_type: str = _setting("BOOMPLAY_REFRESH_GRANT_TYPE", "refresh_token", _A_WORD, header_text)
    refresh_field: str = _setting("BOOMPLAY_REFRESH_FIELD", "refresh_token", _A_WORD, header_text)
    token_codes: frozenset[int] = _setting("BOOMPLAY_TOKEN_CODES", frozenset(), _CODES, codes, in_file=str | list[int])


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

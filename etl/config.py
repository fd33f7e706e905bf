"""The settings: command line, environment and file become one frozen `Config`. The only reader of the environment.

Invariants: a flag beats the environment, which beats the file, which beats the default; ``sources`` says which it was.
A value that cannot be used is a `SettingsError` of one line that names the setting, its source and the fault, with what
would be right. Secrets are `SecretText` and print as ``***``, in errors too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from etl.errors import SettingsError
from etl.model.records import RemovalThreshold
from etl.settings import KEY_WANTED, SETTINGS, SecretText, Setting, key_list, masked, nearest, quoted, truth

__all__ = ["SETTINGS", "Config", "SecretText", "Setting", "SettingSource", "environment", "load", "nearest"]

CONFIG_VARIABLE = "FAVSYNC_CONFIG"


class SettingSource(NamedTuple):
    """Where a value came from: ``flag``, ``environment``, ``file`` or ``default``, and which one by name."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked (docs/settings.md). ``database_url`` prints without its password.

    ``sources``: by setting. ``warnings``: lines about settings that work but should not stay as they are.
    """

    database_url: SecretText
    api_url: str
    app_id: str | None
    app_secret: SecretText | None
    access_token: SecretText | None
    refresh_token: SecretText | None
    language: str
    page_concurrency: int
    requests_per_second: float
    timeout_seconds: float
    max_retries: int
    removal_brake: RemovalThreshold
    keep_raw: bool
    encryption_keys: tuple[SecretText, ...]
    encryption_key_file: str | None
    schedule: str
    log_format: str
    log_level: str
    ping_url: SecretText | None
    digest_url: SecretText | None
    digest_format: str
    redirect_uri: str
    scope: str | None
    consent_path: str
    exchange_path: str
    exchange_grant_type: str
    refresh_path: str
    refresh_grant_type: str
    refresh_field: str
    token_codes: frozenset[int]
    sources: Mapping[str, SettingSource] = field(default_factory=dict, hash=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)

    def secrets(self) -> Iterator[str]:
        """Yield every text that must never be printed, for `etl.logs.mask`."""
        yield from _passwords(self.database_url.reveal())
        for each in (
            self.app_secret,
            self.access_token,
            self.refresh_token,
            self.ping_url,
            self.digest_url,
            *self.encryption_keys,
        ):
            if each is not None:
                yield each.reveal()

    def shown(self) -> Iterator[tuple[str, str | int | float | None, SettingSource, str]]:
        """Yield (setting, value with secrets masked, source, environment variable) of every setting."""
        for setting in SETTINGS:
            yield setting.name, _shown(getattr(self, setting.name)), self.sources[setting.name], setting.variable


def load(flags: Mapping[str, str | None], environ: Mapping[str, str], file: Path | None) -> Config:
    """Return the settings from ``flags`` (by setting, None where not given), ``environ`` and the TOML ``file``.

    Without ``file``, the one that ``FAVSYNC_CONFIG`` names is read, if any.

    Raises:
        SettingsError: a value, a key or the file itself cannot be used.
    """
    file = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    table, is_exposed = _table(file) if file else ({}, False)
    values: dict[str, Any] = {}
    sources: dict[str, SettingSource] = {}
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


def _found(
    setting: Setting, flags: Mapping[str, str | None], environ: Mapping[str, str]
) -> tuple[str, SettingSource] | None:
    flag = flags.get(setting.name)
    if flag is not None:
        return flag.strip(), SettingSource("flag", "--" + setting.name.replace("_", "-"))
    if variable := environ.get(setting.variable, "").strip():
        return variable, SettingSource("environment", setting.variable)
    return None


def _found_in(table: Mapping[str, object], file: str, setting: Setting) -> tuple[str | None, SettingSource]:
    """Look in the file, where numbers need no quotes and lists no commas; empty text is unset there too."""
    value = table.get(setting.name, "")
    if isinstance(value, bool) and setting.read is truth:
        value = str(value)
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) and not isinstance(part, bool) for part in parts):
        kind = {bool: "is true or false", dict: "is a table"}.get(type(value), "is of a kind that no setting has")
        raise SettingsError(f"{setting.name} (file {file}) {kind}", remedy=f"set {setting.name} to {setting.wanted}")
    text = ",".join(map(str, parts)).strip()
    return (text, SettingSource("file", file)) if text else (None, SettingSource("default"))


def _value(setting: Setting, text: str | None, source: SettingSource) -> object:
    if text is None:
        text = _default_database_url() if setting.name == "database_url" else setting.default
    if text is None:
        return {"encryption_keys": (), "token_codes": frozenset()}.get(setting.name)
    try:
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise ValueError("holds a control character")
        return setting.read(text)
    except ValueError as fault:
        value = "" if setting.is_secret else f" {quoted(masked(text))}"
        where = source.name if source.kind in {"flag", "environment"} else setting.name
        remedy = f"set {where} to {setting.wanted}"
        raise SettingsError(f"{setting.name} ({source}){value} {fault}", remedy=remedy) from None


def _shown(value: object) -> str | int | float | None:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, tuple | frozenset):
        return ",".join(map(str, value)) or None
    return f"{value.minimum},{value.ratio:g}" if isinstance(value, RemovalThreshold) else str(value)


def _table(file: Path) -> tuple[dict[str, object], bool]:
    """Return the settings in ``file``, and whether users other than its owner may read it."""
    import tomllib

    name, names = quoted(str(file)), [setting.name for setting in SETTINGS]
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
            raise SettingsError(f"{quoted(key)} in {name} is not a setting", remedy=remedy)
    return table, is_exposed


def _exposures(config: Config, exposed: Path | None) -> Iterator[str]:
    source, has_password = config.sources["database_url"], any(_passwords(config.database_url.reveal()))
    if has_password and source.kind == "flag":
        yield "the password in --database-url shows in the process list; FAVSYNC_DATABASE_URL hides it"
    in_file = SettingSource("file", str(exposed))
    held = [each.name for each in SETTINGS if each.is_secret and config.sources[each.name] == in_file]
    held += ["a password in database_url"] if has_password and source == in_file else []
    if exposed and held:
        yield f"other users may read {quoted(str(exposed))}, which holds {', '.join(held)}; chmod 600 protects it"
    key_file, is_read = (
        config.encryption_key_file,
        config.sources["encryption_keys"] == config.sources["encryption_key_file"],
    )
    if key_file and is_read and Path(key_file).stat().st_mode & 0o007:
        yield f"every user may read the key file {quoted(key_file)}; chmod 600 protects it"


def _near_misses(environ: Mapping[str, str]) -> Iterator[str]:
    known = (CONFIG_VARIABLE, *(setting.variable for setting in SETTINGS))
    for name in sorted(environ):
        if name.startswith(("FAVSYNC_", "BOOMPLAY_")) and not name.startswith(known):
            question = nearest(name, known, likeness=0.85)
            if question:
                yield f"{quoted(name)} in the environment is not a setting; {question}"


def _keys(
    values: Mapping[str, Any], sources: Mapping[str, SettingSource]
) -> tuple[tuple[SecretText, ...], SettingSource]:
    """Return the keys from the setting or from the file that the other one names, whichever has the higher rank."""
    ranks, file = ("flag", "environment", "file", "default"), values["encryption_key_file"]
    direct, by_file = sources["encryption_keys"], sources["encryption_key_file"]
    if file is None or ranks.index(direct.kind) < ranks.index(by_file.kind):
        return values["encryption_keys"], direct
    if direct.kind == by_file.kind:
        both = f"both encryption_keys ({direct}) and encryption_key_file ({by_file}) are set"
        raise SettingsError(both, remedy="unset one of them")
    try:
        return key_list(Path(file).read_text("utf-8")), by_file
    except (OSError, ValueError) as fault:
        reason = (
            "is not text" if isinstance(fault, UnicodeDecodeError) else getattr(fault, "strerror", None) or str(fault)
        )
        remedy = f"name a readable file that holds {KEY_WANTED} on each line"
        raise SettingsError(f"encryption_key_file ({by_file}) {quoted(file)}: {reason}", remedy=remedy) from None


def _passwords(url: str) -> list[str]:
    if url.startswith("sqlite:"):
        return []
    parts = urlsplit(url)
    in_query = [value for name, value in parse_qsl(parts.query) if name.lower() in {"password", "sslpassword"}]
    return [*({parts.password, unquote(parts.password)} if parts.password else ()), *in_query]


def _default_database_url() -> str:
    import platformdirs

    return f"sqlite:///{platformdirs.user_data_dir('favsync', appauthor=False)}/favsync.db"

"""Merges the command line, the environment and the settings file into one frozen `Config`.

This module alone reads the environment. A flag beats the environment, which beats the file, which beats the default;
``Config.sources`` names the winner. An unusable value raises a `SettingsError` that names the setting, its source, the
fault and the remedy. Secrets are `SecretText` and print as ``***``, in errors too.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import platformdirs

from etl.errors import SettingsError
from etl.model.records import RemovalGrace
from etl.setting_values import SecretText, key_list, masked, nearest, plain_value, quoted
from etl.settings import KEY_WANTED, SETTINGS, Setting, Settings

__all__ = ["SETTINGS", "Config", "SecretText", "Setting", "SettingSource", "environment", "load", "nearest"]

CONFIG_VARIABLE = "FAVSYNC_CONFIG"
SECRET_OPTIONS = ("password", "secret", "scram_client_key", "scram_server_key")  # of a database URL, by their ends
RANKS = ("flag", "environment", "file", "default")


class SettingSource(NamedTuple):
    """Where a value came from: a ``kind`` of `RANKS`, and the name of the option, the variable or the file."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """The settings in use. ``sources``: by setting. ``warnings``: lines about risky or doubtful settings."""

    sources: Mapping[str, SettingSource] = field(default_factory=dict, hash=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)

    def secrets(self) -> Iterator[str]:
        """Yield every text that must never be printed, for `etl.logs.mask`."""
        yield from _passwords(self.database_url.reveal())
        for name in (setting.name for setting in SETTINGS if setting.is_secret):
            value = getattr(self, name)
            yield from (each.reveal() for each in (value if isinstance(value, tuple) else [value]) if each is not None)

    @property
    def grace(self) -> RemovalGrace:
        """How long a favourite must be missing before its removal is recorded."""
        return RemovalGrace(self.removal_grace, self.withdrawal_grace)

    def shown(self) -> Iterator[tuple[str, str | int | float | None, SettingSource, str]]:
        """Yield (setting, value with secrets masked, source, environment variable) of every setting."""
        for setting in SETTINGS:
            value = plain_value(getattr(self, setting.name))
            yield setting.name, value, self.sources[setting.name], setting.variable


def load(flags: Mapping[str, str | None], environ: Mapping[str, str], file: Path | None) -> Config:
    """Return the settings from ``flags`` (by setting, None where not given), ``environ`` and the TOML ``file``.

    Without ``file``, the one that ``FAVSYNC_CONFIG`` names is read, if any.

    Raises:
        SettingsError: a value, a key or the file itself cannot be used.
    """
    file = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    table, is_exposed = _read_file(file) if file else ({}, False)
    values: dict[str, Any] = {}
    sources: dict[str, SettingSource] = {}
    hints = list(_near_misses(environ))
    for setting in SETTINGS:
        text, source = _text_of(setting, flags, environ, table, str(file))
        values[setting.name], sources[setting.name] = _value(setting, text, source), source
        if setting.name == "database_url" and text and text.lower().startswith("postgres:"):
            hints.append(f"database_url ({source}): postgres:// was read as postgresql://; use postgresql://")
    values["encryption_keys"], sources["encryption_keys"] = _keys(values, sources)
    if not values["removal_grace"] and sources["withdrawal_grace"].kind == "default":
        values["withdrawal_grace"] = timedelta(0)  # removals are recorded at once, so these are too
    config = Config(**values, sources=MappingProxyType(sources))
    return replace(config, warnings=(*_exposures(config, file if is_exposed else None), *hints))


def environment() -> Mapping[str, str]:
    """Return the process's environment, read-only."""
    return MappingProxyType(os.environ)


def _text_of(
    setting: Setting,
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    table: Mapping[str, object],
    file: str,
) -> tuple[str | None, SettingSource]:
    """Return the text of a setting and its source. Empty variables and empty text in the file count as unset."""
    flag = flags.get(setting.name)
    if flag is not None:
        return flag.strip(), SettingSource("flag", "--" + setting.name.replace("_", "-"))
    if variable := environ.get(setting.variable, "").strip():
        return variable, SettingSource("environment", setting.variable)
    value = table.get(setting.name, "")
    if isinstance(value, bool) and setting.in_file is bool:
        value = str(value)
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) and not isinstance(part, bool) for part in parts):
        kind = {bool: "is true or false", dict: "is a table"}.get(type(value), "has a type that no setting has")
        raise SettingsError(f"{setting.name} (file {file}) {kind}", remedy=f"set {setting.name} to {setting.wanted}")
    text = ",".join(map(str, parts)).strip()
    return (text, SettingSource("file", file)) if text else (None, SettingSource("default"))


def _value(setting: Setting, text: str | None, source: SettingSource) -> object:
    if text is None and setting.name == "database_url":
        text = _default_database()
    if text is None:
        return setting.initial
    try:
        return setting.parse(text)
    except ValueError as fault:
        value = "" if setting.is_secret else f" {quoted(masked(text))}"
        where = {"file": setting.name, "default": setting.variable}.get(source.kind, source.name)
        remedy = f"set {where} to {setting.wanted}"
        raise SettingsError(f"{setting.name} ({source}){value} {fault}", remedy=remedy) from None


def _default_database() -> str:
    try:
        folder = platformdirs.user_data_dir("favsync", appauthor=False)
    except RuntimeError:  # newer versions of platformdirs
        folder = "~"  # which the parser refuses, as there is no home
    return f"sqlite:///{quote(folder, safe='/~')}/favsync.db"


def _read_file(file: Path) -> tuple[dict[str, object], bool]:
    """Return the settings in ``file``, and True if users other than its owner may read it."""
    name, names = quoted(str(file)), [setting.name for setting in SETTINGS]
    try:
        with file.open("rb") as opened:
            is_exposed = bool(os.fstat(opened.fileno()).st_mode & 0o077)
            table = tomllib.loads(opened.read().decode("utf-8-sig"))  # an editor may have written a byte order mark
    except OSError as fault:
        remedy = "name a readable TOML file with --config, or omit the option"
        raise SettingsError(f"the settings file {name} cannot be read: {fault.strerror}", remedy=remedy) from fault
    except ValueError as fault:
        reason = "it is not UTF-8" if isinstance(fault, UnicodeDecodeError) else str(fault).splitlines()[0]
        remedy = 'correct that line; a setting is written as name = "text" or name = 5'
        raise SettingsError(f"the settings file {name} is not TOML: {reason}", remedy=remedy) from None
    for key in table:
        if key not in names:
            remedy = nearest(key.lower().replace("-", "_"), names) or "`favsync config` lists the settings"
            raise SettingsError(f"{quoted(key)} in {name} is not a setting", remedy=remedy)
    return table, is_exposed


def _exposures(config: Config, exposed: Path | None) -> Iterator[str]:
    source, has_password = config.sources["database_url"], any(_passwords(config.database_url.reveal()))
    if has_password and source.kind == "flag":
        yield "the password in --database-url is visible in the process list; use FAVSYNC_DATABASE_URL instead"
    in_file = SettingSource("file", str(exposed))
    secrets = [each.name for each in SETTINGS if each.is_secret and config.sources[each.name] == in_file]
    secrets += ["a password in database_url"] if has_password and source == in_file else []
    if exposed and secrets:
        yield f"other users can read {quoted(str(exposed))}, which contains {', '.join(secrets)}; use chmod 600"
    key_file = config.encryption_key_file
    is_used = config.sources["encryption_keys"] == config.sources["encryption_key_file"]
    if key_file and is_used and Path(key_file).stat().st_mode & 0o007:
        yield f"every user can read the key file {quoted(key_file)}; use chmod 600"


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
    """Return the keys from encryption_keys or from encryption_key_file, whichever has the higher rank."""
    file, direct, by_file = values["encryption_key_file"], sources["encryption_keys"], sources["encryption_key_file"]
    if file is None or RANKS.index(direct.kind) < RANKS.index(by_file.kind):
        return values["encryption_keys"], direct
    if direct.kind == by_file.kind:
        both = f"both encryption_keys ({direct}) and encryption_key_file ({by_file}) are set"
        raise SettingsError(both, remedy="unset one of them")
    try:
        return key_list(Path(file).read_text("utf-8")), by_file
    except OSError as fault:
        reason = fault.strerror or str(fault)
    except ValueError as fault:
        reason = "is not text" if isinstance(fault, UnicodeDecodeError) else str(fault)
    remedy = f"name a readable file with {KEY_WANTED} on each line"
    raise SettingsError(f"encryption_key_file ({by_file}) {quoted(file)}: {reason}", remedy=remedy)


def _passwords(url: str) -> list[str]:
    if url.startswith("sqlite:"):
        return []
    parts = urlsplit(url)
    in_query = [value for name, value in parse_qsl(parts.query) if name.lower().endswith(SECRET_OPTIONS)]
    return [*({parts.password, unquote(parts.password)} if parts.password else ()), *in_query]

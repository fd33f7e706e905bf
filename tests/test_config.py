"""Settings: which source wins, what is refused and how that is said, and that secrets stay secret."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from etl.config import SETTINGS, Config, SecretText, SettingSource, load
from etl.errors import SettingsError
from etl.model.records import RemovalGrace, RemovalThreshold

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()

Toml = Callable[..., Path]


@pytest.fixture
def toml(tmp_path: Path) -> Toml:
    def write(text: str, mode: int = 0o600) -> Path:
        (file := tmp_path / "favsync.toml").write_text(text, "utf-8")
        file.chmod(mode)
        return file

    return write


def refused(environ: dict[str, str] | None = None, file: Path | None = None, **flags: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(flags, environ or {}, file)
    assert caught.value.remedy
    assert "\n" not in str(caught.value) + caught.value.remedy
    assert caught.value.exit_code == 2
    return caught.value


def given(**environ: str) -> Config:
    return load({}, environ, None)


@pytest.mark.parametrize(
    ("flag", "variable", "in_file", "level", "kind"),
    [
        ("debug", "warning", "error", "debug", "flag"),
        ("debug", "warning", None, "debug", "flag"),
        ("debug", None, "error", "debug", "flag"),
        ("debug", None, None, "debug", "flag"),
        (None, "warning", "error", "warning", "environment"),
        (None, "warning", None, "warning", "environment"),
        (None, None, "error", "error", "file"),
        (None, "", "error", "error", "file"),
        (None, "  ", None, "info", "default"),
        (None, None, "", "info", "default"),
        (None, None, None, "info", "default"),
    ],
)
def test_a_flag_beats_environment_file_and_default_in_this_order(
    toml: Toml, flag: str | None, variable: str | None, in_file: str | None, level: str, kind: str
) -> None:
    file = toml("" if in_file is None else f'log_level = "{in_file}"\n')
    config = load({"log_level": flag}, {} if variable is None else {"FAVSYNC_LOG_LEVEL": variable}, file)
    assert (config.log_level, config.sources["log_level"].kind) == (level, kind)


def test_each_source_is_named(toml: Toml) -> None:
    file = toml("max_retries = 2\n")
    config = load({"log_format": "json"}, {"FAVSYNC_LANGUAGE": "fr"}, file)
    assert str(config.sources["log_format"]) == "flag --log-format"
    assert str(config.sources["language"]) == "environment FAVSYNC_LANGUAGE"
    assert str(config.sources["max_retries"]) == f"file {file}"
    assert str(config.sources["schedule"]) == "default"


def test_the_environment_may_name_the_file_and_a_flag_overrides(toml: Toml, tmp_path: Path) -> None:
    by_flag = tmp_path / "flag.toml"
    by_flag.write_text("max_retries = 1\n")
    environ = {"FAVSYNC_CONFIG": str(toml("max_retries = 2\n"))}
    assert load({}, environ, None).max_retries == 2
    assert load({}, environ, by_flag).max_retries == 1


def test_the_defaults_are_those_of_the_contract() -> None:
    config = given()
    assert config.api_url == "https://openapi.boomplay.com"
    assert (config.language, config.schedule, config.log_format, config.log_level) == ("en", "every 1h", "text", "info")
    assert (config.page_concurrency, config.requests_per_second, config.timeout_seconds) == (4, 10, 30)
    assert (config.max_retries, config.removal_brake) == (5, RemovalThreshold(10, 0.25))
    assert config.grace == RemovalGrace(timedelta(hours=48), timedelta(days=7))
    assert (config.app_id, config.app_secret, config.access_token, config.refresh_token) == (None, None, None, None)
    assert config.encryption_keys == ()
    assert config.warnings == ()


def test_the_default_database_lies_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert given().database_url.reveal() == f"sqlite:///{tmp_path}/favsync/favsync.db"


def test_every_setting_can_come_from_environment_or_file(toml: Toml) -> None:
    assert [field.name for field in dataclasses.fields(Config)] == [
        *(setting.name for setting in SETTINGS), "sources", "warnings",
    ]  # fmt: skip
    texts = {
        "database_url": "sqlite:////srv/x.db", "api_url": "https://example.org/api", "app_id": "a1", "app_secret": "s1",
        "access_token": "t1", "refresh_token": "r1", "language": "zh-CN", "page_concurrency": "8",
        "requests_per_second": "2.5", "timeout_seconds": "12", "max_retries": "0", "removal_brake": "5,0.1",
        "encryption_keys": f"{KEY},{OTHER_KEY}", "schedule": "0 3 * * *", "log_format": "json", "log_level": "debug",
    }  # fmt: skip
    variables = {each.variable: texts[each.name] for each in SETTINGS if each.name in texts}
    by_environment = load({}, variables, None)
    by_file = load({}, {}, toml("\n".join(f'{name} = "{text}"' for name, text in texts.items())))
    assert by_environment.encryption_keys == (SecretText(KEY), SecretText(OTHER_KEY))
    assert (by_environment.removal_brake, by_environment.requests_per_second) == (RemovalThreshold(5, 0.1), 2.5)
    for name in texts:
        assert getattr(by_environment, name) == getattr(by_file, name)
        assert by_file.sources[name].kind == "file"


def test_the_file_may_hold_numbers_and_lists(toml: Toml) -> None:
    config = load({}, {}, toml("page_concurrency = 8\nrequests_per_second = 0.5\nremoval_brake = [3, 0.5]\n"))
    assert (config.page_concurrency, config.requests_per_second) == (8, 0.5)
    assert config.removal_brake == RemovalThreshold(3, 0.5)


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [
        ("48h", timedelta(hours=48), "48h"),
        ("7D", timedelta(days=7), "7d"),
        ("30 m", timedelta(minutes=30), "30m"),
        ("90m", timedelta(minutes=90), "90m"),
        ("0", timedelta(0), "0"),
        ("0h", timedelta(0), "0"),
    ],
)
def test_a_grace_is_a_number_with_a_unit_or_zero(toml: Toml, text: str, length: timedelta, shown: str) -> None:
    config = given(FAVSYNC_REMOVAL_GRACE=text)
    assert config.removal_grace == load({}, {}, toml(f'removal_grace = "{text}"')).removal_grace == length
    assert {name: value for name, value, _, _ in config.shown()}["removal_grace"] == shown


def test_no_removal_grace_means_no_withdrawal_grace(toml: Toml) -> None:
    assert given(FAVSYNC_REMOVAL_GRACE="0").grace == RemovalGrace()
    is_set = given(FAVSYNC_REMOVAL_GRACE="0", FAVSYNC_WITHDRAWAL_GRACE="7d")
    assert is_set.grace == RemovalGrace(timedelta(0), timedelta(days=7))
    assert load({}, {}, toml("removal_grace = 0")).withdrawal_grace == timedelta(0)
    assert given(FAVSYNC_REMOVAL_GRACE="1h").withdrawal_grace == timedelta(days=7)


def test_a_wrong_grace_is_answered_with_the_forms() -> None:
    assert refused({"FAVSYNC_REMOVAL_GRACE": "soon"}).remedy == (
        "set FAVSYNC_REMOVAL_GRACE to a length of time such as 48h, 7d or 0 (at once)"
    )


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        given().log_level = "debug"  # type: ignore[misc]


# What is refused.


@pytest.mark.parametrize(
    ("variable", "text", "fault"),
    [
        ("FAVSYNC_PAGE_CONCURRENCY", "four", "'four' is not a whole number"),
        ("FAVSYNC_PAGE_CONCURRENCY", "0", "'0' is not a whole number from 1 to 32"),
        ("FAVSYNC_PAGE_CONCURRENCY", "33", "from 1 to 32"),
        ("FAVSYNC_PAGE_CONCURRENCY", "1_0", "not a whole number"),
        ("FAVSYNC_PAGE_CONCURRENCY", "٤", "not a whole number"),
        ("FAVSYNC_PAGE_CONCURRENCY", "9" * 5000, "not a whole number"),
        ("FAVSYNC_REQUESTS_PER_SECOND", "nan", "not a number"),
        ("FAVSYNC_REQUESTS_PER_SECOND", "1e400", "not a number"),
        ("FAVSYNC_REQUESTS_PER_SECOND", "-1", "from 0 (no limit) to 10000"),
        ("FAVSYNC_TIMEOUT_SECONDS", "0", "from 0.1 to 3600"),
        ("FAVSYNC_MAX_RETRIES", "1.5", "not a whole number"),
        ("FAVSYNC_REMOVAL_BRAKE", "10", "not two numbers"),
        ("FAVSYNC_REMOVAL_BRAKE", "10,25", "a share from 0 to 1"),
        ("FAVSYNC_REMOVAL_GRACE", "48", "'48' is not a length of time"),
        ("FAVSYNC_REMOVAL_GRACE", "-1h", "not a length of time"),
        ("FAVSYNC_REMOVAL_GRACE", "1.5d", "not a length of time"),
        ("FAVSYNC_WITHDRAWAL_GRACE", "a week", "not a length of time"),
        ("FAVSYNC_WITHDRAWAL_GRACE", "100000d", "not a length of time"),
        ("FAVSYNC_LOG_FORMAT", "xml", "is not text or json"),
        ("FAVSYNC_LOG_LEVEL", "warn", "did you mean warning?"),
        ("FAVSYNC_LANGUAGE", "en\r\nX: y", "control character"),
        ("FAVSYNC_LANGUAGE", "english please", "not a language tag"),
        ("FAVSYNC_SCHEDULE", "every\x1b[2J", "control character"),
        ("BOOMPLAY_APP_ID", "a b", "contains a space"),
        ("FAVSYNC_DATABASE_URL", "favsync", "is neither a URL nor a path"),
        ("FAVSYNC_DATABASE_URL", "mysql://h/d", "the scheme 'mysql', which favsync does not support"),
        ("FAVSYNC_DATABASE_URL", "postgresql+psycopg2://h/d", "does not support"),
        ("FAVSYNC_DATABASE_URL", "sqlite://favsync.db", "two slashes where three are needed"),
        ("FAVSYNC_DATABASE_URL", "sqlite://", "names no file"),
        ("FAVSYNC_DATABASE_URL", "sqlite:///:memory:", "names no file"),
        ("FAVSYNC_DATABASE_URL", "postgresql://u:p/w@h/d", "percent-encode"),
        ("FAVSYNC_DATABASE_URL", "postgresql://u:1/w@h/d", "percent-encode"),
        ("FAVSYNC_DATABASE_URL", "postgresql://u:p[w@h/d", "percent-encode"),
        ("FAVSYNC_DATABASE_URL", "postgresql://h:port/d", "check the port"),
        ("BOOMPLAY_API_URL", "openapi.boomplay.com", "not the address"),
        ("BOOMPLAY_API_URL", "ftp://h", "not the address"),
        ("BOOMPLAY_API_URL", "https://", "not the address"),
        ("BOOMPLAY_API_URL", "https://h:0", "not the address"),
        ("BOOMPLAY_API_URL", "https://u:p@h", "more than a host"),
        ("BOOMPLAY_API_URL", "https://h/?x=1", "more than a host"),
        ("BOOMPLAY_API_URL", "https://h\\@evil", "more than a host"),
        ("BOOMPLAY_API_URL", "http://openapi.boomplay.com", "unencrypted"),
        ("BOOMPLAY_API_URL", "http://localhost.evil.example", "unencrypted"),
        ("BOOMPLAY_API_URL", "http://127.0.0.1.evil.example", "unencrypted"),
        ("BOOMPLAY_API_URL", "http://0.0.0.0", "unencrypted"),
        ("BOOMPLAY_API_URL", "http://10.0.0.1:80", "unencrypted"),
    ],
)
def test_a_wrong_value_is_refused_with_source_and_remedy(variable: str, text: str, fault: str) -> None:
    error = refused({variable: text})
    assert variable in str(error)
    assert fault in str(error)
    assert error.remedy.startswith(f"set {variable} to ")
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080", "http://127.9.9.9"]
)
def test_plain_http_is_good_enough_within_one_machine(url: str) -> None:
    assert given(BOOMPLAY_API_URL=url + "/").api_url == url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///x.db",
        "sqlite:////var/x y.db",
        "postgresql:///name",
        "postgresql://u:p%40w@[::1]:5432/d?sslmode=require",
    ],
)
def test_urls_of_both_databases_are_taken_as_they_are(url: str) -> None:
    assert given(FAVSYNC_DATABASE_URL=url).database_url.reveal() == url


def test_a_postgres_url_is_read_with_a_warning() -> None:
    config = given(FAVSYNC_DATABASE_URL="postgres://u@h/d")
    assert config.database_url.reveal() == "postgresql://u@h/d"
    assert any("postgresql://" in line for line in config.warnings)


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given(FAVSYNC_DATABASE_URL="sqlite:///~/f.db").database_url.reveal() == f"sqlite:///{tmp_path}/f.db"


def test_an_empty_flag_is_no_default() -> None:
    assert "--database-url" in str(refused(database_url=""))


def test_the_word_bearer_is_no_part_of_a_token() -> None:
    assert given(BOOMPLAY_ACCESS_TOKEN="Bearer abcdef").access_token == SecretText("abcdef")


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("databse_url = 'x'", "'databse_url'", "did you mean database_url?"),
        ("Page-Concurrency = 3", "'Page-Concurrency'", "did you mean page_concurrency?"),
        ("zzz = 1", "'zzz'", "`favsync config` lists"),
        ("[log_level]\nx = 1", "is a table", "set log_level to"),
        ("log_level = true", "is true or false", "set log_level to"),
        ("schedule = 2025-01-01", "has a type", "set schedule to"),
        ("page_concurrency = 4.5", "'4.5' is not a whole number", "set page_concurrency to"),
        ("= 3", "not TOML", "correct that line"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(toml: Toml, text: str, message: str, remedy: str) -> None:
    error = refused(file=toml(text))
    assert message in str(error)
    assert "favsync.toml" in str(error)
    assert remedy in error.remedy


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    assert "No such file" in str(refused(file=tmp_path / "none.toml"))
    assert "cannot be read" in str(refused(file=tmp_path))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in str(refused(file=tmp_path / "binary.toml"))


# Secrets.


def test_a_secret_shows_in_no_text_of_a_config() -> None:
    config = given(
        FAVSYNC_DATABASE_URL="postgresql://u:MARKER1@h/d?sslpassword=MARKER2",
        BOOMPLAY_APP_SECRET="MARKER3",
        BOOMPLAY_ACCESS_TOKEN="MARKER4",
        BOOMPLAY_REFRESH_TOKEN="MARKER5",
        FAVSYNC_ENCRYPTION_KEY=KEY,
    )
    texts = [repr(config), str(config), f"{config.access_token}", f"{config.database_url!r}", str(list(config.shown()))]
    for text in texts:
        assert "MARKER" not in text
        assert KEY not in text
    assert str(config.database_url) == "postgresql://u:***@h/d?sslpassword=***"
    assert set(config.secrets()) == {"MARKER1", "MARKER2", "MARKER3", "MARKER4", "MARKER5", KEY}
    assert config.access_token is not None
    assert config.access_token.reveal() == "MARKER4"


def test_a_password_is_masked_encoded_and_decoded() -> None:
    assert set(given(FAVSYNC_DATABASE_URL="postgresql://u:p%40w@h/d").secrets()) == {"p%40w", "p@w"}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("BOOMPLAY_ACCESS_TOKEN", "MARKER with spaces"),
        ("BOOMPLAY_APP_SECRET", "MARKER\nMARKER"),
        ("BOOMPLAY_APP_SECRET", "MARKÉR MARKER"),
        ("FAVSYNC_ENCRYPTION_KEY", f"{KEY},MARKER"),
        ("FAVSYNC_DATABASE_URL", "mysql://u:MARKER@h/d"),
        ("FAVSYNC_DATABASE_URL", "postgresql://u:MARKER/MARKER@h/d"),
        ("FAVSYNC_DATABASE_URL", "postgresql://u:MARKER#[@h/d?password=MARKER"),
    ],
)
def test_an_error_about_a_secret_does_not_contain_it(variable: str, text: str) -> None:
    error = refused({variable: text})
    assert "MARKER" not in str(error) + error.remedy + repr(error.__cause__)


def test_only_a_fernet_key_is_a_key_and_the_wrong_one_is_counted() -> None:
    assert "key 2 of 2" in str(refused({"FAVSYNC_ENCRYPTION_KEY": f"{KEY},{KEY[:-2]}"}))
    assert "`favsync accounts new-key`" in refused({"FAVSYNC_ENCRYPTION_KEY": "x"}).remedy


def test_keys_come_from_a_file_one_a_line_or_with_commas(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n{OTHER_KEY}\n")
    file.chmod(0o600)
    config = given(FAVSYNC_ENCRYPTION_KEY_FILE=str(file))
    assert config.encryption_keys == (SecretText(KEY), SecretText(OTHER_KEY))
    assert config.sources["encryption_keys"] == SettingSource("environment", "FAVSYNC_ENCRYPTION_KEY_FILE")
    assert config.warnings == ()


def test_key_and_key_file_of_the_same_rank_are_refused(toml: Toml, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    both = {"FAVSYNC_ENCRYPTION_KEY": OTHER_KEY, "FAVSYNC_ENCRYPTION_KEY_FILE": str(key_file)}
    assert "both" in str(refused(both))
    file = toml('encryption_key_file = "gone"\n')
    assert load({}, {"FAVSYNC_ENCRYPTION_KEY": OTHER_KEY}, file).encryption_keys == (SecretText(OTHER_KEY),)
    file = toml(f'encryption_keys = "{OTHER_KEY}"\n')
    assert load({}, {"FAVSYNC_ENCRYPTION_KEY_FILE": str(key_file)}, file).encryption_keys == (SecretText(KEY),)


def test_a_key_file_without_a_key_is_refused_without_its_content(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content in (b"", b"MARKER", b"\xff"):
        file.write_bytes(content)
        error = refused({"FAVSYNC_ENCRYPTION_KEY_FILE": str(file)})
        assert "encryption_key_file" in str(error)
        assert "MARKER" not in str(error)
    assert "No such file" in str(refused({"FAVSYNC_ENCRYPTION_KEY_FILE": str(tmp_path / "none")}))

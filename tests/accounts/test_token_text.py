"""Tokens as people paste them, and token files as favsync writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from etl.accounts import token_input
from etl.accounts.credentials import CredentialStore
from etl.accounts.token_input import decode_token, read_token, read_token_file, token_location, write_token_file
from etl.accounts.token_rows import TokenLocation
from etl.config import load
from etl.errors import CredentialsError, SettingsError, UsageError
from etl.setting_values import key_list
from tests.support.sandbox_accounts import KEY

PASTED = [
    "tok-1", "  tok-1\r\n", "\ufefftok-1", '"tok-1"', "'tok-1'", "“tok-1”", "Bearer tok-1", "bearer  tok-1", 'Bearer "tok-1"',
    '"Bearer tok-1"', "Authorization: Bearer tok-1", '\ufeff{"access_token": "tok-1"}',
]  # fmt: skip


def config(**more: str):
    return load({}, {"FAVSYNC_DATABASE_URL": "sqlite:////nowhere.db", "FAVSYNC_ENCRYPTION_KEY": KEY, **more}, None)


@pytest.mark.parametrize("text", PASTED)
def test_a_pasted_token_is_understood_from_every_source(text, tmp_path, monkeypatch):
    monkeypatch.setenv("PASTED", text)
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    inputs = (
        read_token(config(), lambda: text),
        read_token(config(), str, variable="PASTED"),
        read_token(config(), str, file=str(file)),
    )
    assert [each.token.access_token for each in inputs] == ["tok-1"] * 3


@pytest.mark.parametrize("text", PASTED[:-1])
def test_a_pasted_token_of_the_settings_is_understood_or_named(text):
    try:
        given = config(BOOMPLAY_ACCESS_TOKEN=text, BOOMPLAY_REFRESH_TOKEN=text)
    except SettingsError as error:
        assert "BOOMPLAY_ACCESS_TOKEN" in str(error)
        assert not text.strip().isascii() or "earer" in text
    else:
        token = CredentialStore(given, None, None, "default").load().token
        assert (token.access_token, token.refresh_token) == ("tok-1", "tok-1")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_token_file_may_have_a_byte_order_mark(encoding, tmp_path):
    file = tmp_path / "token"
    file.write_text('Bearer "tok-1"\n"tok-2"\n', encoding)
    token, _ = read_token_file(str(file))
    assert (token.access_token, token.refresh_token) == ("tok-1", "tok-2")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("two words", "contains spaces"), ("a\nb\nc", "3 lines"), ("tök", "characters"), ("{", "not valid JSON")],
)
def test_what_is_not_a_token_is_named_with_its_source(text, problem, tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    monkeypatch.setenv("PASTED", text)
    with pytest.raises(CredentialsError, match=f"token file {file}.*{problem}"):
        read_token_file(str(file))
    with pytest.raises(UsageError, match=f"variable PASTED.*{problem}"):
        read_token(config(), str, variable="PASTED")
    with pytest.raises(UsageError, match=f"the input.*{problem}"):
        read_token(config(), lambda: text)


def test_an_empty_input_is_named():
    with pytest.raises(UsageError, match="there is no token"):
        read_token(config(), lambda: " \n\ufeff")
    assert decode_token("", "nothing")[0].access_token == ""


@pytest.mark.parametrize("wrapped", ["\ufeff{}", '"{}"', "'{}'", '\ufeff"{}"\r\n'])
def test_a_pasted_encryption_key_is_understood(wrapped):
    assert [key.reveal() for key in key_list(wrapped.format(KEY))] == [KEY]


def test_a_relative_token_file_is_stored_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    assert token_location(config(), file="tokens/ada")[1] == str(tmp_path / "tokens" / "ada")
    assert token_location(config(), file="~/ada")[1] == "/home/ada/ada"
    (tmp_path / "token").write_text("tok-1")
    assert read_token(config(), str, file="token").reference == str(tmp_path / "token")


def test_a_token_file_has_mode_0600_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_token_file(str(tmp_path / "token"), b"tok-1")
    finally:
        os.umask(before)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, monkeypatch):
    (tmp_path / "token").write_text("old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(token_input.os, "fsync", fail)
    with pytest.raises(CredentialsError, match="No space left"):
        write_token_file(str(tmp_path / "token"), b"new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("token", "old")]


def test_a_token_file_in_an_unknown_home_is_not_found() -> None:
    place, reference, _ = token_location(load({}, {}, None), file="~nobody-there/token")
    assert place is TokenLocation.FILE
    assert reference is not None
    assert reference.endswith("/~nobody-there/token")

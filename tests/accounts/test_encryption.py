"""Tokens at rest."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from etl.accounts.encryption import MAKES_A_KEY, TokenCipher, fingerprint, new_key
from etl.errors import CredentialsError, SettingsError
from etl.settings import KEY_WANTED

OLD, NEW, FOREIGN = new_key(), new_key(), new_key()


def test_what_was_encrypted_is_read_back_and_cannot_be_read_without_a_key() -> None:
    secret = TokenCipher([NEW]).encrypted("a token é")
    assert b"token" not in secret
    assert TokenCipher([NEW]).decrypted(secret, "ada") == "a token é"


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    old = TokenCipher([OLD]).encrypted("t")
    both = TokenCipher([NEW, OLD])
    assert both.decrypted(old, "ada") == "t"
    assert not both.opens_first(old)
    assert both.opens_first(both.encrypted("t"))


@pytest.mark.parametrize(
    "secret", [TokenCipher([FOREIGN]).encrypted("hidden"), b"", b"no fernet"], ids=["foreign", "empty", "plain"]
)
def test_what_no_key_opens_is_an_error_that_names_the_remedy_and_no_key(secret: bytes) -> None:
    with pytest.raises(CredentialsError, match="no key .* account ada") as refused:
        TokenCipher([NEW, OLD]).decrypted(secret, "ada")
    told = f"{refused.value} {refused.value.remedy} {refused.value.__cause__}"
    assert "former key" in told
    assert NEW not in told


def test_without_a_key_there_is_no_vault() -> None:
    with pytest.raises(SettingsError, match="FAVSYNC_ENCRYPTION_KEY") as refused:
        TokenCipher([])
    assert "--token-file" in refused.value.remedy


def test_a_vault_shows_no_key() -> None:
    assert NEW not in repr(TokenCipher([NEW]))


def test_a_fingerprint_tells_two_tokens_apart_and_is_short() -> None:
    assert fingerprint("a") == fingerprint("a") != fingerprint("b")
    assert len(fingerprint("a" * 1000)) == 16


def test_the_advice_makes_a_key_with_any_python_and_no_library() -> None:
    code = shlex.split(MAKES_A_KEY)[2]
    made = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert TokenCipher([made.strip()]).encrypted("t")
    assert MAKES_A_KEY in KEY_WANTED

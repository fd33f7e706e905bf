"""Encryption of stored tokens."""

from __future__ import annotations

import pytest

from etl.accounts.encryption import TokenCipher, fingerprint
from etl.cli import main
from etl.errors import CredentialsError, SettingsError
from etl.settings import KEY_WANTED
from tests.support.sandbox_accounts import new_key

OLD, NEW, FOREIGN = new_key(), new_key(), new_key()


def test_encrypted_text_is_unreadable_without_a_key() -> None:
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
def test_undecryptable_text_is_an_error_without_any_key(secret: bytes) -> None:
    with pytest.raises(CredentialsError, match="no key .* account ada") as refused:
        TokenCipher([NEW, OLD]).decrypted(secret, "ada")
    shown = f"{refused.value} {refused.value.remedy} {refused.value.__cause__}"
    assert "former key" in shown
    assert NEW not in shown


def test_without_a_key_the_cipher_is_refused() -> None:
    with pytest.raises(SettingsError, match="FAVSYNC_ENCRYPTION_KEY") as refused:
        TokenCipher([])
    assert "--token-file" in refused.value.remedy


def test_a_repr_shows_no_key() -> None:
    assert NEW not in repr(TokenCipher([NEW]))


def test_fingerprints_of_two_tokens_differ() -> None:
    assert fingerprint("a") == fingerprint("a") != fingerprint("b")
    assert len(fingerprint("a" * 1000)) == 16


def test_new_key_prints_a_key_and_errors_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts", "new-key"]) == 0
    out, err = capsys.readouterr()
    assert TokenCipher([out.strip()]).encrypted("t")
    assert err == ""
    assert "`favsync accounts new-key`" in KEY_WANTED

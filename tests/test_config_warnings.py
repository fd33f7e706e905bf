"""What works but should not stay as it is: the settings say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.config import load
from tests.test_config import KEY, Toml, given, toml

__all__ = ["toml"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_secrets_in_a_file_that_others_may_read_are_warned_of(toml: Toml, mode: int) -> None:
    text = 'access_token = "abc"\ndatabase_url = "postgresql://u:pw@h/d"\n'
    (warning,) = load({}, {}, toml(text, mode)).warnings
    assert "access_token" in warning
    assert "database_url" in warning
    assert "chmod 600" in warning
    assert load({}, {}, toml(text, 0o600)).warnings == ()


def test_a_readable_file_without_secrets_is_fine(toml: Toml) -> None:
    text = 'log_level = "debug"\ndatabase_url = "postgresql://u@h/d"\naccess_token = ""\n'
    assert load({}, {}, toml(text, 0o644)).warnings == ()


def test_a_key_file_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    (warning,) = given(FAVSYNC_ENCRYPTION_KEY_FILE=str(file)).warnings
    assert "key file" in warning


def test_a_password_on_the_command_line_is_warned_of() -> None:
    (warning,) = load({"database_url": "postgresql://u:MARKER@h/d"}, {}, None).warnings
    assert "process list" in warning
    assert "MARKER" not in warning
    assert load({"database_url": "postgresql://u@h/d"}, {}, None).warnings == ()


def test_a_variable_that_is_nearly_a_setting_is_warned_of() -> None:
    assert any("FAVSYNC_DATABASE_URL?" in line for line in given(FAVSYNC_DATABSE_URL="sqlite:///x").warnings)
    assert given(FAVSYNC_TEST_POSTGRES_URL="x", BOOMPLAY_ACCESS_TOKEN_ADA="x", FAVSYNC_CONFIG="").warnings == ()

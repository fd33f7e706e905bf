"""The JSON Schema of the settings' file: it accepts what `load` accepts, and refuses what `load` refuses."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.config import SETTINGS, load
from etl.errors import SettingsError
from etl.settings import file_schema

Check = Callable[[object], bool]


@pytest.fixture(scope="module")
def is_valid() -> Check:
    """Return a function that checks values against the schema."""
    with pytest.MonkeyPatch.context() as patch:
        # An optional check of URIs, which takes seconds to import.
        patch.setitem(sys.modules, "rfc3987_syntax", None)
        from jsonschema import Draft202012Validator

    return Draft202012Validator(file_schema()).is_valid


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "favsync.toml"
    file.touch(mode=0o600)
    return file


@pytest.mark.parametrize(
    "text",
    [
        'page_concurrency = 8\nremoval_brake = [3, 0.5]\nkeep_raw = false\nlog_level = "debug"\ntoken_codes = [401]\n',
        *(f'removal_grace = "{grace}"' for grace in ("48h", "7D", "30 m", "90m", "0", "0h")),
    ],
)
def test_the_schema_accepts_a_file_that_load_accepts(file: Path, is_valid: Check, text: str) -> None:
    file.write_text(text)
    load({}, {}, file)
    assert is_valid(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    ["page_concurrency = 33", 'log_level = "loud"', "databse_url = 'x'", "language = 'a b'", "removal_grace = 48"],
)
def test_the_schema_refuses_a_file_that_load_refuses(file: Path, is_valid: Check, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError):
        load({}, {}, file)
    assert not is_valid(tomllib.loads(text))


def test_the_schema_lists_every_setting_with_its_default() -> None:
    properties = file_schema()["$defs"]["Settings"]["properties"]
    assert list(properties) == [setting.name for setting in SETTINGS]
    assert properties["page_concurrency"]["default"] == 4
    assert (properties["removal_grace"]["default"], properties["withdrawal_grace"]["default"]) == ("48h", "7d")
    assert "default" not in properties["access_token"]
    assert all(each["description"] for each in properties.values())

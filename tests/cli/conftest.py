"""Fixtures of the command-line tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.logging import restored_logs


@pytest.fixture(autouse=True)
def _restored_logs() -> Iterator[None]:
    with restored_logs():
        yield

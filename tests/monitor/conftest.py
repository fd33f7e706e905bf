"""Fixtures for all tests of `etl.monitor`."""

from __future__ import annotations

import pytest

from etl.monitor import outbox


@pytest.fixture(autouse=True)
def _no_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for deliveries without a limit, however slow the machine is."""
    monkeypatch.setattr(outbox, "TIMEOUT_SECONDS", None)

"""The only module that reads the time. Every instant in favsync is timezone-aware UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime

monotonic = time.monotonic
sleep = time.sleep


def now() -> datetime:
    """Return the current instant in UTC, to the microsecond."""
    return datetime.now(UTC)

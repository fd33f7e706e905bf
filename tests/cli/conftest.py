"""What the tests of the command line share: logs that are put back as they were."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from etl import logs


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root, secrets, chosen = logging.getLogger(), set(logs._secrets), logs._chosen[0]
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, logs._chosen[0] = handlers, chosen
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logs._secrets.clear()
    logs._secrets.update(secrets)
    logs._any_secret.cache_clear()

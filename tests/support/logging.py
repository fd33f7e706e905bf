"""Loggers and secrets that a test may change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from etl import logs


@contextmanager
def restored_logs() -> Iterator[None]:
    """Restore the handlers, the levels and the registered secrets at the end of the block."""
    loggers = [logging.getLogger(), logging.getLogger("etl")]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    secrets = set(logs._secrets)
    try:
        yield
    finally:
        for logger, handlers, level, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
        logging.captureWarnings(capture=False)
        logs._secrets.clear()
        logs._secrets.update(secrets)
        logs._any_secret.cache_clear()

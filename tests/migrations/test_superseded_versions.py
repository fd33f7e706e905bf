"""`track_versions` of a database in use becomes a view with the same rows."""

from __future__ import annotations

import json

from sqlalchemy import Engine, select, text

from etl.db.engine import open_engine, read_transaction
from etl.db.migrate import upgrade
from etl.db.tables import track_versions
from etl.replay.tracks import replay_tracks
from tests.conftest import NewDatabase
from tests.migrations.older import create_older
from tests.migrations.test_upgrade import copied
from tests.support.lists import item
from tests.support.past import account_in, import_past, past_snapshot


def artist(name: str | None) -> list[dict[str, object]]:
    return [{"artist_id": 5, "artist_name": name}]


def versions(engine: Engine) -> list[tuple[object, ...]]:
    """Return the rows of the table or view; JSON as text with sorted keys."""
    with read_transaction(engine) as connection:
        rows = connection.execute(select(track_versions).order_by("track_id", "valid_from")).all()
    return [
        tuple(json.dumps(_parsed(value), sort_keys=True) if n == FACTS else value for n, value in enumerate(row))
        for row in rows
    ]


FACTS = [each.name for each in track_versions.c].index("facts")


def _parsed(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


def test_versions_are_the_same_after_the_upgrade(database_url: str, new_database: NewDatabase) -> None:
    engine_name = database_url.split(":", maxsplit=1)[0]
    origin, url = database_url, new_database(engine_name, migrated=False)
    engine = open_engine(origin)
    old, new = item(1, artists=artist("Before")), item(2, artists=artist("After"), album_title="Later")
    plain = item(
        3, track_title='A "title"\n/ with \\ and \u00e9', genres="Z,A", artists=[], album_id=None, album_title=None
    )
    nameless = item(4, artists=artist(None), album_title=None)
    import_past(
        engine, account_in(engine), past_snapshot(1, [old, plain]), past_snapshot(3, [new, plain, old, nameless])
    )
    import_past(engine, account_in(engine, "bob"), past_snapshot(0, [item(3, track_title="Other")]))
    before = versions(engine)
    assert len(before) == 5
    create_older(url, "0008")
    copied(origin, url)
    upgrade(url)
    upgraded = open_engine(url)
    assert versions(upgraded) == before
    with read_transaction(upgraded) as connection:
        assert not replay_tracks(connection, write=False)
        kept = connection.execute(text("SELECT track_id FROM tracks WHERE facts IS NOT NULL ORDER BY 1")).scalars()
        assert list(kept) == [1, 4]
    upgraded.dispose()
    engine.dispose()

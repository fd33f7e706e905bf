"""Albums and artists of missing favourites: only those that can be a sign are read."""

from __future__ import annotations

from etl.db.engine import read_transaction
from etl.load.baseline import shared_labels
from tests.support.database import open_database
from tests.support.lists import FakeSource, item


def test_labels_that_missing_tracks_share_are_read(database_url):
    with open_database(database_url) as database:
        artists = {n: [{"artist_id": 100 + n % 4, "artist_name": "One"}] for n in range(1, 13)}
        tracks = [item(n, album_id=n // 2, artists=artists[n]) for n in range(1, 13)]
        database.sync(FakeSource(tracks))
        database.sync(FakeSource([item(13, album_id=2, artists=artists[4])]), name="bob")
        with read_transaction(database.engine) as connection:
            found = shared_labels(connection, {4, 5, 8}, database.open_tracks())
    # Tracks 4 and 5 share album 2, and 4 and 8 artist 100. Track 13 is no favourite of this account.
    assert found == {
        4: [("album", 2), ("artist", 100)],
        5: [("album", 2)],
        8: [("artist", 100)],
        12: [("artist", 100)],
    }

"""sqlite-utils, as its documentation recommends it for a job like this: bulk upserts, and deletion of what is gone."""

from __future__ import annotations

import sys

import sqlite_utils
from listing import items, markets


def main() -> None:
    """Copy the list."""
    database = sqlite_utils.Database(sys.argv[1].removeprefix("sqlite:///"))
    database.enable_wal()
    found = list(items())
    tracks, artists, links, sold = [], {}, [], []
    for item in found:
        art = item.get("artwork") or {}
        plain = {key: value for key, value in item.items() if key not in ("artwork", "artists", "available_markets")}
        tracks.append(plain | {"artwork_url": art.get("url"), "width": art.get("width"), "height": art.get("height")})
        for position, artist in enumerate(item.get("artists") or ()):
            artists[artist["artist_id"]] = artist["artist_name"]
            links.append({"track_id": item["track_id"], "position": position, "artist_id": artist["artist_id"]})
        sold += [{"track_id": item["track_id"], "market_code": code} for code in markets(item)]
    database["tracks"].upsert_all(tracks, pk="track_id", alter=True)
    database["artists"].upsert_all(({"artist_id": i, "name": n} for i, n in artists.items()), pk="artist_id")
    database["track_artists"].upsert_all(links, pk=("track_id", "position"))
    database["track_markets"].insert_all(sold, pk=("track_id", "market_code"), ignore=True, batch_size=10_000)
    database["favourites"].upsert_all(({"track_id": item["track_id"]} for item in found), pk="track_id")
    there = {item["track_id"] for item in found}
    gone = [row["track_id"] for row in database["favourites"].rows if row["track_id"] not in there]
    with database.conn:
        database.conn.executemany("DELETE FROM favourites WHERE track_id = ?", [(i,) for i in gone])


if __name__ == "__main__":
    main()

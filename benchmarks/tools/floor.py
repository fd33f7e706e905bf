"""The least that any design must do: fetch, decode, hash, write in bulk what is new; no history, no proof, no checks.

    BOOMPLAY_API_URL=… BOOMPLAY_ACCESS_TOKEN=… BOOMPLAY_APP_ID=… python floor.py DATABASE_URL [httpx]

Only the standard library, msgspec and psycopg; pages by four threads, markets as shared sets. With a second argument ``httpx`` the pages
are fetched by favsync's HTTP client instead of `http.client`, which takes a third of its processor time.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import msgspec

PAGE = 50
TABLES = {
    "albums": "album_id bigint PRIMARY KEY, title text",
    "artists": "artist_id bigint PRIMARY KEY, name text",
    "genres": "genre_id bigint PRIMARY KEY, name text",
    "market_sets": "market_set_id bigint PRIMARY KEY, size int",
    "market_set_members": "market_set_id bigint, market_code text, PRIMARY KEY (market_set_id, market_code)",
    "tracks": "track_id bigint PRIMARY KEY, digest {blob}, title text, track_number bigint, isrc text, duration text, "
    "album_id bigint, market_set_id bigint, web_url text, mobile_url text, artwork_url text, width int, height int",
    "track_artists": "track_id bigint, position int, artist_id bigint, PRIMARY KEY (track_id, position)",
    "track_genres": "track_id bigint, position int, genre_id bigint, PRIMARY KEY (track_id, position)",
    "favourites": "track_id bigint PRIMARY KEY, position int",
    "lists": "digest {blob} PRIMARY KEY",
}


class Artwork(msgspec.Struct):
    width: int | None = None
    height: int | None = None
    url: str | None = None


class Artist(msgspec.Struct):
    artist_id: int
    artist_name: str | None = None


class Track(msgspec.Struct):
    track_id: int
    track_title: str | None = None
    track_number: int | None = None
    isrc: str | None = None
    duration: str | None = None
    album_id: int | None = None
    album_title: str | None = None
    genres: str | None = None
    available_markets: str | None = None
    web_url: str | None = None
    mobile_url: str | None = None
    artwork: Artwork | None = None
    artists: list[Artist] | None = None


class Answer(msgspec.Struct):
    data: list[msgspec.Raw]
    counts: int


def fetched(has_httpx: bool) -> list[bytes]:
    """Return the items of the list, as received."""
    headers = {
        "Authorization": f"Bearer {os.environ['BOOMPLAY_ACCESS_TOKEN']}",
        "app_id": os.environ["BOOMPLAY_APP_ID"],
    }
    get = httpx_client(headers) if has_httpx else plain_client(headers)
    decode = msgspec.json.Decoder(Answer).decode

    def page(offset: int) -> Answer:
        return decode(get(f"/favourite/v1/tracks?offset={offset}&limit={PAGE}"))

    first = page(0)
    with ThreadPoolExecutor(4) as pool:
        pages = [first, *pool.map(page, range(PAGE, first.counts, PAGE))]
    return [bytes(item) for answer in pages for item in answer.data]


def plain_client(headers: dict[str, str]) -> Callable[[str], bytes]:
    """Return a function that fetches a path, over one connection a thread."""
    address, local = urlsplit(os.environ["BOOMPLAY_API_URL"]), threading.local()

    def get(path: str) -> bytes:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(str(address.hostname), address.port)
        local.connection.request("GET", path, headers=headers)
        return local.connection.getresponse().read()

    return get


def httpx_client(headers: dict[str, str]) -> Callable[[str], bytes]:
    """Return a function that fetches a path with httpx."""
    import httpx

    client = httpx.Client(base_url=os.environ["BOOMPLAY_API_URL"], headers=headers)
    return lambda path: client.get(path).content


def digest(body: bytes) -> bytes:
    """Return the hash of an item."""
    return hashlib.blake2b(body, digest_size=16).digest()


def rows_of(items: Iterable[tuple[bytes, bytes]]) -> dict[str, list[tuple]]:
    """Decode new items, each given with its hash, and return the rows of each table."""
    decode = msgspec.json.Decoder(Track).decode
    albums, artists, genres, sets = {}, {}, {}, {}
    tracks, track_artists, track_genres = [], [], []
    for body, hashed in items:
        track = decode(body)
        art = track.artwork or Artwork()
        if track.album_id:
            albums[track.album_id] = track.album_title
        named = {artist.artist_id: artist.artist_name for artist in track.artists or ()}
        artists |= named
        markets = track.available_markets or ""
        set_id = sets.setdefault(markets, int.from_bytes(digest(markets.encode())[:7], "big"))
        tracks.append((track.track_id, hashed, track.track_title, track.track_number, track.isrc, track.duration,
            track.album_id, set_id, track.web_url, track.mobile_url, art.url, art.width, art.height))  # fmt: skip
        track_artists += [(track.track_id, n, artist) for n, artist in enumerate(named)]
        for n, name in enumerate(dict.fromkeys((track.genres or "").split(","))):
            genre_id = genres.setdefault(name, int.from_bytes(digest(name.encode())[:7], "big"))
            track_genres.append((track.track_id, n, genre_id))
    members = {number: set(filter(None, codes.split(","))) for codes, number in sets.items()}
    return {
        "albums": list(albums.items()),
        "artists": list(artists.items()),
        "genres": [(number, name) for name, number in genres.items()],
        "market_sets": [(number, len(codes)) for number, codes in members.items()],
        "market_set_members": [(number, code) for number, codes in members.items() for code in codes],
        "tracks": tracks,
        "track_artists": track_artists,
        "track_genres": track_genres,
    }


class Sqlite:
    """Bulk writing into a SQLite file."""

    def __init__(self, url: str) -> None:
        self.connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.make("blob")

    def make(self, blob: str) -> None:
        """Make the tables."""
        for name, columns in TABLES.items():
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns.format(blob=blob)})")

    def rows(self, sql: str) -> list[tuple]:
        """Return the rows of a query."""
        return self.connection.execute(sql).fetchall()

    def delete(self, table: str, ids: list[int]) -> None:
        """Delete the rows of these tracks."""
        self.connection.executemany(f"DELETE FROM {table} WHERE track_id = ?", [(i,) for i in ids])

    def write(self, table: str, rows: list[tuple]) -> None:
        """Write rows, once each."""
        if rows:
            holders = ", ".join("?" * len(rows[0]))
            self.connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({holders})", rows)


class Postgres(Sqlite):
    """Bulk writing into PostgreSQL."""

    def __init__(self, url: str) -> None:
        import psycopg

        self.connection = psycopg.connect(url)
        self.make("bytea")

    def delete(self, table: str, ids: list[int]) -> None:
        """Delete the rows of these tracks."""
        self.connection.execute(f"DELETE FROM {table} WHERE track_id = ANY(%s)", (ids,))

    def write(self, table: str, rows: list[tuple]) -> None:
        """Write rows, once each."""
        with self.connection.cursor() as cursor:
            target = table
            if table in ("albums", "artists", "genres", "market_sets", "market_set_members"):
                target = f"new_{table}"
                cursor.execute(f"CREATE TEMPORARY TABLE {target} (LIKE {table}) ON COMMIT DROP")
            with cursor.copy(f"COPY {target} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            if target != table:
                cursor.execute(f"INSERT INTO {table} SELECT * FROM {target} ON CONFLICT DO NOTHING")


def copy_list(url: str, has_httpx: bool = False) -> None:
    """Copy the list into a database."""
    items = fetched(has_httpx)
    digests = [digest(item) for item in items]
    whole = digest(b"".join(digests))
    database = Sqlite(url) if url.startswith("sqlite") else Postgres(url)
    if [whole] == [bytes(row[0]) for row in database.rows("SELECT digest FROM lists")]:
        return
    known = {bytes(row[0]) for row in database.rows("SELECT digest FROM tracks")}
    decode = msgspec.json.Decoder(Track).decode
    order = [decode(item).track_id if known else None for item in items]
    rows = rows_of(pair for pair in zip(items, digests, strict=True) if pair[1] not in known)
    fresh = [row[0] for row in rows["tracks"]]
    if known:
        for table in ("tracks", "track_artists", "track_genres"):
            database.delete(table, fresh)
    for table, written in rows.items():
        database.write(table, written)
    ids = order if known else fresh
    there = {row[0] for row in database.rows("SELECT track_id FROM favourites")}
    database.delete("favourites", list(there - set(ids)))
    database.write("favourites", [(track_id, n) for n, track_id in enumerate(ids) if track_id not in there])
    database.rows("DELETE FROM lists RETURNING 1")
    database.write("lists", [(whole,)])
    database.connection.commit()


if __name__ == "__main__":
    copy_list(sys.argv[1], "httpx" in sys.argv[2:])

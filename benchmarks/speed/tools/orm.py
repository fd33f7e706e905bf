"""A careful SQLAlchemy ORM script: artists, albums and markets are cached, tracks are read and written a page at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from listing import items, markets
from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Table, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

PAGE = 50


class Base(DeclarativeBase):
    pass


class Album(Base):
    __tablename__ = "albums"
    album_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    title: Mapped[str | None]


class Artist(Base):
    __tablename__ = "artists"
    artist_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str | None]


class Market(Base):
    __tablename__ = "markets"
    market_code: Mapped[str] = mapped_column(primary_key=True)


def links(name: str, there: str) -> Table:
    """Return the table between tracks and what ``there`` names."""
    track = Column("track_id", ForeignKey("tracks.track_id"), primary_key=True)
    return Table(name, Base.metadata, track, Column(there.split(".")[1], ForeignKey(there), primary_key=True))


class Track(Base):
    __tablename__ = "tracks"
    track_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    title: Mapped[str | None]
    track_number: Mapped[int | None] = mapped_column(BigInteger)
    isrc: Mapped[str | None]
    duration: Mapped[str | None]
    genres: Mapped[str | None]
    album_id: Mapped[int | None] = mapped_column(ForeignKey("albums.album_id"))
    web_url: Mapped[str | None]
    mobile_url: Mapped[str | None]
    artwork_url: Mapped[str | None]
    artists: Mapped[set[Artist]] = relationship(secondary=links("track_artists", "artists.artist_id"))
    markets: Mapped[set[Market]] = relationship(secondary=links("track_markets", "markets.market_code"))
    album: Mapped[Album | None] = relationship()


class Favourite(Base):
    __tablename__ = "favourites"
    track_id: Mapped[int] = mapped_column(ForeignKey("tracks.track_id"), primary_key=True)
    track: Mapped[Track] = relationship()
    added_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Caches:
    """What every page refers to, read once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.albums = {album.album_id: album for album in session.scalars(select(Album))}
        self.artists = {artist.artist_id: artist for artist in session.scalars(select(Artist))}
        self.markets = {market.market_code: market for market in session.scalars(select(Market))}

    def album(self, item: dict) -> Album | None:
        """Return the album of an item, a new one if it is not there."""
        album_id = item.get("album_id")
        if album_id and album_id not in self.albums:
            self.albums[album_id] = self._added(Album(album_id=album_id, title=item.get("album_title")))
        return self.albums.get(album_id)

    def artist(self, wire: dict) -> Artist:
        """Return an artist, a new one if it is not there."""
        artist_id = wire["artist_id"]
        if artist_id not in self.artists:
            self.artists[artist_id] = self._added(Artist(artist_id=artist_id, name=wire.get("artist_name")))
        return self.artists[artist_id]

    def market(self, code: str) -> Market:
        """Return a market, a new one if it is not there."""
        if code not in self.markets:
            self.markets[code] = self._added(Market(market_code=code))
        return self.markets[code]

    def _added(self, row):
        self.session.add(row)
        return row


def pages() -> Iterator[list[dict]]:
    """Yield the list, a page at a time."""
    listed = items()
    while page := list(islice(listed, PAGE)):
        yield page


def main() -> None:
    """Copy the list."""
    url = sys.argv[1].replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine, autoflush=False) as session:
        favourites = set(session.scalars(select(Favourite.track_id)))
        caches, there = Caches(session), set()
        for page in pages():
            there |= copy_page(session, page, caches, favourites)
        for favourite in session.scalars(select(Favourite).where(Favourite.track_id.in_(favourites - there))):
            session.delete(favourite)
        session.commit()


def copy_page(session: Session, page: list[dict], caches: Caches, favourites: set[int]) -> set[int]:
    """Copy one page, and forget it."""
    ids = {item["track_id"] for item in page}
    query = select(Track).where(Track.track_id.in_(ids))
    found = session.scalars(query.options(selectinload(Track.artists), selectinload(Track.markets)))
    tracks = {track.track_id: track for track in found}
    for item in page:
        copy_track(session, item, tracks, caches)
        if item["track_id"] not in favourites:
            favourites.add(item["track_id"])
            session.add(Favourite(track_id=item["track_id"], added_at=datetime.now(UTC)))
    session.flush()
    for each in [each for each in session if isinstance(each, Track | Favourite)]:
        session.expunge(each)
    return ids


def copy_track(session: Session, item: dict, tracks: dict[int, Track], caches: Caches) -> None:
    """Add the track, or set what it says; its artists and markets only where they differ."""
    track = tracks.get(item["track_id"])
    if track is None:
        track = tracks[item["track_id"]] = Track(track_id=item["track_id"])
        session.add(track)
    track.title = item.get("track_title")
    track.track_number = item.get("track_number")
    track.isrc = item.get("isrc")
    track.duration = item.get("duration")
    track.genres = item.get("genres")
    track.web_url = item.get("web_url")
    track.mobile_url = item.get("mobile_url")
    track.artwork_url = (item.get("artwork") or {}).get("url")
    if (album := caches.album(item)) is not track.album:
        track.album = album
    if (artists := {caches.artist(wire) for wire in item.get("artists") or ()}) != track.artists:
        track.artists = artists
    if (codes := {caches.market(code) for code in markets(item)}) != track.markets:
        track.markets = codes


if __name__ == "__main__":
    main()

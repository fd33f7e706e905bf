"""A careful SQLAlchemy ORM script: what is there is read first, what differs is set, one commit."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from listing import items, markets
from sqlalchemy import BigInteger, DateTime, ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload


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


class TrackArtist(Base):
    __tablename__ = "track_artists"
    track_id: Mapped[int] = mapped_column(ForeignKey("tracks.track_id"), primary_key=True)
    artist_id: Mapped[int] = mapped_column(ForeignKey("artists.artist_id"), primary_key=True)
    artist: Mapped[Artist] = relationship()


class TrackMarket(Base):
    __tablename__ = "track_markets"
    track_id: Mapped[int] = mapped_column(ForeignKey("tracks.track_id"), primary_key=True)
    market_code: Mapped[str] = mapped_column(primary_key=True)


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
    artists: Mapped[list[TrackArtist]] = relationship(cascade="all, delete-orphan")
    markets: Mapped[list[TrackMarket]] = relationship(cascade="all, delete-orphan")
    album: Mapped[Album | None] = relationship()


class Favourite(Base):
    __tablename__ = "favourites"
    track_id: Mapped[int] = mapped_column(ForeignKey("tracks.track_id"), primary_key=True)
    track: Mapped[Track] = relationship()
    added_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def main() -> None:
    """Copy the list."""
    url = sys.argv[1].replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine, autoflush=False) as session:
        albums = {album.album_id: album for album in session.scalars(select(Album))}
        artists = {artist.artist_id: artist for artist in session.scalars(select(Artist))}
        favourites = {favourite.track_id: favourite for favourite in session.scalars(select(Favourite))}
        everything = select(Track).options(selectinload(Track.artists), selectinload(Track.markets))
        tracks = {track.track_id: track for track in session.scalars(everything)}
        there = set()
        for item in items():
            there.add(item["track_id"])
            copy_dimensions(session, item, albums, artists)
            copy_track(session, item, tracks)
            if item["track_id"] not in favourites:
                session.add(Favourite(track_id=item["track_id"], added_at=datetime.now(UTC)))
        for track_id, favourite in favourites.items():
            if track_id not in there:
                session.delete(favourite)
        session.commit()


def copy_dimensions(session: Session, item: dict, albums: dict, artists: dict) -> None:
    """Add the album and the artists that are not there."""
    album_id = item.get("album_id")
    if album_id and album_id not in albums:
        albums[album_id] = Album(album_id=album_id, title=item.get("album_title"))
        session.add(albums[album_id])
    for artist in item.get("artists") or ():
        if artist["artist_id"] not in artists:
            artists[artist["artist_id"]] = Artist(artist_id=artist["artist_id"], name=artist.get("artist_name"))
            session.add(artists[artist["artist_id"]])


def copy_track(session: Session, item: dict, tracks: dict[int, Track]) -> None:
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
    track.album_id = item.get("album_id") or None
    track.web_url = item.get("web_url")
    track.mobile_url = item.get("mobile_url")
    track.artwork_url = (item.get("artwork") or {}).get("url")
    artist_ids = {artist["artist_id"] for artist in item.get("artists") or ()}
    if artist_ids != {link.artist_id for link in track.artists}:
        track.artists = [TrackArtist(artist_id=artist_id) for artist_id in sorted(artist_ids)]
    codes = set(markets(item))
    if codes != {link.market_code for link in track.markets}:
        track.markets = [TrackMarket(market_code=code) for code in sorted(codes)]


if __name__ == "__main__":
    main()

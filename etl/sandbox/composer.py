"""Composes the made-up tracks: each is a function of the seed and its index.

Field names, their order and the form of every value follow Boomplay's documentation. Hosts are reserved ones. The words
come from ``music.json``; every part of an artist's name is a common name, so no artist is a real one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from importlib.resources import files

import msgspec

from etl.sandbox.malformed import Fields
from etl.sandbox.rng import Rng, random_for

_TITLE_FORMS = ("{0}", "{0}", "{0}", "{0} ({1})", "{0}, {1}", "{0} / {1}")
_PRIME, _STRIDE = 39_999_983, 48_271
_USUAL_LISTS = 18  # the first and longest market lists, which most albums have


class Culture(msgspec.Struct, frozen=True):
    """The words of one place's music. ``country`` is the prefix of its ISRC."""

    country: str
    given: tuple[str, ...]
    family: tuple[str, ...]
    genres: tuple[str, ...]
    titles: tuple[str, ...]


class Words(msgspec.Struct, frozen=True):
    """What ``music.json`` holds."""

    markets_always: list[str]
    markets_african: list[str]
    markets_other: list[str]
    market_list_sizes: list[int]
    stage_names: tuple[str, ...]
    title_ends: tuple[str, ...]
    album_ends: tuple[str, ...]
    cultures: tuple[Culture, ...]


WORDS = msgspec.json.decode(files("etl.sandbox").joinpath("music.json").read_bytes(), type=Words)


class FakeArtist(msgspec.Struct, frozen=True):
    """A made-up artist; ``culture`` decides names, titles and genres."""

    artist_id: int
    name: str
    culture: Culture


class FakeAlbum(msgspec.Struct, frozen=True):
    """The fields that the tracks of one made-up album share. ``first`` is the index of its first track."""

    album_id: int
    title: str
    genres: str
    markets: str
    artwork: str
    artist: FakeArtist
    first: int


class Composer:
    """The made-up music of one seed: ``tracks`` tracks on albums by artists."""

    def __init__(self, tracks: int, seed: int) -> None:
        self.tracks = tracks
        self._seed = seed
        self._firsts = _album_firsts(tracks, seed)
        self._market_lists = market_lists(seed)
        self._artists = tracks // 6 + 12
        self._artist = lru_cache(maxsize=None)(self._make_artist)
        self._album = lru_cache(maxsize=None)(self._make_album)

    @cached_property
    def track_ids(self) -> tuple[int, ...]:
        """The ids of the tracks, by index; none is the documented example's."""
        shift = Rng(self._seed, "ids").below(_PRIME)
        return tuple(60_000_001 + (index * _STRIDE + shift) % _PRIME for index in range(self.tracks))

    def track_fields(self, index: int) -> Fields:
        """Return track ``index`` as the favourites list shows it."""
        rng = Rng(self._seed, "track", index)
        track_id = self.track_ids[index]
        album = self._album(bisect_right(self._firsts, index) - 1)
        artist = album.artist
        guest: FakeArtist | None = self._artist(rng.below(self._artists))
        if not (rng.once_in(4) and guest and guest.name != artist.name):
            guest = None
        return {
            "track_id": track_id,
            "track_title": _title(rng, artist, guest),
            "track_number": index - album.first + 1,
            "isrc": f"{artist.culture.country}SBX23{rng.below(100_000):05}" if rng.once_in(8) else "",
            "duration": _duration(90 + rng.below(330) + (3600 if rng.once_in(200) else 0)),
            "album_id": album.album_id,
            "album_title": album.title,
            "genres": album.genres,
            "available_markets": rng.pick(self._market_lists) if rng.once_in(12) else album.markets,
            "web_url": f"https://web.example.invalid/songs/{track_id}?srModel=openapi_sandbox",
            "mobile_url": f"https://web.example.invalid/share/music/{track_id}?srModel=openapi_sandbox",
            "artwork": {
                "width": 464,
                "height": 464,
                "url": f"https://img.example.invalid/group10/M00/00/01/{album.artwork}_464_464.jpg",
            },
            "artists": [
                {"artist_id": each.artist_id, "artist_name": each.name} for each in (artist, guest) if each is not None
            ],
        }

    def label_ids(self, index: int) -> tuple[int, int]:
        """Return the ids of the artist and the album of track ``index``."""
        album = self._album(bisect_right(self._firsts, index) - 1)
        return album.artist.artist_id, album.album_id

    def _make_artist(self, index: int) -> FakeArtist:
        rng = Rng(self._seed, "artist", index)
        culture = rng.pick(WORDS.cultures)
        form = rng.pick(WORDS.stage_names)
        name = form.format(given=rng.pick(culture.given), family=rng.pick(culture.family))
        return FakeArtist(20_100_001 + index * 11, name, culture)

    def _make_album(self, index: int) -> FakeAlbum:
        rng = Rng(self._seed, "album", index)
        artist = self._artist(rng.below(self._artists))
        lists = self._market_lists[:_USUAL_LISTS] if rng.below(10) < 7 else self._market_lists
        return FakeAlbum(
            album_id=40_100_001 + index * 7,
            title=rng.pick(artist.culture.titles) + rng.pick(WORDS.album_ends),
            genres=_genres(rng, artist.culture.genres),
            markets=rng.pick(lists),
            artwork=f"{rng.below(1 << 128):032x}",
            artist=artist,
            first=self._firsts[index],
        )


@lru_cache(maxsize=8)
def market_lists(seed: int) -> tuple[str, ...]:
    """Return the comma-separated market lists that all tracks share, the longest first.

    As in the documentation's examples the codes are unsorted, and ``XO`` and ``OT`` are not ISO 3166-1.
    """
    return tuple(_market_list(seed, index, size) for index, size in enumerate(WORDS.market_list_sizes))


def _market_list(seed: int, index: int, size: int) -> str:
    rng = random_for(seed, "markets", index)
    african, others = WORDS.markets_african, WORDS.markets_other
    rest = [*rng.sample(african, len(african)), *rng.sample(others, len(others))]
    codes = [*WORDS.markets_always, *rest][:size]
    rng.shuffle(codes)
    return ",".join(codes)


def _album_firsts(tracks: int, seed: int) -> list[int]:
    firsts: list[int] = []
    first, rng = 0, Rng(seed, "albums")
    while first < tracks:
        if len(firsts) % 64 == 0:  # one Rng has draws for about 64 albums
            rng = Rng(seed, "albums", len(firsts))
        firsts.append(first)
        first += 1 + rng.below(6) + rng.below(6)
    return firsts


def _title(rng: Rng, artist: FakeArtist, guest: FakeArtist | None) -> str:
    title = rng.pick(_TITLE_FORMS).format(rng.pick(artist.culture.titles), rng.pick(artist.culture.titles))
    if rng.once_in(12):
        title = f"{artist.name} - {title}"
    if guest:
        title += rng.pick((" ft. {}", " (feat. {})", " x {}")).format(guest.name)
    return title + rng.pick(WORDS.title_ends) if rng.once_in(6) else title


def _genres(rng: Rng, genres: Sequence[str]) -> str:
    first = rng.pick(genres)
    second = rng.pick((*genres, "Pop", "World Music"))
    return first if first == second or rng.below(3) else f"{first},{second}"


def _duration(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"

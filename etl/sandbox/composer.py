"""Composes the made-up entries: each is a function of the seed and its index.

Field names, their order and the form of every value follow Boomplay's documentation. Hosts are reserved ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from etl.sandbox import names
from etl.sandbox.chance import Rng
from etl.sandbox.dirt import Fields
from etl.sandbox.markets import market_lists, usual

PLAYLISTS = 60
_WEB = "https://web.example.invalid"
_TAG = "?srModel=openapi_sandbox"
_TITLE_FORMS = ("{0}", "{0}", "{0}", "{0} ({1})", "{0}, {1}", "{0} / {1}")
_PRIME, _STRIDE = 39_999_983, 48_271


@dataclass(frozen=True, slots=True)
class FakeArtist:
    """A made-up artist; ``culture`` decides over names, titles and genres."""

    artist_id: int
    name: str
    culture: names.Culture


@dataclass(frozen=True, slots=True)
class FakeAlbum:
    """What the tracks of one made-up album share. ``first`` is the index of its first track."""

    album_id: int
    title: str
    genres: str
    markets: str
    artwork: str
    artist: FakeArtist
    first: int
    size: int


class Composer:
    """The made-up music of one seed: ``tracks`` tracks on albums by artists."""

    def __init__(self, tracks: int, seed: int) -> None:
        self.tracks = tracks
        self._seed = seed
        self._firsts = _album_firsts(tracks, seed)
        self._market_lists = market_lists(seed)
        self.artist = lru_cache(maxsize=None)(self._artist)
        self.album = lru_cache(maxsize=None)(self._album)

    @property
    def albums(self) -> int:
        """How many albums there are."""
        return len(self._firsts)

    @property
    def artists(self) -> int:
        """How many artists there are."""
        return self.tracks // 6 + 12

    @cached_property
    def track_ids(self) -> tuple[int, ...]:
        """The ids of the tracks, by index; none is the documented example's."""
        shift = Rng(self._seed, "ids").below(_PRIME)
        return tuple(60_000_001 + (index * _STRIDE + shift) % _PRIME for index in range(self.tracks))

    def track_fields(self, index: int) -> Fields:
        """Return track ``index`` as the favourites list shows it."""
        dice = Rng(self._seed, "track", index)
        track_id = self.track_ids[index]
        album = self.album(bisect_right(self._firsts, index) - 1)
        guest = self._guest(dice, album.artist)
        return {
            "track_id": track_id,
            "track_title": _title(dice, album.artist, guest),
            "track_number": index - album.first + 1,
            "isrc": f"{album.artist.culture.country}SBX23{dice.below(100_000):05}" if dice.once_in(8) else "",
            "duration": _duration(90 + dice.below(330) + (3600 if dice.once_in(200) else 0)),
            "album_id": album.album_id,
            "album_title": album.title,
            "genres": album.genres,
            "available_markets": dice.pick(self._market_lists) if dice.once_in(12) else album.markets,
            **_urls("songs", "music", track_id),
            "artwork": _artwork(album.artwork),
            "artists": [_credit(artist) for artist in (album.artist, guest) if artist],
        }

    def album_fields(self, index: int, *, is_long: bool = False) -> Fields:
        """Return album ``index``; the long form, as by-ids gives it, has its tracks."""
        album = self.album(index)
        dice = Rng(self._seed, "album facts", index)
        fields: Fields = {
            "album_id": album.album_id,
            "album_title": album.title,
            "album_type": dice.pick(names.ALBUM_TYPES),
            "upc": f"{dice.below(10**12):012}",
            "release_date": f"20{10 + dice.below(13)}-{1 + dice.below(12):02}-{1 + dice.below(28):02}",
            "label": dice.pick(names.LABELS),
            "genres": album.genres,
            "available_markets": album.markets,
            **_urls("albums", "album", album.album_id),
            "artwork": _artwork(album.artwork),
            "artists": [_credit(album.artist)],
        }
        if is_long:
            fields |= {"track_count": album.size, "tracks": self._lines(range(album.first, album.first + album.size))}
        return fields

    def artist_fields(self, index: int) -> Fields:
        """Return artist ``index``."""
        artist = self.artist(index)
        dice = Rng(self._seed, "artist facts", index)
        return {
            "artist_id": artist.artist_id,
            "artist_name": artist.name,
            **_urls("artists", "artist", artist.artist_id),
            "likes": dice.below(90_000),
            "total_streams": dice.below(40_000_000),
            "artwork": _artwork(_hex(dice)),
        }

    def playlist_fields(self, index: int, *, is_long: bool = False) -> Fields:
        """Return playlist ``index``; the long form, as by-ids gives it, has counts and both `tracks` and `artists`."""
        dice = Rng(self._seed, "playlist", index)
        playlist_id = self.playlist_id(index)
        fields: Fields = {
            "playlist_id": playlist_id,
            "playlist_title": f"{names.PLAYLIST_TITLES[index % 12]} {index // 12 + 1}".removesuffix(" 1"),
            "privacy": "Private" if dice.once_in(5) else "Public",
            **_urls("playlists", "playlist", playlist_id),
            "artwork": _artwork(_hex(dice)),
            "artists": [_credit(self.artist(dice.below(self.artists)))],
        }
        if is_long:
            lines = self._lines(self.playlist_tracks(index))
            fields |= {"track_count": len(lines), "followers": dice.below(9_000), "tracks": lines}
        return fields

    def playlist_tracks(self, index: int) -> Sequence[int]:
        """Return the indices of the tracks of playlist ``index``."""
        dice = Rng(self._seed, "playlist tracks", index)
        wanted = min(self.tracks, 3 + dice.below(12))
        first = dice.below(max(1, self.tracks - wanted))
        return range(first, first + wanted)

    @staticmethod
    def playlist_id(index: int) -> int:
        """Return the id of playlist ``index``."""
        return 2_800_001 + index * 37

    @staticmethod
    def album_id(index: int) -> int:
        """Return the id of album ``index``."""
        return 40_100_001 + index * 7

    @staticmethod
    def artist_id(index: int) -> int:
        """Return the id of artist ``index``."""
        return 20_100_001 + index * 11

    def _guest(self, dice: Rng, artist: FakeArtist) -> FakeArtist | None:
        guest = self.artist(dice.below(self.artists))
        return guest if dice.once_in(4) and guest.name != artist.name else None

    def _artist(self, index: int) -> FakeArtist:
        dice = Rng(self._seed, "artist", index)
        culture = dice.pick(names.CULTURES)
        form = dice.pick(names.STAGE_NAMES)
        name = form.format(given=dice.pick(culture.given), family=dice.pick(culture.family))
        return FakeArtist(self.artist_id(index), name, culture)

    def _album(self, index: int) -> FakeAlbum:
        dice = Rng(self._seed, "album", index)
        artist = self.artist(dice.below(self.artists))
        lists = usual(self._market_lists) if dice.below(10) < 7 else self._market_lists
        first = self._firsts[index]
        end = self._firsts[index + 1] if index + 1 < self.albums else self.tracks
        return FakeAlbum(
            album_id=self.album_id(index),
            title=dice.pick(artist.culture.titles) + dice.pick(names.ALBUM_ENDS),
            genres=_genres(dice, artist.culture.genres),
            markets=dice.pick(lists),
            artwork=_hex(dice),
            artist=artist,
            first=first,
            size=end - first,
        )

    def _lines(self, indices: Sequence[int]) -> list[Fields]:
        wanted = ("track_id", "track_title", "track_number")
        return [{name: fields[name] for name in wanted} for fields in map(self.track_fields, indices)]


def _album_firsts(tracks: int, seed: int) -> list[int]:
    firsts: list[int] = []
    first, dice = 0, Rng(seed, "albums")
    while first < tracks:
        if len(firsts) % 64 == 0:
            dice = Rng(seed, "albums", len(firsts))
        firsts.append(first)
        first += 1 + dice.below(6) + dice.below(6)
    return firsts


def _title(dice: Rng, artist: FakeArtist, guest: FakeArtist | None) -> str:
    title = dice.pick(_TITLE_FORMS).format(dice.pick(artist.culture.titles), dice.pick(artist.culture.titles))
    if dice.once_in(12):
        title = f"{artist.name} - {title}"
    if guest:
        title += dice.pick((" ft. {}", " (feat. {})", " x {}")).format(guest.name)
    return title + dice.pick(names.TITLE_ENDS) if dice.once_in(6) else title


def _genres(dice: Rng, genres: Sequence[str]) -> str:
    first = dice.pick(genres)
    second = dice.pick((*genres, "Pop", "World Music"))
    return first if first == second or dice.below(3) else f"{first},{second}"


def _duration(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _urls(page: str, share: str, number: int) -> Fields:
    return {"web_url": f"{_WEB}/{page}/{number}{_TAG}", "mobile_url": f"{_WEB}/share/{share}/{number}{_TAG}"}


def _artwork(name: str) -> Fields:
    url = f"https://img.example.invalid/group10/M00/00/01/{name}_464_464.jpg"
    return {"width": 464, "height": 464, "url": url}


def _hex(dice: Rng) -> str:
    return f"{dice.below(1 << 128):032x}"


def _credit(artist: FakeArtist) -> Fields:
    return {"artist_id": artist.artist_id, "artist_name": artist.name}

"""Composes the made-up tracks: each is a function of the seed and its index.

Field names, their order and the form of every value follow Boomplay's documentation. Hosts are reserved ones. The words
come from ``music.json``; every part of an artist's name is a common name, so no artist is a real one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from etl.sandbox.rng import Rng, random_for

Fields = dict[str, Any]

_TITLE_FORMS = ("{0}", "{0}", "{0}", "{0} ({1})", "{0}, {1}", "{0} / {1}")
_PRIME, _STRIDE = 39_999_983, 48_271
_USUAL_LISTS = 18  # the first and longest market lists, which most albums have


WORDS: dict[str, Any] = msgspec.json.decode(files("etl.sandbox").joinpath("music.json").read_bytes())


class FakeArtist(NamedTuple):
    """A made-up artist; ``culture``, the words of one place's music, decides names, titles and genres."""

    artist_id: int
    name: str
    culture: Mapping[str, Any]


class FakeAlbum(NamedTuple):
    """A made-up album: its artist, the fields that its tracks share, and the index of its first track."""

    artist: FakeArtist
    fields: Fields
    first: int


class Composer:
    """The made-up music of one seed: ``tracks`` tracks on albums by artists. ``track_ids``: their ids, by index."""

    def __init__(self, tracks: int, seed: int) -> None:
        self._seed = seed
        self._artists = tracks // 6 + 12
        self._artist = lru_cache(maxsize=None)(self._make_artist)
        self._album = lru_cache(maxsize=None)(self._make_album)
        shift = Rng(seed, "ids").below(_PRIME)
        self.track_ids = tuple(60_000_001 + (index * _STRIDE + shift) % _PRIME for index in range(tracks))
        self._firsts: list[int] = []
        first, rng = 0, Rng(seed, "albums")
        while first < tracks:
            if len(self._firsts) % 64 == 0:  # one Rng has draws for about 64 albums
                rng = Rng(seed, "albums", len(self._firsts))
            self._firsts.append(first)
            first += 1 + rng.below(6) + rng.below(6)

    def album(self, index: int) -> FakeAlbum:
        """Return the album of track ``index``."""
        return self._album(bisect_right(self._firsts, index) - 1)

    def track_fields(self, index: int) -> Fields:
        """Return track ``index`` as the favourites list shows it."""
        rng, track_id, album = Rng(self._seed, "track", index), self.track_ids[index], self.album(index)
        artist, shared = album.artist, album.fields
        guest = self._artist(rng.below(self._artists))
        has_guest = rng.once_in(4) and guest.name != artist.name
        titles = artist.culture["titles"]
        title = rng.pick(_TITLE_FORMS).format(rng.pick(titles), rng.pick(titles))
        if rng.once_in(12):
            title = f"{artist.name} - {title}"
        if has_guest:
            title += rng.pick((" ft. {}", " (feat. {})", " x {}")).format(guest.name)
        if rng.once_in(6):
            title += rng.pick(WORDS["title_ends"])
        isrc = f"{artist.culture['country']}SBX23{rng.below(100_000):05}" if rng.once_in(8) else ""
        seconds = 90 + rng.below(330) + (3600 if rng.once_in(200) else 0)
        markets = rng.pick(market_lists(self._seed)) if rng.once_in(12) else shared["available_markets"]
        return {
            "track_id": track_id,
            "track_title": title,
            "track_number": index - album.first + 1,
            "isrc": isrc,
            "duration": f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}",
            **shared,
            "available_markets": markets,
            "web_url": f"https://web.example.invalid/songs/{track_id}?srModel=openapi_sandbox",
            "mobile_url": f"https://web.example.invalid/share/music/{track_id}?srModel=openapi_sandbox",
            "artwork": dict(shared["artwork"]),
            "artists": [
                {"artist_id": each.artist_id, "artist_name": each.name}
                for each in ((artist, guest) if has_guest else (artist,))
            ],
        }

    def _make_artist(self, index: int) -> FakeArtist:
        rng = Rng(self._seed, "artist", index)
        culture = rng.pick(WORDS["cultures"])
        form = rng.pick(WORDS["stage_names"])
        name = form.format(given=rng.pick(culture["given"]), family=rng.pick(culture["family"]))
        return FakeArtist(20_100_001 + index * 11, name, culture)

    def _make_album(self, index: int) -> FakeAlbum:
        rng = Rng(self._seed, "album", index)
        artist = self._artist(rng.below(self._artists))
        culture, lists = artist.culture, market_lists(self._seed)
        usual = lists[:_USUAL_LISTS] if rng.below(10) < 7 else lists
        title = rng.pick(culture["titles"]) + rng.pick(WORDS["album_ends"])
        first, second = rng.pick(culture["genres"]), rng.pick((*culture["genres"], "Pop", "World Music"))
        genres = first if first == second or rng.below(3) else f"{first},{second}"
        markets = rng.pick(usual)
        url = f"https://img.example.invalid/group10/M00/00/01/{rng.below(1 << 128):032x}_464_464.jpg"
        fields = {
            "album_id": 40_100_001 + index * 7,
            "album_title": title,
            "genres": genres,
            "available_markets": markets,
            "web_url": "",
            "mobile_url": "",
            "artwork": {"width": 464, "height": 464, "url": url},
        }
        return FakeAlbum(artist, fields, self._firsts[index])


@lru_cache(maxsize=8)
def market_lists(seed: int) -> tuple[str, ...]:
    """Return the comma-separated market lists that all tracks share, the longest first.

    As in the documentation's examples the codes are unsorted, and ``XO`` and ``OT`` are not ISO 3166-1.
    """
    lists = []
    for index, size in enumerate(WORDS["market_list_sizes"]):
        rng = random_for(seed, "markets", index)
        african, others = WORDS["markets_african"], WORDS["markets_other"]
        codes = [*WORDS["markets_always"], *rng.sample(african, len(african)), *rng.sample(others, len(others))][:size]
        rng.shuffle(codes)
        lists.append(",".join(codes))
    return tuple(lists)

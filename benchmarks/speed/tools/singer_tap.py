"""A Singer tap, made with the SDK as its template does it. STREAMS=rows: a stream for each table; else nested JSON."""

from __future__ import annotations

import os

from listing import items, markets
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

TEXT = dict.fromkeys(
    ("track_title", "isrc", "duration", "album_title", "genres", "web_url", "mobile_url"), th.StringType
)
TRACK = [th.Property("track_id", th.IntegerType, required=True)]
TRACK += [th.Property(name, kind) for name, kind in TEXT.items()]
TRACK += [th.Property(name, th.IntegerType) for name in ("track_number", "album_id")]
NESTED = [
    th.Property("available_markets", th.StringType),
    th.Property("artwork", th.ObjectType(additional_properties=True)),
    th.Property("artists", th.ArrayType(th.ObjectType(additional_properties=True))),
]
IS_ROWS = os.environ.get("STREAMS") == "rows"
_found: list[dict] = []


def found() -> list[dict]:
    """Return the list, which is read once."""
    if not _found:
        _found.extend(items())
    return _found


class Tracks(Stream):
    """A record for each favourite."""

    name = "tracks"
    primary_keys = ("track_id",)
    schema = th.PropertiesList(*TRACK, *([] if IS_ROWS else NESTED)).to_dict()

    def get_records(self, context):
        """Yield the records."""
        names = self.schema["properties"]
        for item in found():
            yield {name: item.get(name) for name in names}


class TrackMarkets(Stream):
    """A record for each track and market."""

    name = "track_markets"
    primary_keys = ("track_id", "market_code")
    schema = th.PropertiesList(
        th.Property("track_id", th.IntegerType), th.Property("market_code", th.StringType)
    ).to_dict()

    def get_records(self, context):
        """Yield the records."""
        for item in found():
            for code in markets(item):
                yield {"track_id": item["track_id"], "market_code": code}


class TrackArtists(Stream):
    """A record for each track and artist."""

    name = "track_artists"
    primary_keys = ("track_id", "artist_id")
    schema = th.PropertiesList(
        th.Property("track_id", th.IntegerType),
        th.Property("artist_id", th.IntegerType),
        th.Property("artist_name", th.StringType),
    ).to_dict()

    def get_records(self, context):
        """Yield the records."""
        for item in found():
            for artist_id, name in {a["artist_id"]: a["artist_name"] for a in item.get("artists") or ()}.items():
                yield {"track_id": item["track_id"], "artist_id": artist_id, "artist_name": name}


class Favourites(Tap):
    """The tap."""

    name = "tap-favourites"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self):
        """Return the streams."""
        kinds = (Tracks, TrackMarkets, TrackArtists) if IS_ROWS else (Tracks,)
        return [kind(tap=self) for kind in kinds]


if __name__ == "__main__":
    Favourites.cli()

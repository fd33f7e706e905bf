"""A Singer tap piped into target-postgres, as Meltano runs them. With a second argument ``rows``: a table for the markets.

With ``tap`` as the first argument the script is the tap itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from listing import items, markets
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

TEXTS = ("track_title", "isrc", "duration", "album_title", "genres", "web_url", "mobile_url")
TRACK = [
    th.Property("track_id", th.IntegerType, required=True),
    *(th.Property(name, th.StringType) for name in TEXTS),
    *(th.Property(name, th.IntegerType) for name in ("track_number", "album_id")),
]
NESTED = [
    th.Property("available_markets", th.StringType),
    th.Property("artwork", th.ObjectType(additional_properties=True)),
    th.Property("artists", th.ArrayType(th.ObjectType(additional_properties=True))),
]
HAS_ROWS = os.environ.get("STREAMS") == "rows"
_found: list[dict] = []


def found() -> list[dict]:
    """Return the list, which is read once."""
    if not _found:
        _found.extend(items())
    return _found


class Tracks(Stream):
    name = "tracks"
    primary_keys = ("track_id",)
    schema = th.PropertiesList(*TRACK, *([] if HAS_ROWS else NESTED)).to_dict()

    def get_records(self, context):
        for item in found():
            yield {name: item.get(name) for name in self.schema["properties"]}


class TrackMarkets(Stream):
    name = "track_markets"
    primary_keys = ("track_id", "market_code")
    schema = th.PropertiesList(
        th.Property("track_id", th.IntegerType), th.Property("market_code", th.StringType)
    ).to_dict()

    def get_records(self, context):
        for item in found():
            for code in markets(item):
                yield {"track_id": item["track_id"], "market_code": code}


class TrackArtists(Stream):
    name = "track_artists"
    primary_keys = ("track_id", "artist_id")
    schema = th.PropertiesList(
        th.Property("track_id", th.IntegerType),
        th.Property("artist_id", th.IntegerType),
        th.Property("artist_name", th.StringType),
    ).to_dict()

    def get_records(self, context):
        for item in found():
            for artist_id, name in {a["artist_id"]: a["artist_name"] for a in item.get("artists") or ()}.items():
                yield {"track_id": item["track_id"], "artist_id": artist_id, "artist_name": name}


class Favourites(Tap):
    name = "tap-favourites"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self):
        return [kind(tap=self) for kind in ((Tracks, TrackMarkets, TrackArtists) if HAS_ROWS else (Tracks,))]


def main() -> int:
    """Copy the list."""
    url, shape = sys.argv[1], sys.argv[2]
    settings = Path(os.environ["WORK_FOLDER"]) / "target.json"
    target = {"sqlalchemy_url": url.replace("postgresql://", "postgresql+psycopg://")}
    target |= {"default_target_schema": "favourites", "hard_delete": False, "activate_version": False}
    settings.write_text(json.dumps(target))
    environment = os.environ | {"STREAMS": shape, "SINGER_SDK_LOG_LEVEL": "WARNING", "LOGLEVEL": "WARNING"}
    tap = subprocess.Popen([sys.executable, __file__, "tap"], stdout=subprocess.PIPE, env=environment)
    command = [Path(sys.executable).with_name("target-postgres"), "--config", settings]
    done = subprocess.run(command, stdin=tap.stdout, env=environment, stdout=subprocess.DEVNULL, check=False)
    return tap.wait() or done.returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["tap"]:
        Favourites.cli([])
    else:
        sys.exit(main())

"""A Singer tap piped into target-postgres, as Meltano runs them. Nested fields stay JSON.

With ``tap`` as the first argument the script is the tap itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from listing import items
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

TEXTS = ("track_title", "isrc", "duration", "album_title", "genres", "web_url", "mobile_url")
PROPERTIES = (
    th.Property("track_id", th.IntegerType, required=True),
    *(th.Property(name, th.StringType) for name in TEXTS),
    *(th.Property(name, th.IntegerType) for name in ("track_number", "album_id")),
    th.Property("available_markets", th.StringType),
    th.Property("artwork", th.ObjectType(additional_properties=True)),
    th.Property("artists", th.ArrayType(th.ObjectType(additional_properties=True))),
)


class Tracks(Stream):
    name = "tracks"
    primary_keys = ("track_id",)
    schema = th.PropertiesList(*PROPERTIES).to_dict()

    def get_records(self, context):
        for item in items():
            yield {name: item.get(name) for name in self.schema["properties"]}


class Favourites(Tap):
    name = "tap-favourites"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self):
        return [Tracks(tap=self)]


def main() -> int:
    """Copy the list."""
    url = sys.argv[1]
    settings = Path(os.environ["WORK_FOLDER"]) / "target.json"
    target = {"sqlalchemy_url": url.replace("postgresql://", "postgresql+psycopg://")}
    target |= {"default_target_schema": "favourites", "hard_delete": False, "activate_version": False}
    settings.write_text(json.dumps(target))
    environment = os.environ | {"SINGER_SDK_LOG_LEVEL": "WARNING", "LOGLEVEL": "WARNING"}
    tap = subprocess.Popen([sys.executable, __file__, "tap"], stdout=subprocess.PIPE, env=environment)
    command = [Path(sys.executable).with_name("target-postgres"), "--config", settings]
    done = subprocess.run(command, stdin=tap.stdout, env=environment, stdout=subprocess.DEVNULL, check=False)
    return tap.wait() or done.returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["tap"]:
        Favourites.cli([])
    else:
        sys.exit(main())

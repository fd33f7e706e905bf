"""dlt: the rest_api source, written by its scd2 strategy. With a second argument ``text`` the markets stay one text."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dlt
from dlt.sources.rest_api import rest_api_source


def split(item: dict) -> dict:
    """Make a list of the markets, which dlt puts into a table of its own."""
    codes = dict.fromkeys(filter(None, (item.get("available_markets") or "").split(",")))
    return item | {"available_markets": [{"market_code": code} for code in codes]}


def main() -> None:
    """Copy the list."""
    url, shape = sys.argv[1], sys.argv[2]
    source = rest_api_source(
        {
            "client": {
                "base_url": os.environ["API_URL"],
                "headers": {"app_id": os.environ["API_APP_ID"]},
                "auth": {"type": "bearer", "token": os.environ["API_TOKEN"]},
            },
            "resources": [
                {
                    "name": "favourites",
                    "write_disposition": {"disposition": "merge", "strategy": "scd2"},
                    "endpoint": {
                        "path": "favourite/v1/tracks",
                        "data_selector": "data",
                        "paginator": {"type": "offset", "limit": 50, "total_path": "counts"},
                    },
                }
            ],
        }
    )
    if shape == "rows":
        source.favourites.add_map(split)
    is_sqlite = url.startswith("sqlite")
    url = url.replace("@/", "@localhost/")  # dlt asks for a host; libpq takes the socket's folder from the query
    destination = dlt.destinations.sqlalchemy(url) if is_sqlite else dlt.destinations.postgres(url)
    folder = Path(os.environ["WORK_FOLDER"]) / "dlt"
    pipeline = dlt.pipeline("favourites", str(folder), destination=destination, dataset_name="favourites")
    pipeline.run(source)


if __name__ == "__main__":
    main()

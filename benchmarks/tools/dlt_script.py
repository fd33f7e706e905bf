"""dlt: the rest_api source, written by its scd2 strategy.

    BOOMPLAY_API_URL=… BOOMPLAY_ACCESS_TOKEN=… BOOMPLAY_APP_ID=… WORK_FOLDER=… python dlt_script.py DATABASE_URL text|rows
    python dlt_script.py

The first copies the list once; with ``text`` the markets stay one text. The second answers each line on stdin with the favourites
that are current (`orders`), in DuckDB. It is set up with care: it reads until a page is empty instead of trusting ``counts``,
whose meaning is not documented; tables of nested lists are left out; a request is tried five times.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import dlt
from dlt.sources.helpers.requests import Client
from dlt.sources.rest_api import rest_api_source
from orders import answer

QUICK_RETRIES = {"request_max_attempts": 5, "request_backoff_factor": 0.0001, "request_max_retry_delay": 0.01}
CURRENT = "SELECT DISTINCT track_id FROM favourites WHERE _dlt_valid_to IS NULL AND track_id IS NOT NULL"


def favourites(address: dict, client: dict, **end: object) -> object:
    """Return the source, made anew for each run as a script would. ``end``: how the paginator notices the end."""
    return rest_api_source(
        {
            "client": {
                "base_url": address["url"],
                "headers": {"app_id": address["app_id"]},
                "auth": {"type": "bearer", "token": address["token"]},
                **client,
            },
            "resources": [
                {
                    "name": "favourites",
                    "write_disposition": {"disposition": "merge", "strategy": "scd2"},
                    "endpoint": {
                        "path": "favourite/v1/tracks",
                        "data_selector": "data",
                        "paginator": {"type": "offset", "limit": 50, **end},
                    },
                }
            ],
        }
    )


def split(item: dict) -> dict:
    """Make a list of the markets, which dlt puts into a table of its own."""
    codes = dict.fromkeys(filter(None, (item.get("available_markets") or "").split(",")))
    return item | {"available_markets": [{"market_code": code} for code in codes]}


def copy(url: str, shape: str) -> None:
    """Copy the list."""
    address = {
        "url": os.environ["BOOMPLAY_API_URL"],
        "token": os.environ["BOOMPLAY_ACCESS_TOKEN"],
        "app_id": os.environ["BOOMPLAY_APP_ID"],
    }
    source = favourites(address, {}, total_path="counts")
    if shape == "rows":
        source.favourites.add_map(split)
    is_sqlite = url.startswith("sqlite")
    url = url.replace("@/", "@localhost/")  # dlt asks for a host; libpq takes the socket's folder from the query
    destination = dlt.destinations.sqlalchemy(url) if is_sqlite else dlt.destinations.postgres(url)
    folder = Path(os.environ["WORK_FOLDER"]) / "dlt"
    pipeline = dlt.pipeline("favourites", str(folder), destination=destination, dataset_name="favourites")
    pipeline.run(source)


def sync(order: dict) -> Iterable[int]:
    """Sync once, and return the tracks whose row is valid now."""
    folder = order["folder"]
    duckdb = dlt.destinations.duckdb(f"{folder}/favourites.duckdb")
    pipeline = dlt.pipeline("favourites", pipelines_dir=folder, destination=duckdb, dataset_name="music")
    session = Client(**QUICK_RETRIES).session
    source = favourites(order, {"session": session}, total_path=None, stop_after_empty_page=True)
    source.max_table_nesting = source.favourites.max_table_nesting = 0
    try:
        pipeline.run(source)
    except Exception:
        pipeline.abort_packages()
    try:
        with pipeline.sql_client() as client:
            return [int(row[0]) for row in client.execute_sql(CURRENT) or []]
    except Exception as error:
        if "does not exist" in str(error):
            return []
        raise


if __name__ == "__main__":
    if len(sys.argv) > 1:
        copy(*sys.argv[1:])
    else:
        answer(sync)

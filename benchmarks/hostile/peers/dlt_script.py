"""dlt: the rest_api source, its scd2 strategy, DuckDB. Answers each line on stdin with the favourites that are current.

Set up with care: it reads until a page is empty instead of trusting ``counts``, whose meaning nobody knows; tables of nested
lists are left out; a request is tried five times. Where the service ignores ``offset`` no page is ever empty, and dlt would
read for ever: after 100 requests the sync is ended as failed, as a time limit would, and nothing is written (`endless`).
"""

from __future__ import annotations

import json
import os
import sys

for name, value in {
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "EXTRACT__WORKERS": "1",
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": "1",
}.items():
    os.environ[name] = value

import dlt
import endless
from dlt.sources.helpers.requests import Client
from dlt.sources.rest_api import rest_api_source


def favourites(order: dict) -> object:
    """Return the source, made anew for each run as a script would."""
    source = rest_api_source(
        {
            "client": {
                "base_url": order["url"],
                "headers": {"app_id": order["app_id"]},
                "auth": {"type": "bearer", "token": order["token"]},
                "session": Client(
                    request_max_attempts=5, request_backoff_factor=0.0001, request_max_retry_delay=0.01
                ).session,
            },
            "resources": [
                {
                    "name": "favourites",
                    "write_disposition": {"disposition": "merge", "strategy": "scd2"},
                    "max_table_nesting": 0,
                    "endpoint": {
                        "path": "favourite/v1/tracks",
                        "data_selector": "data",
                        "paginator": {"type": "offset", "limit": 50, "total_path": None, "stop_after_empty_page": True},
                    },
                }
            ],
        }
    )
    source.max_table_nesting = 0
    return source


def current(pipeline: dlt.Pipeline) -> list[int]:
    """Return the tracks whose row is valid now."""
    try:
        with pipeline.sql_client() as client:
            return [
                int(row[0])
                for row in client.execute_sql(
                    "SELECT DISTINCT track_id FROM favourites WHERE _dlt_valid_to IS NULL AND track_id IS NOT NULL"
                )
                or []
            ]
    except Exception as error:
        if "does not exist" in str(error):
            return []
        raise


def main() -> None:
    """Sync at each line; a line with another folder begins anew."""
    for line in sys.stdin:
        order = json.loads(line)
        pipeline = dlt.pipeline(
            "favourites",
            pipelines_dir=order["folder"],
            destination=dlt.destinations.duckdb(f"{order['folder']}/favourites.duckdb"),
            dataset_name="music",
        )
        endless.begin()
        try:
            pipeline.run(favourites(order))
            failed = ""
        except Exception as error:
            pipeline.abort_packages()
            failed = type(error).__name__
        print(json.dumps({"active": current(pipeline), "failed": failed}), file=answers, flush=True)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main()

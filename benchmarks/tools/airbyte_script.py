"""airbyte-cdk: a declarative source with OffsetIncrement, full refresh. Answers each line on stdin with the tracks of its copy.

A full refresh overwrites the copy, so what a complete read does not hold is gone; a read that fails changes nothing.

The manifest sets the paginator up as the connector builder does, with its page size: it ends at a page that is shorter. With
``--until-empty`` the size is a plain parameter of the request instead, so that only an empty page ends it.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import yaml
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer as Catalog
from airbyte_cdk.models import Type
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from orders import answer

MANIFEST = yaml.safe_load(Path(__file__).with_name("airbyte.yaml").read_text())
STREAM = {"name": "favourites", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
CATALOG = Catalog.load(
    {"streams": [{"stream": STREAM, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}]}
)
copies: dict[str, set[int]] = {}


def read(order: dict) -> set[int]:
    """Read the stream once.

    Raises: whatever ends the sync as failed.
    """
    source = ConcurrentDeclarativeSource(catalog=CATALOG, config=order, state=[], source_config=MANIFEST)
    found: set[int] = set()
    statuses = []
    for message in source.read(logging.getLogger("airbyte"), order, CATALOG, []):
        if message.type == Type.RECORD and isinstance(message.record.data.get("track_id"), int):
            found.add(message.record.data["track_id"])
        if message.type == Type.TRACE and message.trace.stream_status:
            statuses.append(message.trace.stream_status.status.value)
    if statuses[-1:] != ["COMPLETE"]:
        raise RuntimeError("not complete")
    return found


def sync(order: dict) -> set[int]:
    """Overwrite the copy, unless the read fails; return the copy."""
    try:
        copies[order["folder"]] = read(order)
    except Exception:
        copies.setdefault(order["folder"], set())
    return copies[order["folder"]]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    if "--until-empty" in sys.argv:
        retriever = MANIFEST["streams"][0]["retriever"]
        retriever["requester"]["request_parameters"] = {"limit": "50"}
        del retriever["paginator"]["page_size_option"], retriever["paginator"]["pagination_strategy"]["page_size"]
    answer(sync)

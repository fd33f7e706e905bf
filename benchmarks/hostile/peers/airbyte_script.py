"""airbyte-cdk: a declarative source with OffsetIncrement, full refresh. Answers each line on stdin with the tracks it read.

A full refresh overwrites the copy, so what a complete read does not hold is gone; a read that fails changes nothing.

The paginator is set up as the connector builder does it, with its page size: it ends at a page that is shorter. With
``--until-empty`` the size is a plain parameter of the request instead, so that only an empty page ends it. Where the service
ignores ``offset`` neither need ever come: after 100 requests the sync is ended as failed, as a time limit would (`endless`).
"""

from __future__ import annotations

import json
import logging
import os
import sys

import endless
from airbyte_cdk.models import ConfiguredAirbyteCatalog, Type
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer as Catalog
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

CATALOG = {
    "streams": [
        {
            "stream": {"name": "favourites", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "overwrite",
        }
    ]
}


def manifest(order: dict) -> dict:
    """Return the source as the connector builder writes it."""
    until_empty = "--until-empty" in sys.argv
    size_option = {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "limit"}
    retries = [
        {"type": "HttpResponseFilter", "action": "RETRY", "http_codes": [429, 500, 502, 503, 504]},
    ]
    return {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["favourites"]},
        "streams": [
            {
                "type": "DeclarativeStream",
                "name": "favourites",
                "primary_key": ["track_id"],
                "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": {}}},
                "retriever": {
                    "type": "SimpleRetriever",
                    "requester": {
                        "type": "HttpRequester",
                        "url_base": order["url"],
                        "path": "/favourite/v1/tracks",
                        "http_method": "GET",
                        "authenticator": {"type": "BearerAuthenticator", "api_token": order["token"]},
                        "request_headers": {"app_id": order["app_id"]},
                        "request_parameters": {"limit": "50"} if until_empty else {},
                        "error_handler": {
                            "type": "DefaultErrorHandler",
                            "max_retries": 5,
                            "backoff_strategies": [
                                {"type": "ConstantBackoffStrategy", "backoff_time_in_seconds": 0.01}
                            ],
                            "response_filters": retries,
                        },
                    },
                    "record_selector": {
                        "type": "RecordSelector",
                        "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
                    },
                    "paginator": {
                        "type": "DefaultPaginator",
                        **({} if until_empty else {"page_size_option": size_option}),
                        "page_token_option": {
                            "type": "RequestOption",
                            "inject_into": "request_parameter",
                            "field_name": "offset",
                        },
                        "pagination_strategy": {
                            "type": "OffsetIncrement",
                            **({} if until_empty else {"page_size": 50}),
                        },
                    },
                },
            }
        ],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def read(order: dict) -> set[int]:
    """Read the stream once.

    Raises: whatever ends the sync as failed.
    """
    catalog: ConfiguredAirbyteCatalog = Catalog.load(CATALOG)
    source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=[], source_config=manifest(order))
    found: set[int] = set()
    statuses = []
    for message in source.read(logging.getLogger("airbyte"), {}, catalog, []):
        if message.type == Type.RECORD and isinstance(message.record.data.get("track_id"), int):
            found.add(message.record.data["track_id"])
        if message.type == Type.TRACE and message.trace.stream_status:
            statuses.append(message.trace.stream_status.status.value)
    if statuses[-1:] != ["COMPLETE"]:
        raise RuntimeError("not complete")
    return found


def main() -> None:
    """Read at each line; a line with another folder begins anew."""
    copy: set[int] = set()
    folder = ""
    for line in sys.stdin:
        order = json.loads(line)
        copy, folder = (copy if order["folder"] == folder else set()), order["folder"]
        endless.begin()
        try:
            copy, failed = read(order), ""
        except Exception as error:
            failed = type(error).__name__
        print(json.dumps({"active": sorted(copy), "failed": failed}), file=answers, flush=True)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    main()

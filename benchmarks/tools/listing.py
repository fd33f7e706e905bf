"""The list, page by page and in turn, as a script of an afternoon would read it; for the peers that bring no client."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator

PAGE = 50


def items() -> Iterator[dict]:
    """Yield the items of the list."""
    headers = {
        "Authorization": f"Bearer {os.environ['BOOMPLAY_ACCESS_TOKEN']}",
        "app_id": os.environ["BOOMPLAY_APP_ID"],
    }
    offset = 0
    while True:
        address = f"{os.environ['BOOMPLAY_API_URL']}/favourite/v1/tracks?offset={offset}&limit={PAGE}"
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            page = json.load(answer)["data"]
        yield from page
        offset += len(page)
        if len(page) < PAGE:
            return


def markets(item: dict) -> list[str]:
    """Return the codes of the markets, once each."""
    return list(dict.fromkeys(filter(None, (item.get("available_markets") or "").split(","))))

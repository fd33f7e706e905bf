"""An end to a sync that does not end: where the service ignores ``offset``, no page is ever empty. Used by both tools.

It stands for the operator's time limit: the request after the hundredth fails, and with it the sync. The lists here take at
most ten requests, retries not counted.
"""

from __future__ import annotations

from itertools import count

import requests

MAX_REQUESTS = 100
_send = requests.Session.send
_counts = [count(1)]


class EndlessError(Exception):
    """The sync has asked many times what the list can take."""


def begin() -> None:
    """Begin to count anew: another sync begins."""
    _counts[:] = [count(1)]


def _counted(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
    if next(_counts[0]) > MAX_REQUESTS:
        raise EndlessError
    return _send(session, request, **options)


requests.Session.send = _counted

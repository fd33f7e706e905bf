"""How a tool of `benchmarks.hostile` answers orders, and an end to a sync that does not end.

Where the service ignores ``offset``, no page is ever empty. So the request after the hundredth fails, and with it the sync: it
stands for the operator's time limit. The lists here take at most ten requests, retries not counted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from itertools import count

import requests

MAX_REQUESTS = 100
_send = requests.Session.send
_counts = [count(1)]


class EndlessError(Exception):
    """The sync has asked many times what the list can take."""


def _counted(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
    if next(_counts[0]) > MAX_REQUESTS:
        raise EndlessError
    return _send(session, request, **options)


def answer(sync: Callable[[dict], Iterable[int]]) -> None:
    """Answer each line on stdin with the tracks that ``sync`` returns. A line holds ``url``, ``token``, ``app_id``, ``folder``.

    Another folder is another account. Whatever else the tool prints goes to stderr.
    """
    requests.Session.send = _counted
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        _counts[:] = [count(1)]
        print(json.dumps(sorted(sync(json.loads(line)))), file=answers, flush=True)

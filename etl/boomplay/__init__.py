"""Boomplay's API, and nothing that is not about it. Imports nothing: httpx is paid for by those who fetch.

From the caller inwards::

    walking   a list, page by page             auth      where tokens come from
    client    what favsync asks                grants    asking for a token         signin   the browser's part
    wire      one call: turn, attempt, verdict, error
              limiter  the turn                retry     the verdict (pure)         faults   the error (pure)
    exchange  one attempt: httpx, redirects, body
              guard    the deadline            address   where tokens may go        timing   clocks and waiting
    payloads  answers into records             mending   JSON that msgspec refuses  secret   text that is not shown

Invariants: only `exchange` and `guard` know httpx; only errors of `etl.errors` leave, and no token is in any of them.
"""

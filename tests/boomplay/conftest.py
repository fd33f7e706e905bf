from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from etl.boomplay.client import Boomplay
from etl.boomplay.http import HttpOptions, TokenSource
from etl.boomplay.retry import RetryPolicy
from etl.boomplay.tokens import StaticToken
from tests.boomplay.service import FakeTime, Service, listing

MARKER = "tok+Marker/7f3a9c=="
Make = Callable[..., Boomplay]


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service(always=listing(1, 2))
    yield running
    running.close()


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def options(service: Service, fake_time: FakeTime) -> Callable[..., HttpOptions]:
    """Make options for the service, with a clock that moves only in waits; limits of retries go into the policy."""

    def make(**more: Any) -> HttpOptions:
        policy = {name: more.pop(name) for name in RetryPolicy.__struct_fields__ if name in more}
        defaults = {"api_url": service.url, "app_id": "app-1", "requests_per_second": 0, "timing": fake_time.timing}
        return HttpOptions(**{**defaults, "policy": RetryPolicy(**policy), **more})

    return make


@pytest.fixture
def client(options: Callable[..., HttpOptions]) -> Iterator[Make]:
    """Make clients of the service; the fixture closes them."""
    with ExitStack() as stack:

        def make(tokens: TokenSource | None = None, **more: Any) -> Boomplay:
            return stack.enter_context(Boomplay(tokens or StaticToken(MARKER), options(**more)))

        yield make

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from etl.boomplay.client import Boomplay
from etl.boomplay.tokens import StaticToken
from tests.boomplay.service import FakeTime, Service, listing

MARKER = "tok+Marker/7f3a9c=="


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service(always=listing(1, 2))
    yield running
    running.close()


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def client(service: Service, fake_time: FakeTime) -> Iterator[Callable[..., Boomplay]]:
    """Make clients of the service, which wait for nothing and are closed in the end."""
    with ExitStack() as stack:

        def make(**options: Any) -> Boomplay:
            defaults = {
                "api_url": service.url,
                "app_id": "app-1",
                "tokens": StaticToken(MARKER),
                "requests_per_second": 0,
                "timing": fake_time.timing,
            }
            return stack.enter_context(Boomplay(**{**defaults, **options}))

        yield make

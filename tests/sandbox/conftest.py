from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from etl.sandbox import Sandbox
from tests.sandbox.client import Open, SandboxClient


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open sandboxes, each with a client, and close them all in the end."""
    with ExitStack() as stack:

        def opened(**options: Any) -> SandboxClient:
            sandbox = stack.enter_context(Sandbox(**options))
            headers = {"app_id": sandbox.app_id, "Authorization": f"Bearer {sandbox.users['ada'].access_token}"}
            # verify=False: plain HTTP needs no certificates, and loading them would take longer than the test
            client = httpx.Client(base_url=sandbox.url, headers=headers, timeout=60, trust_env=False, verify=False)
            return SandboxClient(sandbox, stack.enter_context(client))

        yield opened

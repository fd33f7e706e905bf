"""A running sandbox with an HTTP client that is authorised as its first user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from etl.sandbox import Sandbox

TRACKS, BY_IDS, USER = "/favourite/v1/tracks", "/track/v1/trackIds", "/user/getUserInfo"


@dataclass
class SandboxClient:
    sandbox: Sandbox
    http: httpx.Client

    @property
    def true_ids(self) -> list[int]:
        return self.sandbox.favourites("ada")

    def get(self, path: str = TRACKS, **params: Any) -> httpx.Response:
        return self.http.get(path, params=params)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def ids(self, offset: int = 0, limit: int = 50, **headers: str) -> list[int]:
        """Ask for a page and return its ids."""
        answer = self.http.get(TRACKS, params={"offset": offset, "limit": limit}, headers=headers)
        return [int(item["track_id"]) for item in answer.json()["data"]]

    def refusal(self, path: str = TRACKS, **params: Any) -> tuple[int, int]:
        """Return the HTTP status and the made-up code, counted from its base."""
        return status_and_code(self.get(path, **params))


Open = Callable[..., SandboxClient]


def status_and_code(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"] - 990_000

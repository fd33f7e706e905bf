"""A running stand-in with a client that is authorised as its first user: it asks over HTTP, as anybody would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from etl.sandbox import Sandbox

TRACKS, ALBUMS, PLAYLISTS = "/favourite/v1/tracks", "/favourite/v1/albums", "/favourite/v1/playlists"


@dataclass
class Bench:
    sandbox: Sandbox
    http: httpx.Client

    @property
    def user(self) -> str:
        return next(iter(self.sandbox.users))

    @property
    def true_ids(self) -> list[int]:
        return self.sandbox.favourites(self.user)

    def get(self, path: str = TRACKS, **params: Any) -> httpx.Response:
        return self.http.get(path, params=params)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def ids(self, offset: int = 0, limit: int = 50, path: str = TRACKS) -> list[int]:
        """Ask for a page and return its ids."""
        key = {TRACKS: "track_id", ALBUMS: "album_id", PLAYLISTS: "playlist_id"}[path]
        return [int(item[key]) for item in self.get(path, offset=offset, limit=limit).json()["data"]]

    def refusal(self, path: str = TRACKS, **params: Any) -> tuple[int, int]:
        """Return the HTTP status and the made-up code, counted from its base."""
        return status_and_code(self.get(path, **params))


Open = Callable[..., Bench]


def status_and_code(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"] - 990_000

"""The endpoints of Boomplay that favsync reads."""

from __future__ import annotations

from collections.abc import Iterable

from etl.boomplay import payloads
from etl.boomplay.http import HttpClient, HttpOptions, TokenSource
from etl.boomplay.payloads import User
from etl.boomplay.transport import Request
from etl.model.records import Item, Page

MAX_LIMIT = 50
MAX_IDS = 20


class Boomplay(HttpClient):
    """One user's view of the service, read-only."""

    def __init__(self, tokens: TokenSource, options: HttpOptions) -> None:
        super().__init__(options)
        self._tokens = tokens

    def favourite_tracks(self, offset: int, limit: int = MAX_LIMIT) -> Page:
        """Return the page of the user's favourite tracks that begins at ``offset``; ``limit`` is clamped to 1..50.

        Raises: ApiError, CredentialsError.
        """
        limit = min(max(limit, 1), MAX_LIMIT)
        query = f"offset={offset}&limit={limit}"
        request = Request(f"favourite tracks at offset {offset}", "/favourite/v1/tracks", query)
        return self.call(request, lambda body: payloads.page(body, offset, limit), self._tokens)

    def user(self) -> User:
        """Return the owner of the token.

        Raises: ApiError, CredentialsError.
        """
        request = Request("user info", "/user/getUserInfo")
        return self.call(request, lambda body: payloads.user(body, request.place), self._tokens)

    def tracks(self, track_ids: Iterable[int]) -> list[Item]:
        """Return the tracks with these ids, 20 a request; unknown ones are missing, and the order is the service's.

        Raises: ApiError, CredentialsError.
        """
        wanted = list(dict.fromkeys(track_ids))
        batches = (wanted[start : start + MAX_IDS] for start in range(0, len(wanted), MAX_IDS))
        return [item for batch in batches for item in self._tracks(batch)]

    def _tracks(self, track_ids: list[int]) -> list[Item]:
        ids = ",".join(map(str, track_ids))
        request = Request(f"{len(track_ids)} tracks by id, from {track_ids[0]}", "/track/v1/trackIds", f"ids={ids}")
        return self.call(request, lambda body: payloads.items(body, request.place), self._tokens)

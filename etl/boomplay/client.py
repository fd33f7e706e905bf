"""The endpoints of Boomplay that favsync reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from etl.boomplay import payloads
from etl.boomplay.http import HttpClient, HttpOptions, TokenSource
from etl.boomplay.payloads import User
from etl.boomplay.transport import Request
from etl.errors import FavsyncError, PayloadError
from etl.model.records import Item, Page

T = TypeVar("T")
CatalogueLookup = Callable[[Sequence[int], int | None], Mapping[int, Item | None] | None]

MAX_LIMIT = 50
MAX_IDS = 20


class Boomplay(HttpClient):
    """One user's view of the service, read-only."""

    def __init__(self, tokens: TokenSource, options: HttpOptions) -> None:
        super().__init__(options)
        self._tokens = tokens
        # Called after each call with the user's token: with None, or with the error that the call raises.
        self.on_result: Callable[[FavsyncError | None], None] = lambda _error: None
        # Looks up tracks by id, with a known one for comparison (`catalogue.TrackCatalogue`); None: it cannot be asked.
        self.catalogue: CatalogueLookup = lambda _track_ids, _known_id: None

    def call(self, request: Request, decode: Callable[[bytes], T], tokens: TokenSource | None = None) -> T:
        """Send the request as `HttpClient.call` does, and report the result to ``on_result``."""
        try:
            value = super().call(request, decode, tokens)
        except FavsyncError as error:
            if tokens is self._tokens:
                self.on_result(error)
            raise
        if tokens is self._tokens:
            self.on_result(None)
        return value

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

    def tracks(self, track_ids: Iterable[int], tokens: TokenSource | None = None) -> dict[int, Item | None]:
        """Return the catalogue's entry for each id, None for an id that it does not have; 20 ids a request.

        ``tokens`` replaces the user's token: the endpoint documents an app token. Unknown ids may be dropped from the answer
        or null; a service that refuses them instead raises ApiRefused (`etl.boomplay.catalogue` handles it).

        Raises: ApiError, CredentialsError.
        """
        wanted = list(dict.fromkeys(track_ids))
        found: dict[int, Item | None] = dict.fromkeys(wanted)
        for start in range(0, len(wanted), MAX_IDS):
            batch = wanted[start : start + MAX_IDS]
            place = f"{len(batch)} tracks by id, from {batch[0]}"
            request = Request(place, "/track/v1/trackIds", "ids=" + ",".join(map(str, batch)))
            for item in self.call(request, partial(payloads.items, place=place), tokens or self._tokens):
                if item.track_id is None:  # it may be any of those that seem to be missing
                    raise PayloadError(f"{place}: an entry has no readable id", remedy=payloads.REMEDY)
                if item.track_id in found:
                    found[item.track_id] = item
        return found

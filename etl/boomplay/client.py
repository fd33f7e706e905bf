"""The endpoints of Boomplay that favsync reads, and the lookup of tracks in the service's catalogue."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from etl.boomplay import payloads
from etl.boomplay.http import HttpClient, HttpOptions, TokenSource
from etl.boomplay.payloads import User
from etl.boomplay.transport import Request
from etl.errors import ApiError, ApiRefused, CredentialsError, FavsyncError, PayloadError
from etl.model.records import Item, Page

T = TypeVar("T")
CatalogueLookup = Callable[[Sequence[int], int | None], Mapping[int, Item | None] | None]
log = logging.getLogger(__name__)

MAX_LIMIT = 50
MAX_IDS = 20
FORBIDDEN = 403  # about the token, not about the ids
MAX_SINGLE_LOOKUPS = 100


class Boomplay(HttpClient):
    """One user's view of the service, read-only. Calls raise ApiError and CredentialsError."""

    def __init__(self, tokens: TokenSource, options: HttpOptions) -> None:
        super().__init__(options)
        self._tokens = tokens
        # Called after each call with the user's token, with None or the error.
        self.on_result: Callable[[FavsyncError | None], None] = lambda _error: None
        # Looks up tracks by id, with a known one for comparison (`TrackCatalogue.lookup`); None: it cannot be asked.
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
        """Return the page of the user's favourite tracks that begins at ``offset``; ``limit`` is clamped to 1..50."""
        limit = min(max(limit, 1), MAX_LIMIT)
        query = f"offset={offset}&limit={limit}"
        request = Request(f"favourite tracks at offset {offset}", "/favourite/v1/tracks", query)
        return self.call(request, lambda body: payloads.page(body, offset, limit), self._tokens)

    def user(self) -> User:
        """Return the owner of the token."""
        request = Request("user info", "/user/getUserInfo")
        return self.call(request, lambda body: payloads.user(body, request.place), self._tokens)

    def tracks(self, track_ids: Sequence[int], tokens: TokenSource | None = None) -> dict[int, Item | None]:
        """Return the catalogue's entry for each of at most 20 ids, None for an id that it does not have.

        ``tokens`` replaces the user's token: the endpoint documents an app token. Unknown ids may be dropped from the answer
        or null; a service that refuses them instead raises ApiRefused (`TrackCatalogue` handles it).
        """
        place = f"{len(track_ids)} tracks by id, from {track_ids[0]}"
        request = Request(place, "/track/v1/trackIds", "ids=" + ",".join(map(str, track_ids)))
        found: dict[int, Item | None] = dict.fromkeys(track_ids)
        for item in self.call(request, lambda body: payloads.items(body, place), tokens or self._tokens):
            if item.track_id is None:  # it may be any of those that seem to be missing
                raise PayloadError(f"{place}: an entry has no readable id", remedy=payloads.REMEDY)
            if item.track_id in found:
                found[item.track_id] = item
        return found


class TrackCatalogue:
    """Looks up tracks with the first token source that the service accepts; never fails the run.

    The documentation names an app token for this endpoint. Whether the service takes a user's token too is unknown, and so is
    its answer to an unknown id: it may drop the id, return null, or refuse the request. Pass `AppToken` first, if there is an
    app secret, then the user's token as a `StaticToken`: a refusal here must neither renew the user's token nor mark it as
    dead. Not safe to share between threads.
    """

    def __init__(self, boomplay: Boomplay, sources: Sequence[TokenSource]) -> None:
        self._boomplay = boomplay
        self._sources = tuple(sources)
        self._single_lookups = 0

    def lookup(self, track_ids: Iterable[int], known_id: int | None = None) -> dict[int, Item | None] | None:
        """Return the entry for each id, None for an id that the catalogue does not have. None: it could not be asked.

        ``known_id`` is a track that exists, for example one that the list holds now. It shows whether the service refuses
        unknown ids or every request. Without it, refusals count only if another id of the same batch is found.
        """
        wanted = list(dict.fromkeys(track_ids))
        for source in self._sources:
            found: dict[int, Item | None] = {}
            try:
                for start in range(0, len(wanted), MAX_IDS):
                    found |= self._lookup_batch(wanted[start : start + MAX_IDS], source, known_id)
            except (ApiRefused, CredentialsError) as error:
                log.info("catalogue lookup refused: %s", error.message)  # the next source may be accepted
            except ApiError as error:
                log.info("catalogue lookup failed: %s", error.message)
                return None
            else:
                return found
        return None

    def _lookup_batch(self, batch: list[int], source: TokenSource, known_id: int | None) -> dict[int, Item | None]:
        try:
            return self._boomplay.tracks(batch, source)
        except ApiRefused as error:
            if error.status == FORBIDDEN or self._single_lookups + len(batch) > MAX_SINGLE_LOOKUPS:
                raise
            refusal = error
        self._single_lookups += len(batch)
        # An unknown id may be the reason, so each id is asked for alone. A service that refuses every request looks the same:
        # its refusals must not pass for missing tracks.
        is_answering = known_id is not None and self._boomplay.tracks([known_id], source)[known_id] is not None
        found: dict[int, Item | None] = {}
        for track_id in batch:
            try:
                found |= self._boomplay.tracks([track_id], source)
            except ApiRefused as error:
                if error.status == FORBIDDEN:
                    raise
                found[track_id] = None
        if not is_answering and not any(found.values()):
            raise refusal
        return found

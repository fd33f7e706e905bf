"""Lookup of tracks in the service's catalogue, as far as a token allows it.

The documentation names an app token for this endpoint. Whether the service takes a user's token too is unknown, and so is its
answer to an unknown id: it may drop the id, return null, or refuse the request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from etl.boomplay.client import MAX_IDS, Boomplay
from etl.boomplay.http import TokenSource
from etl.errors import ApiError, ApiRefused, CredentialsError
from etl.model.records import Item

log = logging.getLogger(__name__)

FORBIDDEN = 403  # about the token, not about the ids
MAX_SINGLE_LOOKUPS = 100


class TrackCatalogue:
    """Looks up tracks with the first token source that the service accepts; never fails the run.

    Pass `AppToken` first, if there is an app secret, then the user's token as a `StaticToken`: a refusal here must neither renew
    the user's token nor mark it as dead. Not safe to share between threads.
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
        batches = [wanted[start : start + MAX_IDS] for start in range(0, len(wanted), MAX_IDS)]
        for source in self._sources:
            found: dict[int, Item | None] = {}
            try:
                for batch in batches:
                    found |= self._lookup_batch(batch, source, known_id)
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

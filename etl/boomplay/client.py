"""What favsync asks of Boomplay.

Invariants: read-only; only errors of `etl.errors` are raised, and none of them holds a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar, Unpack

from etl.boomplay import payloads
from etl.boomplay.exchange import Request
from etl.boomplay.http import HttpClient, HttpOptions, TokenSource
from etl.boomplay.payloads import User
from etl.errors import FavsyncError
from etl.model.records import Item, Page

T = TypeVar("T")

MAX_LIMIT = 50
MAX_IDS = 20


class Boomplay:
    """One user's view of the service; safe to share between threads. A context manager, or close it.

    Raises: SettingsError, for options that cannot be used (`etl.boomplay.http.HttpOptions`).
    """

    def __init__(self, *, tokens: TokenSource, **options: Unpack[HttpOptions]) -> None:
        self.on_result: Callable[[FavsyncError | None], None] = lambda _error: None
        """Called after each call: with None, or with the error that the call raises."""
        self._tokens = tokens
        self._wire = HttpClient(**options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return self._wire.requests

    @property
    def retries(self) -> int:
        """Requests sent so far because an earlier one failed."""
        return self._wire.retries

    @property
    def requests_by_status(self) -> dict[str, int]:
        """Requests sent so far, by HTTP status; ``none`` for those that got no answer."""
        return self._wire.requests_by_status

    def close(self) -> None:
        """Close all connections and end every wait; calls still under way fail."""
        self._wire.close()

    def favourite_tracks(self, offset: int, limit: int = MAX_LIMIT) -> Page:
        """Return the page of the user's favourite tracks that begins at ``offset``; ``limit`` is held within 1 to 50.

        Raises: ApiError, CredentialsError.
        """
        limit = min(max(limit, 1), MAX_LIMIT)
        call = Request(f"favourite tracks at offset {offset}", "/favourite/v1/tracks", f"offset={offset}&limit={limit}")
        return self._call(call, lambda body: payloads.page(body, offset, limit))

    def user(self) -> User:
        """Return whose token it is.

        Raises: ApiError, CredentialsError.
        """
        call = Request("user info", "/user/getUserInfo")
        return self._call(call, lambda body: payloads.user(body, call.place))

    def tracks(self, track_ids: Iterable[int]) -> list[Item]:
        """Return the tracks with these ids, 20 a request; unknown ones are missing, and the order is the service's.

        Raises: ApiError, CredentialsError.
        """
        wanted = list(dict.fromkeys(track_ids))
        batches = (wanted[start : start + MAX_IDS] for start in range(0, len(wanted), MAX_IDS))
        return [item for batch in batches for item in self._tracks(batch)]

    def _tracks(self, track_ids: list[int]) -> list[Item]:
        ids = ",".join(map(str, track_ids))
        call = Request(f"{len(track_ids)} tracks by id, from {track_ids[0]}", "/track/v1/trackIds", f"ids={ids}")
        return self._call(call, lambda body: payloads.items(body, call.place))

    def _call(self, call: Request, decode: Callable[[bytes], T]) -> T:
        try:
            value = self._wire.call(call, decode, self._tokens)
        except FavsyncError as error:
            self.on_result(error)
            raise
        self.on_result(None)
        return value

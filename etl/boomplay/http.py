"""Calls to the service with retries: rate limit, attempt, decision, error.

Only errors of `etl.errors` leave. Every message is one line, begins with the place of the request and holds no secret;
nothing is chained to it.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Generic, NoReturn, Protocol, Self, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result

from etl import __version__
from etl.boomplay import payloads
from etl.boomplay.address import service_address
from etl.boomplay.rate_limit import limiter_for
from etl.boomplay.redact import Secret, redacted
from etl.boomplay.retry import (
    REMEDIES,
    Decision,
    Failure,
    FailureClass,
    GiveUp,
    Postpone,
    Renew,
    Retry,
    RetryPolicy,
    postponed,
    to_exception,
)
from etl.boomplay.transport import Request, Response, Transport
from etl.boomplay.waiting import CancelToken, Clock
from etl.errors import ApiRefused, ApiUnreachable, CredentialsError, PayloadError, SettingsError

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024 * 1024
_PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class TokenSource(Protocol):
    """Source of the token of a call; used by several threads at once."""

    def token(self) -> str:
        """Return the token to use now.

        Raises: CredentialsError, ApiError.
        """

    def renew(self, rejected: str) -> str | None:
        """Return another token than the rejected one, None if there is none.

        Raises: CredentialsError, ApiError.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How to reach the service; the defaults are those of the settings.

    ``requests_per_second`` (0: no limit) applies to all requests of the app id in this process, ``timeout_seconds`` to one
    attempt. ``stop`` ends every wait once it is set. ``park_after_seconds`` is the longest ``Retry-After`` that is waited
    out. ``token_codes`` and ``throttled_codes`` are values of ``code`` that mean a bad token or too many requests.

    Raises: SettingsError, for values that cannot be used.
    """

    api_url: str
    app_id: str
    language: str = "en"
    timeout_seconds: float = 30.0
    max_retries: int = 5
    requests_per_second: float = 10.0
    max_body_bytes: int = MAX_BODY_BYTES
    park_after_seconds: float = 60.0
    token_codes: frozenset[int] = frozenset()
    throttled_codes: frozenset[int] = frozenset()
    stop: threading.Event | None = None
    timing: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        if self.timeout_seconds <= 0 or self.max_retries < 0 or self.requests_per_second < 0:
            raise SettingsError("time-out, retries and requests per second may not be negative, nor the time-out 0")
        for value, setting in ((self.app_id, "BOOMPLAY_APP_ID"), (self.language, "FAVSYNC_LANGUAGE")):
            if not _PRINTABLE.fullmatch(value):
                message = f"{setting} is empty, or holds characters that no HTTP header may hold"
                raise SettingsError(message, remedy=f"set {setting}")


class HttpClient:
    """Base of the API clients: calls to one service under one app id.

    A context manager, safe to share between threads. The connections are shared by all clients of the process.

    Raises: SettingsError, for an address, proxy or CA file that cannot be used.
    """

    def __init__(self, options: HttpOptions) -> None:
        address = service_address(options.api_url)
        self.options = options
        self._cancel = CancelToken(options.stop)
        self._limiter = limiter_for(address.origin, options.app_id, options.requests_per_second)
        self._policy = RetryPolicy(
            max_retries=options.max_retries,
            park_after_seconds=options.park_after_seconds,
            token_codes=options.token_codes,
            throttled_codes=options.throttled_codes,
        )
        self._transport = Transport(
            address,
            timeout_seconds=options.timeout_seconds,
            max_body_bytes=options.max_body_bytes,
            clock=options.timing,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return sum(self.requests_by_status.values())

    @property
    def retries(self) -> int:
        """Requests sent so far because an earlier one failed."""
        return self._transport.counters.retries

    @property
    def requests_by_status(self) -> dict[str, int]:
        """Requests sent so far, by HTTP status; ``none`` for those without an answer."""
        return self._transport.counters.by_status

    @property
    def clock_offset(self) -> float | None:
        """Seconds that the service's clock is ahead of this machine's: median over the answers; None without ``Date``."""
        return self._transport.counters.clock_offset

    @property
    def longest_call_seconds(self) -> float:
        """Upper bound of the time of one call, for servers that do not drip their headers.

        It covers all retries with their longest waits, and one renewal of the token (a call of its own).
        """
        policy = self._policy
        longest_wait = max(policy.park_after_seconds, policy.cap_seconds)
        attempts = 1 + policy.max_retries
        return 2 * (attempts * 2 * self.options.timeout_seconds + policy.max_retries * longest_wait)

    def close(self) -> None:
        """End every wait and refuse further calls. A request in flight ends at its own time-out."""
        self._cancel.set()

    @contextmanager
    def fresh(self) -> Iterator[Self]:
        """Yield the same API over new connections, with ``Cache-Control: no-cache``; its requests count here too.

        Raises: SettingsError.
        """
        with self._transport.fresh() as transport:
            other = copy(self)
            other._transport = transport
            yield other

    def call(self, request: Request, decode: Callable[[bytes], T], tokens: TokenSource | None = None) -> T:
        """Send the request until ``decode`` reads an answer or a retry is useless, and return the decoded value.

        Raises: ApiError (one of its subclasses), CredentialsError.
        """
        timing = self.options.timing
        token = Secret(tokens.token()) if tokens else None
        may_renew = tokens is not None
        decision: Decision = GiveUp()

        def attempt() -> _Success[T] | Failure:
            nonlocal decision
            outcome = self._attempt(request, decode, token)
            if isinstance(outcome, Failure):
                tries = retrying.statistics["attempt_number"]
                decision = self._policy.decide(
                    outcome, tries=tries, may_renew=may_renew, now=timing.now(), jitter=timing.jitter()
                )
            return outcome

        def before_retry(state: RetryCallState) -> None:
            nonlocal token, may_renew
            failure = state.outcome.result()  # type: ignore[union-attr] # a retry follows a failure
            if isinstance(decision, Retry):
                most, seconds = self._policy.max_retries, decision.after_seconds
                log.info("%s; retry %d of %d in %.1f s", failure.message, state.attempt_number, most, seconds)
                if decision.is_shared:
                    self._limiter.pause(timing.monotonic() + seconds)
            elif tokens and token:
                token = self._renewed(tokens, token, failure)
                may_renew = False
            self._transport.counters.add_retry()

        def wait_seconds(_: RetryCallState) -> float:
            # A shared wait is a pause of the limiter, so it comes with the next turn.
            return decision.after_seconds if isinstance(decision, Retry) and not decision.is_shared else 0.0

        retrying = Retrying(
            retry=retry_if_result(lambda outcome: isinstance(outcome, Failure) and isinstance(decision, Retry | Renew)),
            wait=wait_seconds,
            before_sleep=before_retry,
            sleep=partial(self._sleep, request),
        )
        outcome = retrying(attempt)
        if isinstance(outcome, Failure):
            self._give_up(outcome, decision, retrying.statistics["attempt_number"])
        return outcome.value

    def _attempt(self, request: Request, decode: Callable[[bytes], T], token: Secret | None) -> _Success[T] | Failure:
        """Wait for a turn, send once and decode. A failure's message holds no secret."""
        self._take_turn(request)
        response = self._transport.send(request, self._request_headers(token))
        outcome = _decoded(request, response, decode)
        if not isinstance(outcome, Failure):
            return outcome
        if self._cancel.is_set():
            self._stop(request)
        secrets = (*request.secrets, _bare(token)) if token else request.secrets
        return replace(outcome, message=redacted(outcome.message, secrets))

    def _request_headers(self, token: Secret | None) -> dict[str, str]:
        """Return the documented headers; a request for a token has neither token nor app id."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",  # other codings unpack to more than a size limit can hold
            "Accept-Language": self.options.language,
            "Content-Type": "application/json",
            "User-Agent": f"favsync/{__version__}",
        }
        if token is None:
            return headers
        return {"Authorization": _bearer(token), "app_id": self.options.app_id, **headers}

    def _take_turn(self, request: Request) -> None:
        monotonic = self.options.timing.monotonic
        self._refuse_if_parked(request)
        turn = self._limiter.take_turn(monotonic())
        while (seconds := self._limiter.seconds_to(turn, monotonic())) > 0:
            self._sleep(request, seconds)
            self._refuse_if_parked(request)  # another call may have been asked to wait meanwhile
        if self._cancel.is_set():
            self._stop(request)

    def _refuse_if_parked(self, request: Request) -> None:
        """Send nothing while the service has asked this app id to wait for long.

        Raises: RateLimited.
        """
        seconds = self._limiter.paused_seconds(self.options.timing.monotonic())
        if seconds > self._policy.park_after_seconds:
            until = self.options.timing.now() + timedelta(seconds=seconds)
            raise postponed(f"{request}: the service asked this app to wait", until)

    def _renewed(self, tokens: TokenSource, rejected: Secret, failure: Failure) -> Secret:
        fresh = tokens.renew(rejected)
        if not fresh or fresh == rejected:
            self._give_up(failure, GiveUp(), 1)
        log.info("%s; retry with a new token", failure.message)
        return Secret(fresh)

    def _give_up(self, failure: Failure, decision: Decision, tries: int) -> NoReturn:
        message = failure.message + (f", {tries} times" if tries > 1 else "")
        if not isinstance(decision, Postpone):
            raise to_exception(failure, self._policy.classify(failure), message)
        timing = self.options.timing
        self._limiter.pause(timing.monotonic() + (decision.until - timing.now()).total_seconds())
        raise postponed(message, decision.until, failure.status)

    def _sleep(self, request: Request, seconds: float) -> None:
        wait = self.options.timing.wait or self._cancel.wait
        if seconds > 0 and wait(seconds):
            self._stop(request)

    def _stop(self, request: Request) -> NoReturn:
        raise ApiUnreachable(f"{request}: stopped before there was an answer", remedy="run it again")


@dataclass(frozen=True, slots=True)
class _Success(Generic[T]):
    value: T


def _decoded(request: Request, response: Response | Failure, decode: Callable[[bytes], T]) -> _Success[T] | Failure:
    if isinstance(response, Failure):
        return response
    status, retry_after = response.status, response.retry_after
    if not response.is_success:
        code, words = payloads.error_body(response.body)
        parts = [f"HTTP {status}", f"code {code}" if code is not None else "", words]
        message = f"{request}: " + ": ".join(part for part in parts if part)
        return Failure(message, status=status, code=code, retry_after=retry_after)
    try:
        return _Success(decode(response.body))
    except payloads.InvalidJson as error:
        return Failure(error.message, FailureClass.GARBLED, status, retry_after=retry_after)
    except PayloadError as error:
        return Failure(error.message, FailureClass.UNREADABLE, status)
    except ApiRefused as error:
        return Failure(error.message, status=status, code=error.code, retry_after=retry_after)


def _bare(token: str) -> Secret:
    """Return the token alone; a pasted one may bring its own ``Bearer``."""
    return Secret(token[7:] if token[:7].lower() == "bearer " else token)


def _bearer(token: str) -> str:
    bare = _bare(token)
    if not _TOKEN.fullmatch(bare):
        message = "the access token is empty, or holds characters that no HTTP header may hold"
        raise CredentialsError(message, remedy=REMEDIES[FailureClass.TOKEN])
    return f"Bearer {bare}"

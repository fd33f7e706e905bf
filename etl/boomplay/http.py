"""Calls to the service with retries: rate limit, attempt, decision, error.

Only errors of `etl.errors` leave. Every message is one line, begins with the place of the request and holds no secret;
nothing is chained to it.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import NoReturn, Protocol, Self, TypeVar

from tenacity import RetryCallState, Retrying

from etl import __version__, clock
from etl.boomplay import payloads
from etl.boomplay.redact import Secret, redacted
from etl.boomplay.retry import Decision, Failure, FailureClass, GiveUp, Postpone, Renew, Retry, RetryPolicy
from etl.boomplay.transport import Request, Response, Transport, service_url
from etl.boomplay.waiting import Clock, SharedBudget, limiter_for
from etl.errors import ApiRefused, CredentialsError, PayloadError, Stopped

T = TypeVar("T")
log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
_TOKEN = re.compile(r"[\x21-\x7e]+")


class TokenSource(Protocol):
    """Source of the token of a call; used by several threads at once. Its methods raise CredentialsError and ApiError."""

    def token(self) -> str:
        """Return the token to use now."""

    def renew(self, rejected: str) -> str | None:
        """Return another token than the rejected one, None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How to reach the service; `etl.settings` checks the values.

    ``requests_per_second`` (0: no limit) applies to all requests of the app id in this process, or in all processes that share
    ``budget``; ``timeout_seconds`` to one attempt. ``stop`` ends every wait once it is set.
    """

    api_url: str
    app_id: str
    language: str = "en"
    timeout_seconds: float = 30.0
    requests_per_second: float = 10.0
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    stop: threading.Event | None = None
    budget: SharedBudget | None = None
    timing: Clock = field(default_factory=Clock)


class HttpClient:
    """Base of the API clients: calls to one service under one app id. A context manager, safe to share between threads.

    Raises: SettingsError, for an address, proxy or CA file that cannot be used.
    """

    def __init__(self, options: HttpOptions) -> None:
        url = service_url(options.api_url)
        self.options = options
        self._closed = threading.Event()
        self._limiter = limiter_for(url, options.app_id, options.requests_per_second)
        if options.budget is not None:
            self._limiter.share(options.budget)
        self._transport = Transport(url, options.timeout_seconds, options.timing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return sum(self.requests_by_status.values())

    @property
    def retries(self) -> int:
        """Requests sent so far because an earlier one failed."""
        return self._transport.counts.retries

    @property
    def requests_by_status(self) -> dict[str, int]:
        """Requests sent so far, by HTTP status; ``none`` for those without an answer."""
        with self._transport.counts.lock:
            return dict(self._transport.counts.by_status)

    @property
    def clock_offset(self) -> float | None:
        """Seconds that the service's clock is ahead of this machine's: median over the answers; None without ``Date``."""
        with self._transport.counts.lock:
            offsets = sorted(self._transport.counts.clock_offsets)
        return offsets[len(offsets) // 2] if offsets else None

    @property
    def longest_call_seconds(self) -> float:
        """Upper bound of a call with all retries and a renewal of the token, for servers that do not drip their headers."""
        policy = self.options.policy
        longest_wait = max(policy.park_after_seconds, policy.cap_seconds)
        return 2 * ((1 + policy.max_retries) * 2 * self.options.timeout_seconds + policy.max_retries * longest_wait)

    def close(self) -> None:
        """End every wait and refuse further calls. A request in flight ends at its own time-out."""
        self._closed.set()

    @contextmanager
    def fresh(self) -> Iterator[Self]:
        """Yield the same API over new connections, with ``Cache-Control: no-cache``; its requests count here too."""
        other = copy(self)
        with self._transport.fresh() as other._transport:
            yield other

    def call(self, request: Request, decode: Callable[[bytes], T], tokens: TokenSource | None = None) -> T:
        """Send until ``decode`` reads an answer, and return the decoded value. Raises ApiError, CredentialsError."""
        token = Secret(tokens.token()) if tokens else None
        outcome = self._attempt(request, decode, token)
        if not isinstance(outcome, Failure):
            return outcome
        timing, failures = self.options.timing, [outcome]  # the first attempt of those that the policy decides about
        may_renew = tokens is not None
        decision: Decision = GiveUp()

        def is_repeated(state: RetryCallState) -> bool:
            nonlocal decision
            outcome = state.outcome.result()  # type: ignore[union-attr] # there was an attempt
            if not isinstance(outcome, Failure):
                return False
            tries, now, jitter = state.attempt_number, timing.now(), timing.jitter()
            decision = self.options.policy.decide(outcome, tries=tries, may_renew=may_renew, now=now, jitter=jitter)
            return isinstance(decision, Retry | Renew)

        def wait_seconds(_: RetryCallState) -> float:
            # A shared wait is a pause of the limiter, so it comes with the next turn.
            return decision.after_seconds if isinstance(decision, Retry) and not decision.is_shared else 0.0

        def before_retry(state: RetryCallState) -> None:
            nonlocal token, may_renew
            failure = state.outcome.result()  # type: ignore[union-attr] # a retry follows a failure
            if isinstance(decision, Retry):
                most, seconds = self.options.policy.max_retries, decision.after_seconds
                log.info("%s; retry %d of %d in %.1f s", failure.message, state.attempt_number, most, seconds)
                if decision.is_shared:
                    self._pause(seconds)
            elif tokens and token:
                token, may_renew = self._renewed(tokens, token, failure), False
            with self._transport.counts.lock:
                self._transport.counts.retries += 1

        retrying = Retrying(
            retry=is_repeated,
            wait=wait_seconds,
            before_sleep=before_retry,
            sleep=lambda seconds: self._sleep(request, seconds),
        )
        outcome = retrying(lambda: failures.pop() if failures else self._attempt(request, decode, token))
        if isinstance(outcome, Failure):
            self._give_up(outcome, decision, retrying.statistics["attempt_number"])
        return outcome

    def _renewed(self, tokens: TokenSource, token: Secret, failure: Failure) -> Secret:
        """Return a new token. Raises the failure's error, if there is none."""
        fresh = tokens.renew(token)
        if not fresh or fresh == token:
            self._give_up(failure, GiveUp(), 1)
        log.info("%s; retry with a new token", failure.message)
        return Secret(fresh)

    def _attempt(self, request: Request, decode: Callable[[bytes], T], token: Secret | None) -> T | Failure:
        """Wait for a turn, send once and decode. A failure's message holds no secret."""
        self._take_turn(request)
        outcome = _decoded(request, self._send(request, self._request_headers(token)), decode)
        if not isinstance(outcome, Failure):
            return outcome
        self._sleep(request, 0)  # a failure after the end of the client is not reported
        secrets = (*request.secrets, _bare(token)) if token else request.secrets
        return replace(outcome, message=redacted(outcome.message, secrets))

    def _send(self, request: Request, headers: dict[str, str]) -> Response | Failure:
        """Send once. If a stop must be noticed, the main thread lets another one wait for the answer.

        Raises: Stopped, if the client is stopped meanwhile.
        """
        if self.options.stop is None or threading.current_thread() is not threading.main_thread():
            return self._transport.send(request, headers)
        outcome: Future[Response | Failure] = Future()

        def send() -> None:
            try:
                outcome.set_result(self._transport.send(request, headers))
            except BaseException as error:  # noqa: BLE001 # it is raised by the thread that waits
                outcome.set_exception(error)

        # A daemon: an executor keeps the process alive until its last request ends.
        threading.Thread(target=send, name="favsync-request", daemon=True).start()
        while wait((outcome,), POLL_SECONDS).not_done:
            self._sleep(request, 0)
        return outcome.result()

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
        bare = _bare(token)
        if not _TOKEN.fullmatch(bare):
            message = "the access token is empty, or holds characters that no HTTP header may hold"
            raise CredentialsError(message, remedy=FailureClass.TOKEN.value)
        return {"Authorization": f"Bearer {bare}", "app_id": self.options.app_id, **headers}

    def _take_turn(self, request: Request) -> None:
        """Wait for a turn. Raises RateLimited while the service has asked this app id to wait for long."""
        timing, turn = self.options.timing, None
        while True:
            now = timing.monotonic()
            self._refuse_long_pause(request, now)  # another call may have been asked to wait meanwhile
            if turn is None:
                turn = self._limiter.take_turn(now)
                self._refuse_long_pause(request, now)  # or another process
            if (seconds := self._limiter.seconds_to(turn, now)) <= 0:
                break
            self._sleep(request, seconds)
        self._sleep(request, 0)

    def _refuse_long_pause(self, request: Request, now: float) -> None:
        paused = self._limiter.paused_seconds(now)
        if paused > self.options.policy.park_after_seconds:
            until = self.options.timing.now() + timedelta(seconds=paused)
            raise Postpone(until).error(f"{request}: the service asked this app to wait")

    def _pause(self, seconds: float) -> None:
        """Delay all requests of the app id, in every process that shares its budget."""
        self._limiter.pause(self.options.timing.monotonic() + seconds)
        if self.options.budget is not None:
            self.options.budget.pause(seconds)

    def _give_up(self, failure: Failure, decision: Decision, tries: int) -> NoReturn:
        message = failure.message + (f", {tries} times" if tries > 1 else "")
        if not isinstance(decision, Postpone):
            if failure.status is None and failure.cause in (FailureClass.TRANSIENT, FailureClass.DOWN):
                message += f", at {self.options.api_url} (BOOMPLAY_API_URL)"
            raise self.options.policy.error(failure, message)
        self._pause((decision.until - self.options.timing.now()).total_seconds())
        raise decision.error(message, failure.status)

    def _sleep(self, request: Request, seconds: float) -> None:
        """Wait. Raises Stopped if the client is stopped, also without a wait."""
        wait = self.options.timing.wait or self._wait
        if wait(seconds) if seconds > 0 else self.is_stopped():
            raise Stopped(f"{request}: stopped before there was an answer", remedy="run it again")

    def _wait(self, seconds: float) -> bool:
        """Wait, or until the client is stopped, which is noticed within 0.25 s; return True if it is stopped."""
        end = clock.monotonic() + seconds
        while not self.is_stopped() and (left := end - clock.monotonic()) > 0:
            self._closed.wait(min(left, POLL_SECONDS))
        return self.is_stopped()

    def is_stopped(self) -> bool:
        """True once the client is closed or its ``stop`` is set."""
        stop = self.options.stop
        return self._closed.is_set() or (stop is not None and stop.is_set())


def _decoded(request: Request, response: Response | Failure, decode: Callable[[bytes], T]) -> T | Failure:
    if isinstance(response, Failure):
        return response
    status, retry_after = response.status, response.retry_after
    if not 200 <= status < 300:
        code, words = payloads.error_body(response.body)
        parts = [f"HTTP {status}", f"code {code}" if code is not None else "", words]
        message = f"{request}: " + ": ".join(part for part in parts if part)
        return Failure(message, status=status, code=code, retry_after=retry_after)
    try:
        return decode(response.body)
    except payloads.InvalidJson as error:
        return Failure(error.message, FailureClass.GARBLED, status, retry_after=retry_after)
    except PayloadError as error:
        return Failure(error.message, FailureClass.UNREADABLE, status)
    except ApiRefused as error:
        return Failure(error.message, status=status, code=error.code, retry_after=retry_after)


def _bare(token: str) -> Secret:
    """Return the token alone; a pasted one may bring its own ``Bearer``."""
    return Secret(token[7:] if token[:7].lower() == "bearer " else token)

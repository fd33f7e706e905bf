"""One call to the service, until it is answered or cannot be: turn, attempt, verdict, error.

The loop is our own rather than stamina's, though stamina's hook may return seconds: its sync sleep is `time.sleep`,
which neither a SIGTERM nor a test can end (only its async twin takes another), its test mode is one switch for all
threads, and a renewed token needs a second attempt that is no retry. It also works by raising, and the frames of what
httpx raises hold the token.

Invariants: only errors of `etl.errors` leave; every message is one line, begins with the place and holds no secret;
nothing is chained to it.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Generic, NoReturn, Protocol, Required, TypedDict, TypeVar

import msgspec

from etl import __version__
from etl.boomplay import payloads
from etl.boomplay.address import service_address
from etl.boomplay.exchange import Request, Response, Transport
from etl.boomplay.faults import REMEDIES, postponed, to_exception
from etl.boomplay.rate_limit import limiter_for
from etl.boomplay.redact import Secret, redacted
from etl.boomplay.retry import Failure, FailureClass, FailureKind, Policy, Postpone, Renew, Retry
from etl.boomplay.waiting import CancelToken, Clock
from etl.errors import ApiRefused, ApiUnreachable, CredentialsError, PayloadError, SettingsError

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024 * 1024
_PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class TokenSource(Protocol):
    """Where a call gets its token from; used by several threads at once."""

    def token(self) -> str:
        """Return the token to use now.

        Raises: CredentialsError, ApiError.
        """

    def renew(self, rejected: str) -> str | None:
        """Return another token than the one that was rejected, None if there is none.

        Raises: CredentialsError, ApiError.
        """


class HttpOptions(TypedDict, total=False):
    """How to reach the service; the defaults are those of the settings.

    ``requests_per_second`` (0: no limit) holds for all requests of the app id in this process, ``timeout_seconds`` for
    one request from its start to its last byte. ``stop``, once set, ends every wait. ``token_codes`` and
    ``throttled_codes``: numbers in ``code`` that mean a bad token or too many requests. ``timing`` is for tests.
    """

    api_url: Required[str]
    app_id: Required[str]
    language: str
    timeout_seconds: float
    max_retries: int
    requests_per_second: float
    max_body_bytes: int
    park_after_seconds: float
    max_connections: int
    token_codes: frozenset[int]
    throttled_codes: frozenset[int]
    stop: threading.Event | None
    timing: Clock


class _Success(msgspec.Struct, Generic[T], frozen=True):
    value: T


class HttpClient:
    """Calls to one service under one app id; safe to share between threads.

    Raises: SettingsError, for options that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - one for each setting, by name
        self,
        *,
        api_url: str,
        app_id: str,
        language: str = "en",
        timeout_seconds: float = 30.0,
        max_retries: int = 5,
        requests_per_second: float = 10.0,
        max_body_bytes: int = MAX_BODY_BYTES,
        park_after_seconds: float = 60.0,
        max_connections: int = 10,
        token_codes: frozenset[int] = frozenset(),
        throttled_codes: frozenset[int] = frozenset(),
        stop: threading.Event | None = None,
        timing: Clock | None = None,
    ) -> None:
        if timeout_seconds <= 0 or max_retries < 0 or requests_per_second < 0:
            raise SettingsError("time-out, retries and requests per second may not be negative, nor the time-out 0")
        address = service_address(api_url)
        self.app_id = _header_value(app_id, "BOOMPLAY_APP_ID")
        self._language = _header_value(language, "FAVSYNC_LANGUAGE")
        self._halt = CancelToken(stop)
        self._timing = timing or Clock()
        self._wait = self._timing.wait or self._halt.wait
        self._limiter = limiter_for(address.origin, app_id, requests_per_second)
        self._policy = Policy(
            max_retries=max_retries,
            park_after_seconds=park_after_seconds,
            token_codes=token_codes,
            throttled_codes=throttled_codes,
        )
        self._exchange = Transport(
            address,
            timeout_seconds=timeout_seconds,
            max_body_bytes=max_body_bytes,
            max_connections=max_connections,
            halt=self._halt,
        )
        self._lock = threading.Lock()
        self._retries = 0

    @property
    def requests_by_status(self) -> dict[str, int]:
        """Requests sent so far, by HTTP status; ``none`` for those that got no answer."""
        return self._exchange.statuses()

    @property
    def requests(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return sum(self.requests_by_status.values())

    @property
    def retries(self) -> int:
        """Requests sent so far because an earlier one failed."""
        return self._retries

    def close(self) -> None:
        """Close all connections and end every wait; calls still under way fail."""
        self._halt.set()
        self._exchange.close()

    def call(self, call: Request, decode: Callable[[bytes], T], tokens: TokenSource | None = None) -> T:
        """Ask until there is an answer that ``decode`` reads, or no hope of one.

        Raises: ApiError (one of its four), CredentialsError.
        """
        token = Secret(tokens.token()) if tokens else None
        may_renew = tokens is not None
        tries = 0
        while True:
            tries += 1
            outcome = self._attempt(call, decode, token)
            if isinstance(outcome, _Success):
                return outcome.value
            verdict = self._policy.verdict(
                outcome, tries=tries, may_renew=may_renew, now=self._timing.now(), jitter=self._timing.jitter()
            )
            if isinstance(verdict, Retry):
                self._hold(call, outcome, verdict, tries)
            elif isinstance(verdict, Renew) and tokens and token:
                token = self._renewed(tokens, token, outcome)
                may_renew = False
            else:
                self._give_up(outcome, verdict.until if isinstance(verdict, Postpone) else None, tries)
            self._count_retry()

    def _attempt(self, call: Request, decode: Callable[[bytes], T], token: Secret | None) -> _Success[T] | Failure:
        self._take_turn(call)
        outcome = self._asked(call, decode, token)
        if isinstance(outcome, Failure):
            if self._halt.is_set():
                self._stop(call)
            secrets = (*call.secrets, _bare(token)) if token else call.secrets
            return replace(outcome, message=redacted(outcome.message, secrets))
        return outcome

    def _asked(self, call: Request, decode: Callable[[bytes], T], token: Secret | None) -> _Success[T] | Failure:
        answer = self._exchange.send(call, self._headers(token))
        if isinstance(answer, Failure):
            return answer
        if not answer.is_success:
            return _refusal(call, answer)
        try:
            return _Success(decode(answer.body))
        except payloads.InvalidJson as error:
            return Failure(FailureKind.GARBLED, error.message, answer.status, retry_after=answer.retry_after)
        except PayloadError as error:
            return Failure(FailureKind.UNREADABLE, error.message, answer.status)
        except ApiRefused as error:
            return Failure(FailureKind.ANSWER, error.message, answer.status, error.code, answer.retry_after)

    def _headers(self, token: Secret | None) -> dict[str, str]:
        """Return the documented headers (api 1); the token call has neither token nor app id."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Accept-Language": self._language,
            "Content-Type": "application/json",
            "User-Agent": f"favsync/{__version__}",
        }
        return headers if token is None else {"Authorization": _bearer(token), "app_id": self.app_id, **headers}

    def _take_turn(self, call: Request) -> None:
        self._refuse_if_parked(call)
        turn = self._limiter.take_turn(self._timing.monotonic())
        while (seconds := self._limiter.seconds_to(turn, self._timing.monotonic())) > 0:
            self._sleep(call, seconds)
            self._refuse_if_parked(call)
        if self._halt.is_set():
            self._stop(call)

    def _refuse_if_parked(self, call: Request) -> None:
        """Ask nothing while the service has told this app id, perhaps through another call, to stay away for long."""
        seconds = self._limiter.paused_seconds(self._timing.monotonic())
        if seconds > self._policy.park_after_seconds:
            until = self._timing.now() + timedelta(seconds=seconds)
            raise postponed(f"{call}: the service asked this app to wait", until)

    def _hold(self, call: Request, failure: Failure, verdict: Retry, tries: int) -> None:
        log.info(
            "%s; retry %d of %d in %.1f s", failure.message, tries, self._policy.max_retries, verdict.after_seconds
        )
        if verdict.is_shared:  # the wait itself comes with the next turn
            self._limiter.pause(self._timing.monotonic() + verdict.after_seconds)
        else:
            self._sleep(call, verdict.after_seconds)

    def _renewed(self, tokens: TokenSource, rejected: Secret, failure: Failure) -> Secret:
        fresh = tokens.renew(rejected)
        if not fresh or fresh == rejected:
            self._give_up(failure, None, 1)
        log.info("%s; trying again with a new token", failure.message)
        return Secret(fresh)

    def _give_up(self, failure: Failure, until: datetime | None, tries: int) -> NoReturn:
        message = failure.message + (f", {tries} times" if tries > 1 else "")
        if until is None:
            raise to_exception(failure, self._policy.meaning(failure), message)
        seconds = (until - self._timing.now()).total_seconds()
        self._limiter.pause(self._timing.monotonic() + seconds)
        raise postponed(message, until, failure.status)

    def _count_retry(self) -> None:
        with self._lock:
            self._retries += 1

    def _sleep(self, call: Request, seconds: float) -> None:
        if self._wait(seconds):
            self._stop(call)

    def _stop(self, call: Request) -> NoReturn:
        raise ApiUnreachable(f"{call}: stopped before there was an answer", remedy="run it again")


def _refusal(call: Request, answer: Response) -> Failure:
    code, words = payloads.error_body(answer.body)
    parts = [f"HTTP {answer.status}", f"code {code}" if code is not None else "", words]
    message = f"{call}: " + ": ".join(part for part in parts if part)
    return Failure(FailureKind.ANSWER, message, answer.status, code, answer.retry_after)


def _header_value(value: str, setting: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise SettingsError(
            f"{setting} is empty, or holds characters that no HTTP header may hold", remedy=f"set {setting}"
        )
    return value


def _bare(token: str) -> str:
    """Return the token alone; a pasted one may bring its own ``Bearer`` (api 8, row 21)."""
    return Secret(token[7:] if token[:7].lower() == "bearer " else token)


def _bearer(token: str) -> str:
    bare = _bare(token)
    if not _TOKEN.fullmatch(bare):
        message = "the access token is empty, or holds characters that no HTTP header may hold"
        raise CredentialsError(message, remedy=REMEDIES[FailureClass.TOKEN])
    return f"Bearer {bare}"

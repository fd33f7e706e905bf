from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from etl.boomplay.retry import (
    LONGEST_WAIT_SECONDS,
    Decision,
    Failure,
    FailureClass,
    GiveUp,
    Postpone,
    Renew,
    Retry,
    RetryPolicy,
    retry_after_seconds,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NETWORK = Failure("no connection", FailureClass.TRANSIENT)
GARBLED = Failure("a web page", FailureClass.GARBLED, 200)


def answer(status: int, code: int | None = None, retry_after: str | None = None) -> Failure:
    return Failure(f"HTTP {status}", None, status, code, retry_after)


def decision(failure: Failure, tries: int = 1, jitter: float = 1.0, may_renew: bool = True, **more: object) -> Decision:
    policy = RetryPolicy(**more)  # type: ignore[arg-type]
    return policy.decide(failure, tries=tries, may_renew=may_renew, now=NOW, jitter=jitter)


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (NETWORK, FailureClass.TRANSIENT),
        (Failure("certificate", FailureClass.DOWN), FailureClass.DOWN),
        (Failure("another shape", FailureClass.UNREADABLE, 500), FailureClass.UNREADABLE),
        (GARBLED, FailureClass.GARBLED),
        *[(answer(status), FailureClass.TRANSIENT) for status in (408, 500, 502, 503, 504)],
        *[(answer(status), FailureClass.DOWN) for status in (501, 505, 520)],
        *[(answer(status), FailureClass.REFUSED) for status in (300, 304, 400, 403, 404, 405, 410, 418, 422)],
        (answer(429), FailureClass.THROTTLED),
        (answer(401), FailureClass.TOKEN),
        (answer(200, code=1), FailureClass.REFUSED),
        (answer(200, code=11), FailureClass.TOKEN),
        (answer(403, code=11), FailureClass.TOKEN),
    ],
)
def test_each_failure_has_one_meaning(failure: Failure, meaning: FailureClass) -> None:
    assert RetryPolicy(token_codes=frozenset({11})).classify(failure) is meaning


def test_codes_have_no_meaning_unless_configured() -> None:
    assert decision(answer(200, code=401)) == decision(answer(200, code=429)) == GiveUp()


def test_backoff_doubles_up_to_its_cap_times_jitter() -> None:
    waits = [RetryPolicy().backoff_seconds(tries, 1.0) for tries in range(1, 10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert RetryPolicy().backoff_seconds(3, 0.25) == 0.5
    assert RetryPolicy().backoff_seconds(3, 0.0) == 0
    assert RetryPolicy().backoff_seconds(10_000, 1.0) == 30


@pytest.mark.parametrize("failure", [NETWORK, answer(500), answer(503), answer(408)])
def test_a_transient_failure_is_retried_up_to_the_limit(failure: Failure) -> None:
    assert [decision(failure, tries) for tries in (1, 5, 6)] == [Retry(0.5), Retry(8.0), GiveUp()]
    assert decision(failure, max_retries=0) == GiveUp()


def test_invalid_json_is_retried_twice() -> None:
    assert [decision(GARBLED, tries) for tries in (1, 2, 3)] == [Retry(0.5), Retry(1.0), GiveUp()]
    assert decision(GARBLED, 2, max_retries=1) == GiveUp()


@pytest.mark.parametrize("failure", [answer(403), answer(404, retry_after="86400"), answer(501), answer(200, code=5)])
def test_a_refusal_is_final(failure: Failure) -> None:
    assert decision(failure) == GiveUp()


def test_a_rejected_token_is_renewed_even_without_retries() -> None:
    assert decision(answer(401), max_retries=0) == Renew()
    assert decision(answer(401), may_renew=False) == GiveUp()


def test_throttling_delays_all_requests() -> None:
    assert decision(answer(429), jitter=0.5) == Retry(0.25, is_shared=True)
    assert decision(answer(429, retry_after="7")) == Retry(7.0, is_shared=True)
    assert decision(answer(503, retry_after="7")) == Retry(7.0, is_shared=True)


@pytest.mark.parametrize("retry_after", ["0", "-5", "-0", "0.0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_retry_after_zero_still_backs_off(retry_after: str) -> None:
    assert decision(answer(429, retry_after=retry_after), 4) == Retry(4.0, is_shared=True)


def test_retry_after_is_honoured_beyond_the_cap_of_the_backoff() -> None:
    assert decision(answer(429, retry_after="59"), jitter=0.0) == Retry(59.0, is_shared=True)


@pytest.mark.parametrize("tries", [1, 6])
def test_a_long_retry_after_parks_at_once(tries: int) -> None:
    assert decision(answer(429, retry_after="74214"), tries) == Postpone(NOW + timedelta(seconds=74214))
    assert decision(answer(503, retry_after="61"), tries) == Postpone(NOW + timedelta(seconds=61))
    assert decision(answer(429, retry_after="11"), tries, park_after_seconds=10) == Postpone(
        NOW + timedelta(seconds=11)
    )


def test_throttling_that_outlasts_the_retries_parks() -> None:
    assert decision(answer(429), 6) == Postpone(NOW + timedelta(seconds=60))
    assert decision(answer(429, retry_after="0"), 6) == Postpone(NOW + timedelta(seconds=60))


SECONDS = {
    None: None, "": None, "soon": None, "nan": None, "inf": None, "9" * 400: None, "Fri, 99 Jan 2026 03:05:05 GMT": None,
    "Fri, 02 Jan 99999 03:05:05 GMT": None, "12": 12.0, " 12 ": 12.0, "1.5": 1.5, "-3": 0.0,
    "99999999999999": LONGEST_WAIT_SECONDS, "Fri, 02 Jan 2026 03:05:05 GMT": 60.0, "Fri, 02 Jan 2026 03:05:05": 60.0,
    "Fri, 02 Jan 2026 04:05:05 +0100": 60.0, "Friday, 02-Jan-26 03:05:05 GMT": 60.0, "Fri, 02 Jan 2026 03:04:00 GMT": 0.0,
    "Fri, 31 Dec 9999 23:59:59 GMT": LONGEST_WAIT_SECONDS,
}  # fmt: skip


@pytest.mark.parametrize(("retry_after", "seconds"), SECONDS.items())
def test_retry_after_is_seconds_or_a_date(retry_after: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(retry_after, NOW) == seconds

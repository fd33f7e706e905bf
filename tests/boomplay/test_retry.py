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


MEANINGS = {
    FailureClass.TRANSIENT: [NETWORK, *(answer(status) for status in (408, 500, 502, 503, 504))],
    FailureClass.DOWN: [Failure("certificate", FailureClass.DOWN), *(answer(status) for status in (501, 505, 520))],
    FailureClass.UNREADABLE: [Failure("another shape", FailureClass.UNREADABLE, 500)],
    FailureClass.GARBLED: [GARBLED],
    FailureClass.THROTTLED: [answer(429)],
    FailureClass.TOKEN: [answer(401), answer(200, code=11), answer(403, code=11)],
    FailureClass.REFUSED: [
        *(answer(status) for status in (300, 304, 400, 403, 404, 405, 410, 418, 422)),
        *(answer(200, code=code) for code in (1, 401, 429)),  # a code has no meaning unless it is configured
    ],
}


@pytest.mark.parametrize(("meaning", "failures"), MEANINGS.items())
def test_each_failure_has_one_meaning(meaning: FailureClass, failures: list[Failure]) -> None:
    policy = RetryPolicy(token_codes=frozenset({11}))
    assert [policy.classify(failure) for failure in failures] == [meaning] * len(failures)


def test_backoff_doubles_up_to_its_cap_times_jitter() -> None:
    waits = [RetryPolicy().backoff_seconds(tries, 1.0) for tries in range(1, 10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert RetryPolicy().backoff_seconds(3, 0.25) == 0.5
    assert RetryPolicy().backoff_seconds(3, 0.0) == 0
    assert RetryPolicy().backoff_seconds(10_000, 1.0) == 30


def later(seconds: float) -> Postpone:
    return Postpone(NOW + timedelta(seconds=seconds))


def shared(seconds: float) -> Retry:
    return Retry(seconds, is_shared=True)


DECISIONS = {
    "transient": [(answer(503), 1, Retry(0.5)), (NETWORK, 5, Retry(8.0)), (answer(408), 6, GiveUp())],
    "invalid JSON": [(GARBLED, 1, Retry(0.5)), (GARBLED, 2, Retry(1.0)), (GARBLED, 3, GiveUp())],
    "refusal": [(answer(404, retry_after="9"), 1, GiveUp()), (answer(501), 1, GiveUp()), (answer(200, 5), 1, GiveUp())],
    "token": [(answer(401), 1, Renew()), (answer(401), 9, Renew())],
    "throttling": [(answer(429), 1, shared(0.5)), (answer(429, retry_after="59"), 1, shared(59.0))],
    "throttling to the end": [(answer(429), 6, later(60)), (answer(429, retry_after="0"), 6, later(60))],
    "asked to wait": [(answer(503, retry_after="7"), 1, shared(7.0)), (answer(500, retry_after="7"), 6, GiveUp())],
    "asked to wait for nothing": [
        (answer(429, retry_after=text), 4, shared(4.0))
        for text in ("0", "-5", "-0", "0.0", "Thu, 01 Jan 1970 00:00:00 GMT")
    ],
    "asked to wait for long": [
        (answer(429, retry_after="74214"), 1, later(74214)),
        (answer(429, retry_after="74214"), 6, later(74214)),
        (answer(503, retry_after="61"), 1, later(61)),
    ],
}


@pytest.mark.parametrize("decisions", DECISIONS.values(), ids=DECISIONS)
def test_the_meaning_and_the_number_of_tries_decide(decisions: list[tuple[Failure, int, Decision]]) -> None:
    assert [decision(failure, tries) for failure, tries, _ in decisions] == [wanted for _, _, wanted in decisions]


def test_the_limits_of_the_policy_count() -> None:
    assert decision(NETWORK, max_retries=0) == GiveUp()
    assert decision(GARBLED, 2, max_retries=1) == GiveUp()
    assert decision(answer(401), max_retries=0) == Renew()
    assert decision(answer(401), may_renew=False) == GiveUp()
    assert decision(answer(429), jitter=0.5) == shared(0.25)
    assert decision(answer(429, retry_after="11"), park_after_seconds=10) == later(11)


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

"""The state of a token after each answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from etl.accounts.token_rows import (
    CONFIRM_AFTER,
    TokenLocation,
    TokenRow,
    TokenStatus,
    accepted,
    displayed_status,
    refused,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROW = TokenRow(account_id=1, place=TokenLocation.DATABASE, secret=b"x", updated_at=NOW)
SECOND = timedelta(seconds=1)


def test_one_refusal_is_suspect_and_a_later_one_dead() -> None:
    once = refused(ROW, "unknown", NOW)
    assert (once.state, once.reason, once.suspect_since) == (TokenStatus.SUSPECT, "unknown", NOW)
    at_once = refused(once, "unknown", NOW + CONFIRM_AFTER - SECOND)
    assert at_once.state is TokenStatus.SUSPECT
    later = refused(at_once, "revoked", NOW + CONFIRM_AFTER)
    assert (later.state, later.reason, later.secret) == (TokenStatus.DEAD, "revoked", b"x")


def test_a_widespread_refusal_is_only_suspect() -> None:
    once = refused(ROW, "unknown", NOW)
    assert refused(once, "unknown", NOW + timedelta(hours=5), is_widespread=True).state is TokenStatus.SUSPECT


def test_an_expired_token_is_dead_at_its_first_refusal() -> None:
    over = replace(ROW, expires_at=NOW - SECOND)
    assert refused(over, "expired", NOW, is_widespread=True).state is TokenStatus.DEAD
    assert refused(replace(ROW, expires_at=NOW + SECOND), "expired", NOW).state is TokenStatus.SUSPECT


def test_an_accepted_token_is_valid_even_if_it_was_dead() -> None:
    dead = refused(refused(ROW, "unknown", NOW), "unknown", NOW + CONFIRM_AFTER)
    again = accepted(dead, NOW + timedelta(hours=1))
    assert (again.state, again.reason, again.suspect_since) == (TokenStatus.VALID, None, None)
    assert refused(again, "unknown", NOW + timedelta(hours=2)).state is TokenStatus.SUSPECT


def test_a_token_near_its_end_is_expiring_unless_renewable() -> None:
    soon = replace(ROW, expires_at=NOW + timedelta(hours=2))
    assert displayed_status(soon, NOW) == "expiring"
    assert displayed_status(replace(soon, is_renewable=True), NOW) == "valid"
    assert displayed_status(replace(soon, expires_at=NOW + timedelta(days=3)), NOW) == "valid"
    assert displayed_status(replace(soon, state=TokenStatus.DEAD), NOW) == "dead"

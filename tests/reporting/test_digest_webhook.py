"""A digest as a webhook takes it: by the kind of receiver, short enough, and without power over the chat."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from etl.reporting.digest import Digest
from etl.reporting.digest_webhook import CHAT_ROOM, DISCORD_ROOM, payload
from etl.settings import DIGEST_FORMATS

THEN = datetime(2026, 3, 1, 6, tzinfo=UTC)
HOSTILE = "<!channel> @everyone [x](https://evil.invalid) **a** `b` & c"


def added(count: int, title: str = "A title of the usual length, number {}") -> list[dict[str, Any]]:
    row = {"artists": "Somebody", "change": "added", "not_before": THEN, "changed_at": THEN, "run_id": 2}
    return [row | {"track_id": number, "title": title.format(number)} for number in range(count)]


def digest_of(**found: Any) -> Digest:
    return Digest(account="ada", since=THEN, until=THEN, favourites=12, **found)


@pytest.mark.parametrize("kind", DIGEST_FORMATS)
def test_every_format_that_may_be_set_has_a_body(kind: str) -> None:
    content_type, body = payload(kind, digest_of(added=added(1)))
    assert content_type.endswith("; charset=utf-8")
    assert "number 0" in body.decode()


def test_a_chat_is_given_text_and_discord_content() -> None:
    digest = digest_of(added=added(2), removed=added(1))
    text = json.loads(payload("chat", digest)[1])["text"]
    assert text.startswith(
        "*ada: 2 added, 1 removed since 2026-03-01 06:00 UTC; 12 favourites now*\n\n*Added (2)*\n• A title"
    )
    content = json.loads(payload("discord", digest)[1])
    assert content["content"].startswith("**ada: 2 added")
    assert content["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize(("kind", "field", "room"), [("chat", "text", CHAT_ROOM), ("discord", "content", DISCORD_ROOM)])
def test_a_message_that_is_too_long_ends_at_a_whole_line_and_says_so(kind: str, field: str, room: int) -> None:
    digest = digest_of(added=added(20), back=added(20), removed=added(20))
    message = json.loads(payload(kind, digest)[1])[field]
    assert len(message) <= room
    *_, last, end = message.splitlines()
    assert end.startswith("… and more")
    assert last.endswith(")")


@pytest.mark.parametrize(("kind", "field"), [("chat", "text"), ("discord", "content")])
def test_a_title_mentions_nobody_and_is_no_markup(kind: str, field: str) -> None:
    message = json.loads(payload(kind, digest_of(added=added(1, HOSTILE)))[1])[field]
    assert "@everyone" not in message
    assert "<!channel>" not in message
    assert "**a**" not in message
    assert "[x](https" not in message

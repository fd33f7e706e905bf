"""Digests in each format, and as the requests that webhooks receive."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.reporting.digest import Digest
from etl.reporting.digest_text import MAX_CHAT, MAX_DISCORD, MAX_LINES, digest_fields, digest_text, payload
from etl.reporting.render import json_text
from etl.settings import DIGEST_FORMATS

FORMATS = ("text", "markdown", "html")
AT, BEFORE = datetime(2026, 3, 2, 6, tzinfo=UTC), datetime(2026, 3, 1, 6, tzinfo=UTC)
HOSTILE_CHAT = "<!channel> @everyone [x](https://evil.invalid) **a** `b` & c"
HOSTILE = "<b>*x*</b>\x1b[2J | [y](javascript:z)\u202e\nnext"


def change(track_id: int, **fields: Any) -> dict[str, Any]:
    return {
        "track_id": track_id,
        "title": f"Title {track_id}",
        "artists": "Somebody",
        "not_before": BEFORE,
        "changed_at": AT,
        "removal_reason": None,
    } | fields


def digest(**fields: Any) -> Digest:
    return Digest(**{"account": "ada", "since": BEFORE, "until": AT, "favourites": 12} | fields)


@pytest.mark.parametrize("name", FORMATS)
def test_each_section_is_written_with_both_bounds(name: str) -> None:
    words = digest_text(
        digest(
            added=[change(1)],
            back=[change(2)],
            removed=[change(3, title=None, removal_reason="withdrawn")],
            missing=[{"missing_since": AT, "tracks": 3}, {"missing_since": BEFORE, "tracks": 1}],
            newly_missing=3,
            there=7,
            lost=[change(4, region="NG", since=AT)],
            facts=[{"field": "title", "old_value": "Old", "new_value": None, "changed_at": AT}],
            troubles=[{"run_id": 9, "outcome": "failed", "reason": "away", "started_at": AT}],
            held=(11, 40),
        ),
        name,
    )
    for expected in (
        "1 added, 1 back, 1 removed, 3 missing since 2026-03-01 06:00 UTC; 12 favourites now",
        "between 2026-03-01 06:00 UTC and 2026-03-02 06:00 UTC",
        "track 3",
        "2026-03-02 06:00 UTC, withdrawn by Boomplay",
        "3 tracks are missing since 2026-03-02 06:00 UTC",
        "1 track is missing since 2026-03-01 06:00 UTC",
        "7 favourites were there",
        "No longer playable in NG",
        "title: Old → nothing",
        "run 9 failed",
        "40 removals seen by run 11",
    ):
        assert expected in words


def test_held_removals_come_first() -> None:
    words = digest_text(digest(held=(11, 40), added=[change(1)]), "text")
    assert words.index("Waiting for approval") < words.index("Added")


def test_a_hostile_title_stays_text_in_each_format() -> None:
    hostile = digest(added=[change(1, title=HOSTILE, artists=HOSTILE)])
    text, markdown, html = (digest_text(hostile, name) for name in ("text", "markdown", "html"))
    assert "\x1b" not in text + markdown + html
    assert "\u202e" not in text + markdown + html
    assert "\nnext" not in text
    assert "<b>" not in markdown + html
    assert r"\*x\*" in markdown
    assert r"\[y\]" in markdown


@pytest.mark.parametrize("name", FORMATS)
def test_a_long_list_is_cut_with_the_number_left_out(name: str) -> None:
    words = digest_text(digest(added=[change(number) for number in range(MAX_LINES + 1_005)]), name)
    assert "and 1,005 more" in words
    assert words.count("Title ") == MAX_LINES


def test_mail_groups_changes_by_look_under_its_numbers() -> None:
    later = {"not_before": AT, "changed_at": AT + timedelta(days=1)}
    words = digest_text(
        digest(added=[change(1), change(2, **later)], removed=[change(3)], held=(11, 40), troubles=[]), "html"
    )
    order = (
        ">+2<",
        ">−1<",
        "Waiting for approval",
        "Look of 2026-03-03",
        "Title 2",
        "Look of 2026-03-02",
        "Title 1",
        "Title 3",
    )
    places = [words.index(each) for each in order]
    assert places == sorted(places)
    assert words.count("Look of") == 2


def test_mail_has_inline_styles_and_nothing_from_elsewhere() -> None:
    words = digest_text(digest(added=[change(1)], there=3), "html")
    assert not re.search(r"<(style|script|link|img)|https?:|url\(|class=", words)
    assert all("style=" in tag for tag in re.findall(r"<(?:div|h2|h3|p|ul|li|b|span)\b[^>]*>", words))


def test_json_has_all_fields_and_instants_end_in_z() -> None:
    fields = digest_fields(digest(added=[change(1)], held=(11, 40)))
    assert fields["held"] == {"run_id": 11, "removals": 40}
    assert '"changed_at": "2026-03-02T06:00:00.000000Z"' in json_text(fields)


def test_content_is_more_than_changes_of_favourites() -> None:
    assert not digest().has_content
    assert digest(held=(1, 2)).has_content
    assert not digest(held=(1, 2)).has_changes
    assert digest(newly_missing=1).has_content
    assert not digest(missing=[{"missing_since": AT, "tracks": 3}]).has_content
    assert digest(there=1).has_changes


def added(count: int, title: str = "A title of the usual length, number {}") -> list[dict[str, Any]]:
    row = {
        "artists": "Somebody",
        "change": "added",
        "not_before": BEFORE,
        "changed_at": BEFORE,
        "run_id": 2,
        "removal_reason": None,
    }
    return [row | {"track_id": number, "title": title.format(number)} for number in range(count)]


@pytest.mark.parametrize("kind", DIGEST_FORMATS)
def test_every_format_of_the_settings_has_a_body(kind: str) -> None:
    content_type, body = payload(kind, digest(added=added(1)))
    assert content_type.endswith("; charset=utf-8")
    assert "number 0" in body.decode()


def test_a_chat_receives_text_and_discord_content() -> None:
    long = digest(added=added(2), removed=added(1))
    text = json.loads(payload("chat", long)[1])["text"]
    assert text.startswith(
        "*ada: 2 added, 1 removed since 2026-03-01 06:00 UTC; 12 favourites now*\n\n*Added (2)*\n• A title"
    )
    content = json.loads(payload("discord", long)[1])
    assert content["content"].startswith("**ada: 2 added")
    assert content["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize(("kind", "field", "limit"), [("chat", "text", MAX_CHAT), ("discord", "content", MAX_DISCORD)])
def test_a_message_that_is_too_long_ends_with_a_whole_line(kind: str, field: str, limit: int) -> None:
    long = digest(added=added(20), back=added(20), removed=added(20))
    message = json.loads(payload(kind, long)[1])[field]
    assert len(message) <= limit
    *_, last, end = message.splitlines()
    assert end.startswith("… and more")
    assert last.endswith(")")


@pytest.mark.parametrize(("kind", "field"), [("chat", "text"), ("discord", "content")])
def test_a_title_is_no_mention_and_no_markup(kind: str, field: str) -> None:
    message = json.loads(payload(kind, digest(added=added(1, HOSTILE_CHAT)))[1])[field]
    assert "@everyone" not in message
    assert "<!channel>" not in message
    assert "**a**" not in message
    assert "[x](https" not in message

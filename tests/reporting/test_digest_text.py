"""A digest in words: in each format what came from the database stays text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from etl.reporting.digest import Digest
from etl.reporting.digest_text import SHOWN, WORDS, digest_fields
from etl.reporting.render import json_text

AT, BEFORE = datetime(2026, 3, 2, 6, tzinfo=UTC), datetime(2026, 3, 1, 6, tzinfo=UTC)
HOSTILE = "<b>*x*</b>\x1b[2J | [y](javascript:z)\u202e\nnext"


def change(track_id: int, **fields: Any) -> dict[str, Any]:
    return {
        "track_id": track_id,
        "title": f"Title {track_id}",
        "artists": "Somebody",
        "not_before": BEFORE,
        "changed_at": AT,
    } | fields


def digest(**fields: Any) -> Digest:
    return Digest(**{"account": "ada", "since": BEFORE, "until": AT, "favourites": 12} | fields)


@pytest.mark.parametrize("name", WORDS)
def test_each_part_is_told_with_both_ends_of_its_time(name: str) -> None:
    words = WORDS[name](
        digest(
            added=[change(1)],
            back=[change(2)],
            removed=[change(3, title=None)],
            there=7,
            lost=[change(4, region="NG", since=AT)],
            facts=[{"field": "title", "old_value": "Old", "new_value": None, "changed_at": AT}],
            troubles=[{"run_id": 9, "outcome": "failed", "reason": "away", "started_at": AT}],
            held=(11, 40),
        )
    )
    for expected in (
        "1 added, 1 back, 1 removed since 2026-03-01 06:00 UTC; 12 favourites now",
        "between 2026-03-01 06:00 UTC and 2026-03-02 06:00 UTC",
        "track 3",
        "7 favourites were there",
        "No longer playable in NG",
        "title: Old → nothing",
        "run 9 failed",
        "40 removals seen by run 11",
    ):
        assert expected in words


def test_the_most_urgent_comes_first() -> None:
    words = WORDS["text"](digest(held=(11, 40), added=[change(1)]))
    assert words.index("Waiting for your word") < words.index("Added")


def test_a_hostile_title_is_text_in_each_format() -> None:
    hostile = digest(added=[change(1, title=HOSTILE, artists=HOSTILE)])
    text, markdown, html = (WORDS[name](hostile) for name in ("text", "markdown", "html"))
    assert "\x1b" not in text + markdown + html
    assert "\u202e" not in text + markdown + html
    assert "\nnext" not in text
    assert "<b>" not in markdown + html
    assert r"\*x\*" in markdown
    assert r"\[y\]" in markdown


@pytest.mark.parametrize("name", WORDS)
def test_a_long_list_is_cut_and_says_how_much_is_left_out(name: str) -> None:
    words = WORDS[name](digest(added=[change(number) for number in range(SHOWN + 1_005)]))
    assert "and 1,005 more" in words
    assert words.count("Title ") == SHOWN


def test_json_has_everything_with_instants_that_end_in_z() -> None:
    fields = digest_fields(digest(added=[change(1)], held=(11, 40)))
    assert fields["held"] == {"run_id": 11, "removals": 40}
    assert '"changed_at": "2026-03-02T06:00:00.000000Z"' in json_text(fields)


def test_news_is_whatever_there_is_to_tell_and_changes_are_those_of_the_favourites() -> None:
    assert not digest().has_news
    assert digest(held=(1, 2)).has_news
    assert not digest(held=(1, 2)).has_changes
    assert digest(there=1).has_changes

"""The HTML report without a browser: numbers, packing, and the Content Security Policy."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

from sqlalchemy import Connection, text

from etl.reporting.html.account import _passport, account_report
from etl.reporting.html.files import ASSETS
from etl.reporting.html.packing import packed_links, packed_stays
from etl.reporting.html.page import SCRIPTS, escaped, page
from etl.reporting.html.static import playing_time, summary_line
from etl.reporting.html.trends import Stay, Trends


def on(year: int, month: int, day: int = 1) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


class Parsed(HTMLParser):
    """The elements of a page that matter for its safety."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}", {}, ""))

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        """Return attributes and text of the elements ``tag``."""
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def test_a_series_counts_favourites_at_the_end_of_each_month() -> None:
    stays = [Stay(1, on(2025, 1), None), Stay(2, on(2025, 2), on(2025, 4)), Stay(3, on(2026, 3, 9), None)]
    trends = Trends(stays, on(2026, 3, 10))
    series = trends.series({1: [7], 2: [7, 8], 3: [8]})
    assert trends.months[0] == date(2025, 1, 1)
    assert trends.months[-1] == date(2026, 3, 1)
    assert series[7].by_month == [1, 2, 2, *[1] * 12]
    assert series[8].by_month == [0, 1, 1, *[0] * 11, 1]
    assert (series[7].year_ago, series[8].year_ago) == (2, 1)


def test_a_short_history_is_compared_with_its_start() -> None:
    trends = Trends([Stay(1, on(2026, 3, 1), None), Stay(2, on(2026, 3, 5), None)], on(2026, 3, 10))
    assert trends.year_ago == on(2026, 3, 1)
    assert trends.series({1: [7], 2: [7]})[7].year_ago == 1


def test_no_history_has_no_months() -> None:
    trends = Trends([], None)
    assert (trends.months, trends.year_ago, trends.series({})) == ([], None, {})


def row(track_id: int, **fields: Any) -> dict[str, Any]:
    names = (
        "title artists album genres duration_seconds market_count valid_from added_after valid_to removed_after web_url"
    )
    return dict.fromkeys(names.split()) | {"track_id": track_id, "valid_from": on(2026, 1)} | fields


def test_texts_and_instants_are_packed_once_each() -> None:
    current = [row(1, artists="A"), row(2, artists="A", album="A"), row(3)]
    packed = packed_stays(current, [row(4, artists="B", valid_to=on(2026, 2)), row(5, valid_to=on(2026, 3))], limit=1)
    assert packed["texts"] == ["A"]
    assert packed["instants"] == [round(on(2026, 1).timestamp()), round(on(2026, 3).timestamp())]
    assert [each[0] for each in packed["rows"]] == [1, 2, 3, 5]
    assert packed["rows"][1][:5] == [2, None, 0, 0, None]
    assert packed["rows"][3][-2:] == [1, None]
    assert packed["ended"] == 2


def test_missing_and_reason_are_packed_where_they_are_known() -> None:
    current = [row(1, artists="A", missing_since=on(2026, 2)), row(2)]
    ended = [row(3, valid_to=on(2026, 3), removal_reason="withdrawn"), row(4, valid_to=on(2026, 2))]
    packed = packed_stays(current, ended, limit=9)
    assert packed["texts"] == ["A", "withdrawn"]
    assert [each[11:] for each in packed["rows"]] == [[1, None], [], [None, 1], []]
    assert packed["instants"][1] == round(on(2026, 2).timestamp())


def test_similar_urls_are_packed_as_a_pattern() -> None:
    links = packed_links({1: "https://w/1?x", 2: "https://w/2?x", 3: "https://elsewhere/", 4: None})
    assert links == {"before": "https://w/", "after": "?x", "others": {"3": "https://elsewhere/", "4": None}}
    assert packed_links({}) == {"before": "", "after": "", "others": {}}


def test_the_report_counts_missing_tracks_and_has_reasons(seeded: Connection) -> None:
    report = account_report(seeded, "ada")
    sql = {
        "missing": "SELECT count(*) FROM favourites WHERE account_id = 1 AND missing_since IS NOT NULL",
        "added": "SELECT count(*) FROM favourites WHERE account_id = 1 AND added_after IS NOT NULL",
        "removed": "SELECT count(*) FROM favourites WHERE account_id = 1 AND valid_to IS NOT NULL",
    }
    assert {name: report["summary"][name] for name in sql} == {
        name: seeded.execute(text(query)).scalar_one() for name, query in sql.items()
    }
    assert report["summary"]["missing_since"] == min(
        row["changed_at"] for row in report["changes"]["rows"] if row["change"] == "missing"
    )
    packed = report["tracks"]
    reasons = Counter(packed["texts"][each[12]] for each in packed["rows"] if each[12:] and each[12] is not None)
    by_reason = (
        "SELECT removal_reason, count(*) FROM favourites WHERE account_id = 1 AND valid_to IS NOT NULL GROUP BY 1"
    )
    assert reasons == dict(seeded.execute(text(by_reason)).all())


def known(report: dict[str, Any], **summary: Any) -> dict[str, Any]:
    return report | {"summary": report["summary"] | summary}


def test_the_top_is_html_with_escaped_values(seeded: Connection) -> None:
    report = account_report(seeded, "ada")
    name = "<b onclick='x'>\"&"
    hostile = report | {"account": report["account"] | {"name": name}}
    html = page({"accounts": [hostile], "made_at": on(2026, 1), "version": "1"})
    parsed = Parsed(html)
    assert "b" not in {tag for tag, _, _ in parsed.found}
    meta = {at.get("property"): at.get("content") for at, _ in parsed.of("meta")}
    assert meta["og:title"] == f"{name}: favourites"
    assert meta["og:description"] == summary_line(report)


def test_an_unknown_playing_time_is_not_zero(seeded: Connection) -> None:
    report = account_report(seeded, "ada")
    sums = "SELECT sum(duration_seconds), count(duration_seconds) FROM report_current_favourites WHERE account = 'ada'"
    seconds, durations = seeded.execute(text(sums)).one()
    assert (report["summary"]["seconds"], report["summary"]["known_durations"]) == (seconds, durations)
    assert report["summary"]["playing_time"] == (f"{seconds / 3600:.1f}", "hours")
    part = known(report, known_durations=1, seconds=60)
    assert playing_time(part["summary"]) == ("1", "minute")
    assert "at least 1 minute of music" in summary_line(part)
    nothing = known(report, known_durations=0, seconds=0)
    assert playing_time(nothing["summary"]) is None
    assert "music" not in summary_line(nothing)


def test_no_value_can_end_the_script_element() -> None:
    report = {"title": "</script><script>bad()</script><!--", "a": "&amp;", "accounts": []}
    parsed = Parsed(page(report | {"made_at": on(2026, 1), "version": "1"}))
    (text,) = [text for attributes, text in parsed.of("script") if attributes.get("id") == "report"]
    assert json.loads(text)["title"] == report["title"]
    assert json.loads(escaped(json.dumps(report))) == report
    assert len(parsed.of("script")) == len(SCRIPTS) + 2


def test_the_policy_allows_only_the_hashes_of_the_page() -> None:
    parsed = Parsed(page({"accounts": [], "made_at": on(2026, 1), "version": "1"}))
    (policy,) = [
        at["content"] or "" for at, _ in parsed.of("meta") if at.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    for element, name in (("script", "script-src"), ("style", "style-src")):
        texts = [text for attributes, text in parsed.of(element) if attributes.get("type") != "application/json"]
        hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts}
        assert set(rules[name].split()) == hashes


def test_the_markup_has_no_handler_style_or_remote_file() -> None:
    parsed = Parsed(page({"accounts": [], "made_at": on(2026, 1), "version": "1"}))
    for tag, attributes, _ in parsed.found:
        assert not {name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")}, tag
        assert (attributes.get("href") or "#").startswith("#"), tag


def test_our_scripts_never_parse_text_as_markup() -> None:
    ours = [path for path in ASSETS.glob("*.js") if not path.name.endswith(".min.js")]
    assert len(ours) == len(SCRIPTS) - 2 + 1  # and that of the overview
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.html\(|\beval\b|new Function|srcdoc"
    )
    assert [path.name for path in ours if forbidden.search(path.read_text(encoding="utf-8"))] == []


def test_a_passport_counts_countries_of_known_recording_codes(seeded: Connection) -> None:
    codes = ("QZABC2500001", "USABC2500002", "UKABC2500003", "NGABC2500004", None, "12ABC", "ZZABC2500005")
    found = _passport(seeded, [{"isrc": code} for code in codes])
    assert found["known"] == 5
    assert [each[::2] for each in found["countries"]] == [["US", 2], ["GB", 1], ["NG", 1], ["ZZ", 1]]
    assert {each[1] is None for each in found["countries"] if each[0] == "ZZ"} == {True}

"""What the readers make of a file: every form that people have, exact bytes, places of errors."""

from __future__ import annotations

import json

import pytest

from etl.backfill.import_files import parse_file
from tests.support.lists import item

BODY = '{"desc":null,"code":0,"counts":2,"data":[{"track_id":1,"track_title":"Ọmọ"},{"track_id":2}]}'


def parse(content: bytes | str, name: str = "x.json"):
    return parse_file(content if isinstance(content, bytes) else content.encode(), name, "x")


def ids(content: bytes | str, name: str = "x.json") -> list[int | None]:
    return [each.track_id for each, _ in parse(content, name).entries]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (BODY, "body.json"),
        (f"\ufeff  {BODY}\n", "bom.json"),
        (json.dumps(json.loads(BODY), indent=2), "pretty.json"),
        ('[{"track_id":1},{"track_id":2}]', "list.json"),
        ("[1, 2]", "ids.json"),
        ('["1", "2"]', "texts.json"),
        ('{"track_id":1}\n\n{"track_id":"2"}\n', "lines.jsonl"),
        ('{"track_id":1}\n{"track_id":2}\n', "lines.json"),
        ("1\n2\n", "ids.jsonl"),
        ('"1"\n"2"\n', "texts.json"),
        (f"[{BODY}]", "bodies.json"),
        ('{"code":0,"data":[{"track_id":1}]}\n{"code":0,"data":[{"track_id":2}]}\n', "pages.jsonl"),
        ('{"code":0,"data":[\n{"track_id":1}]}\n{"code":0,"data":[\n{"track_id":2}]}\n', "pretty-pages.json"),
        ('{"data":[{"track_id":1}]}{"data":[{"track_id":2}]}', "pages.json"),
        ("[1][2]", "lists.json"),
        ('{"exported_at":"2025-11-03T10:00:00Z","tracks":[{"track_id":1},{"track_id":2}]}', "tracks.json"),
        ('track_id,title\r\n1,One\r\n2,"Two, with a comma"\r\n', "x.csv"),
        ("title;Track ID\nOne;1\nTwo;2\n", "semicolons.csv"),
        ("trackId\ttitle\n1\tOne\n2\tTwo\n", "tabs.tsv"),
        ("\n1\n2\n", "bare.txt"),
        ("id\n1\n2\n", "id.csv"),
        ("track_id,title\n1,a\u2028b\x0bc\n2,d\n", "separators-in-a-title.csv"),
    ],
)
def test_every_form_is_read(content, name):
    assert ids(content, name) == [1, 2]
    assert not parse(content, name).problems
    assert not parse(content, name).is_partial


def test_an_items_bytes_are_kept_as_they_were_written():
    odd = b'{"track_id" : 1,  "track_title":"\\ud800 \xc3\x28"}'
    (entry,) = parse(b'{"code":0,"data":[ ' + odd + b" ]}").entries
    assert entry[0].body == odd
    (plain,) = parse(b"[" + item(7).body + b"]").entries
    assert plain[0] == item(7)


def test_an_id_alone_is_the_same_item_in_every_form():
    forms = [("[5]", "a.json"), ("track_id\n5\n", "a.csv"), ("5\n", "a.txt"), ('["5"]', "b.json"), ("5.0\n", "a.csv")]
    assert {parse(*form).entries[0][0].body for form in forms} == {b'{"track_id":5}'}


@pytest.mark.parametrize(
    ("content", "tracks", "place"),
    [
        (BODY[: BODY.index(',{"track_id":2}') + 8], [1], "byte 81"),
        ('{"data":[{"track_id":1},{"track_id":2}],"coun', [1, 2], "byte 40"),
        ('{"data":[{"track_id":1},{"track_id":2}],"counts":200', [1, 2], "byte 52"),
        ('{"data":[{"track_id":1},{"track_id":2}]', [1, 2], "byte 39"),
        ('[{"data":[{"track_id":1}]},{"data":[{"track_id":2},{"track_id":', [1, 2], "byte 63"),
        ('{"data":[\n1, 2]}\n{"data":[{"track_i', [1, 2], "byte 27"),
        ("[1, 2], and so on", [1, 2], "byte 6"),
        ("[1, 2]]", [1, 2], "byte 6"),
        ("[1, 2,]", [1, 2], "byte 6"),
        ("[1, 2 3, 4]", [1], "byte 6"),
        ("\ufeff[1, 2 3, 4]", [1], "byte 9"),
        ('["Ọmọ", 1, 2', [None, 1], "byte 16"),
        ('[1, {2: 3}, 4]', [1], "byte 5"),
        ('[1, {"a" 3}, 4]', [1], "byte 9"),
        ("{broken", [], "byte 1"),
    ],
)  # fmt: skip
def test_broken_json_is_read_up_to_the_named_byte(content, tracks, place):
    found = parse(content)
    assert [each.track_id for each, _ in found.entries] == tracks
    assert (found.is_partial, found.problems[-1].place) == (True, place)


def test_a_broken_line_is_kept_and_named_and_the_others_are_read():
    found = parse('{"track_id":1}\n{"track_id":2,\n{"track_id":3}\n', "x.jsonl")
    assert [each.track_id for each, _ in found.entries] == [1, None, 3]
    assert found.entries[1][0].body == b'{"track_id":2,'
    assert str(found.problems[0]) == "x: line 2: is not JSON"
    assert not found.is_partial, "nothing else can be missing"


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "1e3", "true", "null", '"x"', "9223372036854775808", "{}", "[1]"])
def test_an_entry_without_a_usable_id_is_kept_as_unknown(value):
    found = parse(f'[{{"track_id":7}},{{"track_id":{value}}},{value}]')
    assert [each.track_id for each, _ in found.entries] == [7, None, None]
    assert [problem.place for problem in found.problems] == ["byte 16", f"byte {30 + len(value)}"]
    assert found.entries[1][0].body == f'{{"track_id":{value}}}'.encode()


def test_a_row_that_is_not_read_is_kept_byte_for_byte():
    found = parse('track_id,title\n1,"two\nlines"\nabc,"y"\n\n3,z\n', "x.csv")
    assert [each.track_id for each, _ in found.entries] == [1, None, 3]
    assert found.entries[1][0].body == b'abc,"y"'
    assert str(found.problems[0]) == "x: line 4: 'abc' is not a track id"


def test_rows_after_a_quote_out_of_place_are_read():
    found = parse('track_id,title\n1,"never closed\n2,b\n3,"closed"\n4,"in "the" middle"\n5,"e\n', "x.csv")
    assert [each.track_id for each, _ in found.entries] == [None, 2, 3, None, None]
    assert [problem.place for problem in found.problems] == ["line 2", "line 5", "line 6"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "neither JSON"),
        (b'{"code":40001,"desc":"bad token"}', "code 40001"),
        (b'{"code":1,"data":[{"track_id":1}]}', "code 1"),
        (b'{"code":0,"data":{"user_id":"x"}}', "no list of tracks"),
        (b"name,age\nann,5\n", "no column track_id"),
        (b"sep=;\n", "no rows"),
    ],
)
def test_a_file_that_is_no_export_says_why(content, fault):
    found = parse_file(content, "x.json")
    assert fault in str(found.problems[0])
    assert not [each for each, _ in found.entries if each.track_id is not None]


def test_a_time_is_that_of_the_row_the_page_or_the_file():
    def times(found):
        return [instant and f"{instant:%m-%dT%H}" for _, instant in found.entries]

    rows = parse("track_id,observed_at\n1,2025-11-03\n2,\n", "x.csv")
    assert times(rows) == ["11-03T00", None]
    pages = parse('{"observed_at":"2025-11-03T10:00:00+01:00","data":[1]}{"data":[2],"fetched_at":"2025-11-04"}')
    assert times(pages) == ["11-03T09", "11-04T00"]
    lines = parse('{"observed_at":"2025-11-03"}\n{"track_id":1}\n', "x.jsonl")
    assert (times(lines), lines.observed_at.day) == ([None], 3)
    assert [each.day for each in parse('{"data":[],"fetched_at":"2025-11-04"}').empty_at] == [4]
    assert times(parse('{"exported_at":"2025-11-03","data":[1,{"x')) == ["11-03T00"], "a cut page keeps its time"


def test_a_file_that_states_two_times_is_a_part():
    found = parse('{"observed_at":"2025-11-03"}\n{"observed_at":"2025-11-04"}\n{"track_id":1}\n', "x.jsonl")
    assert (found.is_partial, "two times" in str(found.problems[0])) == (True, True)


@pytest.mark.parametrize(("stated", "counts"), [("2", 2), ("200", 200), ('"200"', 200), ("null", 0), ("[7]", 0)])
def test_counts_is_a_hint_of_the_length(stated, counts):
    (page,) = parse(BODY.replace('"counts":2', f'"counts":{stated}')).pages
    assert page.counts == counts

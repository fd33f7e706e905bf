"""What exported files hold: every form that people have, whole, odd and broken."""

from __future__ import annotations

import json

import pytest

from etl.backfill.json_format import parse_file
from tests.support.lists import item


def ids(content: bytes | str, name: str = "x.json") -> list[int | None]:
    return [each.track_id for each, _ in parse(content, name).entries]


def parse(content: bytes | str, name: str = "x.json"):
    return parse_file(content if isinstance(content, bytes) else content.encode(), name)


BODY = '{"desc":null,"code":0,"counts":2,"data":[{"track_id":1,"track_title":"Ọmọ"},{"track_id":2}]}'


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
        ('{"track_id":1}\n{"track_id":2}', "lines.json"),
        ("1\n2\n", "ids.jsonl"),
        (f"[{BODY}]", "bodies.json"),
        ('{"code":0,"data":[{"track_id":1}]}\n{"code":0,"data":[{"track_id":2}]}', "pages.jsonl"),
        ('{"code":0,"data":[\n{"track_id":1}]}\n{"code":0,"data":[\n{"track_id":2}]}\n', "pretty-pages.json"),
        ('{"data":[{"track_id":1}]}{"data":[{"track_id":2}]}', "pages.json"),
        ("[1][2]", "lists.json"),
        ('{"exported_at":"2025-11-03T10:00:00Z","tracks":[{"track_id":1},{"track_id":2}]}', "tracks.json"),
        ('track_id,title\r\n1,One\r\n2,"Two, with a comma"\r\n', "x.csv"),
        ("title;Track ID\nOne;1\nTwo;2\n", "semicolons.csv"),
        ("\n1\n2\n", "bare.txt"),
        ("id\n1\n2\n", "id.csv"),
    ],
)
def test_every_form_gives_its_tracks(content, name):
    assert ids(content, name) == [1, 2]
    assert not parse(content, name).problems


def test_an_items_bytes_are_kept_as_they_were_written():
    odd = b'{"track_id" : 1,  "track_title":"\\ud800 \xc3\x28"}'
    (entry,) = parse(b'{"code":0,"data":[' + odd + b"]}").entries
    assert entry[0].body == odd
    (plain,) = parse(b"[" + item(7).body + b"]").entries
    assert plain[0] == item(7)


def test_a_track_known_by_its_id_alone_is_the_same_item_in_every_form():
    forms = [("[5]", "a.json"), ("track_id\n5\n", "a.csv"), ("5\n", "a.txt"), ('["5"]', "b.json")]
    assert {parse(*form).entries[0][0] for form in forms} == {parse("[5]").entries[0][0]}
    assert parse("[5]").entries[0][0].body == b'{"track_id":5}'


def test_a_broken_line_is_kept_and_named_and_the_others_are_read():
    found = parse('{"track_id":1}\n{"track_id":2,\n{"track_id":3}\n', "x.jsonl")
    assert [each.track_id for each, _ in found.entries] == [1, None, 3]
    assert found.entries[1][0].body == b'{"track_id":2,'
    assert str(found.problems[0]) == "line 2: is not JSON"
    assert not found.is_cut, "the line is there, so nothing is missing"


def test_a_file_that_breaks_off_gives_what_stands_before_the_break():
    cut = BODY[: BODY.index(',{"track_id":2}') + 8]
    found = parse(cut)
    assert [each.track_id for each, _ in found.entries] == [1]
    assert found.is_cut
    assert "breaks off" in str(found.problems[0])


def test_a_list_of_pages_that_breaks_off_within_a_page_gives_what_stands_before():
    cut = '[{"code":0,"data":[{"track_id":1}]},{"code":0,"data":[{"track_id":2},{"track_id":'
    assert ids(cut) == [1, 2]
    assert parse(cut).is_cut


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"code":0,"data":[{"track_id":1},{"track_id":2,"x":},{"y":[{"z":1}],"track_id":3}]}', "byte 33"),
        ('[{"data":[{"track_id":1},{broken},{"track_id":3}]}]', "byte 25"),
        ('[{"data":[{"track_id":1}]},{"data":[{oh no]},{"code":0,"data":[{"track_id":3}]}]', "byte 36"),
        ('{"data":[{"track_id":1,"track_title":"Ọmọ"},{"track_id":2,"x"},{"track_id":3},{"y":1]}', "byte 48"),
    ],
)
def test_what_stands_after_a_broken_item_is_read_and_the_place_is_told(content, place):
    found = parse(content)
    assert [each.track_id for each, _ in found.entries] == [1, 3]
    assert found.problems[0].place == place
    assert found.is_cut


def test_a_page_after_one_that_is_broken_is_read():
    found = parse('[{"code":0,"data":[{"track_id":1}],"counts":},{"code":0,"data":[{"track_id":2}]}]')
    assert [each.track_id for each, _ in found.entries] == [1, 2]


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "true", "null", '"x"', "9223372036854775808", "{}", "[1]"])
def test_an_entry_without_a_usable_id_is_kept_as_unknown(value):
    found = parse(f'[{{"track_id":7}},{{"track_id":{value}}}]')
    assert [each.track_id for each, _ in found.entries] == [7, None]
    assert str(found.problems[0]) == "entry 2: holds no track id"


def test_a_row_without_a_track_id_is_kept_and_named_by_its_line():
    found = parse('track_id,title\n1,"two\nlines"\nabc,y\n\n3,z\n', "x.csv")
    assert [each.track_id for each, _ in found.entries] == [1, None, 3]
    assert str(found.problems[0]) == "line 4: 'abc' is not a track id"


def test_a_quote_out_of_place_swallows_no_row():
    found = parse('track_id,title\n1,"never closed\n2,b\n3,"closed"\n4,"in "the" middle"\n5,"e\n', "x.csv")
    assert [each.track_id for each, _ in found.entries] == [1, 2, 3, 4, 5]
    assert [problem.place for problem in found.problems] == ["line 2", "line 5", "line 6"]


@pytest.mark.parametrize(("content", "is_cut"), [("1,2,3\n", True), ("1,a title\n2,another\n", False)])
def test_columns_without_a_header_are_not_passed_over_in_silence(content, is_cut):
    found = parse(content, "x.csv")
    assert (str(found.problems[0]), found.is_cut) == (
        "line 1: there is no header, so the first column alone is read",
        is_cut,
    )


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('[{"data":[{"track_id":1},{"track_id":2}],"coun', "byte 46"),
        ('{"data":[{"track_id":1},{"track_id":2}],"counts":200', "byte 52"),
        ('{"data":[{"track_id":1},{"track_id":2}]', "byte 39"),
        ('{"data":[\n1, 2]}\n{"data":[{"track_i', "byte 17"),
        ("[1, 2], and so on", "byte 8"),
        ("[1, 2]]", "byte 6"),
    ],
)
def test_a_document_that_breaks_off_behind_a_list_or_goes_on_is_not_the_whole(content, place):
    found = parse(content)
    assert [each.track_id for each, _ in found.entries] == [1, 2]
    assert (found.is_cut, [problem.place for problem in found.problems]) == (True, [place])


@pytest.mark.parametrize(
    ("content", "tracks", "is_cut"),
    [
        ('track_id,title\n1,a\n2,"b', [1, 2], True),
        ("track_id,title,year\n1,a,2001\n2,b", [1, 2], True),
        ("track_id,title\n1,a\n2", [1], True),  # perhaps of track 25
        ("title,track_id\na,1\nb", [1], True),
        ("track_id,title\n1,a\n2,b", [1, 2], False),
        ("track_id,title\n1,a\n2\n", [1, 2], False),
        ('track_id,title\n1,a\n2,"b\n', [1, 2], False),
        ("1\n2", [1, 2], False),
    ],
)
def test_a_table_that_breaks_off_within_a_row_is_not_the_whole(content, tracks, is_cut):
    found = parse(content, "x.csv")
    assert ([each.track_id for each, _ in found.entries], found.is_cut) == (tracks, is_cut)


def test_a_line_separator_within_a_title_ends_no_row():
    assert ids("track_id,title\n1,a\u2028b\x0bc\n2,d\n", "x.csv") == [1, 2]


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
        (b"{broken", "broken"),
    ],
)
def test_a_file_that_is_no_export_says_why(content, fault):
    found = parse_file(content, "x.json")
    assert fault in str(found.problems[0])
    assert not [each for each, _ in found.entries if each.track_id is not None]


def test_the_time_is_the_files_own_or_each_rows_own():
    whole = parse('{"observed_at":"2025-11-03T10:00:00+01:00","data":[1]}')
    assert whole.observed_at.isoformat() == "2025-11-03T09:00:00+00:00"
    rows = parse("track_id,observed_at\n1,2025-11-03\n2,\n3,soon\n", "x.csv")
    assert [instant and instant.isoformat() for _, instant in rows.entries] == ["2025-11-03T00:00:00+00:00", None, None]
    assert "'soon' is not a time" in str(rows.problems[0])
    lines = parse('{"observed_at":"2025-11-03"}\n{"track_id":1}\n', "x.jsonl")
    assert (lines.observed_at.day, ids('{"observed_at":"2025-11-03"}\n{"track_id":1}\n', "x.jsonl")) == (3, [1])


def test_a_file_with_two_times_of_its_own_says_so():
    two = '{"observed_at":"2025-11-03","data":[1]}\n{"observed_at":"2025-11-04","data":[2]}\n'
    assert "two times" in str(parse(two, "x.jsonl").problems[0])


def test_counts_is_remembered_as_a_hint():
    assert parse(BODY.replace('"counts":2', '"counts":200')).counts == 200
    assert parse(BODY.replace('"counts":2', '"counts":null')).counts == 0

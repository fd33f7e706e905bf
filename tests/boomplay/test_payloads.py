from __future__ import annotations

import contextlib
import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.boomplay import payloads
from etl.boomplay.payloads import InvalidJson, Token, User, repair_json
from etl.errors import ApiError, ApiRefused, PayloadError
from etl.model.records import Page

DOCUMENTED_ITEM = (
    '{"track_id": 54230705, "track_title": "Shakira - Try Everything (《疯狂动物城》电影主题曲)", "isrc": ""}'.encode()
)


def page(body: bytes) -> Page:
    return payloads.page(body, 98, 50)


def listing(*items: bytes) -> bytes:
    return b'{"desc": null, "code": 0, "counts": 1, "data": [' + b", ".join(items) + b"]}"


def test_a_page_keeps_order_offset_limit_and_the_bytes_of_items() -> None:
    bodies = [b'{"track_id":%d}' % track_id for track_id in range(50, 0, -1)]
    answer = page(listing(DOCUMENTED_ITEM, *bodies))
    assert [item.track_id for item in answer.items] == [54230705, *range(50, 0, -1)]
    assert [item.body for item in answer.items] == [DOCUMENTED_ITEM, *bodies]
    assert answer.items[0].digest == hashlib.blake2b(DOCUMENTED_ITEM, digest_size=16).digest()
    assert (answer.offset, answer.limit, answer.counts) == (98, 50, 1)


def test_another_encoding_of_a_track_changes_only_its_digest() -> None:
    first, second = page(listing(b'{"track_id":1,"a":2}', b'{"a":2,"track_id":1}')).items
    assert first.track_id == second.track_id
    assert first.digest != second.digest


TRACK_IDS = {
    b"1": 1, b'"54230705"': 54230705, b"9223372036854775807": 2**63 - 1, b'"9223372036854775807"': 2**63 - 1,
    b"9223372036854775808": None, b'"9223372036854775808"': None, b"99999999999999999999999999999999": None,
    b'"' + b"9" * 5000 + b'"': None, b"0": None, b"-7": None, b'"-7"': None, b"true": None, b"1000.0": 1000, b"1e3": 1000,
    b"9007199254740992.0": 2**53, b"9007199254740994.0": None, b"1.5": None, b"-1000.0": None, b"1e400": None,
    b'"1000.0"': None, b"null": None, b'""': None, b'" 12"': None, b'"12abc"': None, '"١٢"'.encode(): None, b"[1]": None,
    b'{"id":1}': None,
}  # fmt: skip


@pytest.mark.parametrize(("written", "track_id"), TRACK_IDS.items())
def test_a_track_id_is_a_bigint_in_any_json_form(written: bytes, track_id: int | None) -> None:
    (item,) = page(listing(b'{"track_id":' + written + b"}")).items
    assert item.track_id == track_id


@pytest.mark.parametrize("odd", [b"null", b"7", b'"text"', b"[]", b"{}", b'{"track_title":"x"}', b'{"TRACK_ID":1}'])
def test_an_unreadable_item_is_kept_without_an_id(odd: bytes) -> None:
    first, second, third = page(listing(b'{"track_id":1}', odd, b'{"track_id":3}')).items
    assert (first.track_id, second.track_id, third.track_id) == (1, None, 3)
    assert second.body == odd


TITLES = [
    rb"\ud800", rb"\udc00 and more", rb"\ud800\ud800", rb"\uD83D alone", rb"\\\ud800\\ud800", rb"\ude00\ud83d\ude00",
    b"a\x00b\x1b[31m", b"tab\tand\nline", b"\xff\xfe", b"\xed\xa0\x80",
]  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
def test_a_hostile_title_loses_neither_item_nor_page(title: bytes) -> None:
    hostile = b'{"track_id":2,"track_title":"' + title + b'"}'
    items = page(listing(b'{"track_id":1,"t":"same"}', hostile, b'{"track_id":1,"t":"same"}')).items
    assert [item.track_id for item in items] == [1, 2, 1]
    assert items[1].body == hostile


def test_a_byte_order_mark_is_ignored() -> None:
    assert [item.track_id for item in page(b"\xef\xbb\xbf" + listing(b'{"track_id":1}')).items] == [1]


@pytest.mark.parametrize("data", [b"null", b"[]", b" [ ] "])
def test_null_and_an_empty_list_are_an_empty_page(data: bytes) -> None:
    assert page(b'{"code":0,"data":' + data + b"}").items == ()


COUNTS = {
    b"12": 12, b'"12"': 12, b"0": 0, b"null": None, b"-1": None, b"1.5": None, b"true": None, b"{}": None,
    b'"many"': None, b"9" * 6000: None,
}  # fmt: skip


@pytest.mark.parametrize(("written", "counts"), COUNTS.items())
def test_counts_is_a_hint_and_may_be_anything(written: bytes, counts: int | None) -> None:
    assert page(b'{"code":0,"counts":' + written + b',"data":[]}').counts == counts


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"code":0,"data":{"tracks":[]}}', "data is an object, not a list"),
        (b'{"code":0,"data":"none"}', "data is text, not a list"),
        (b'{"code":0,"data":false}', "data is false, not a list"),
        (b'{"code":0}', "data is missing, not a list"),
        (b'{"data":[]}', "code is missing, not a whole number"),
        (b'{"code":"0","data":[]}', "code is text, not a whole number"),
        (b'{"code":null,"data":[]}', "code is null, not a whole number"),
        (b'{"code":true,"data":[]}', "code is true, not a whole number"),
        (b'{"code":0.0,"data":[]}', "code is a number, not a whole number"),
        (b"[]", "the answer is not an object (byte 0)"),
        (b'"text"', "the answer is not an object (byte 0)"),
        (listing(b"[" * 200_000 + b"]" * 200_000), "the answer is nested too deeply"),
    ],
)
def test_json_of_another_shape_is_named_with_its_page(body: bytes, words: str) -> None:
    with pytest.raises(PayloadError) as caught:
        page(body)
    assert str(caught.value) == f"favourite tracks at offset 98: {words}"
    assert not isinstance(caught.value, InvalidJson)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the answer is empty"),
        (b" \r\n", "the answer is empty"),
        (b"<html>Sign in</html>", "the answer is a web page, not JSON (byte 0)"),
        (b"\n <!doctype html>", "the answer is a web page, not JSON (byte 0)"),
        (b"Bad gateway", "the answer is not JSON (byte 0)"),
        (b'{"code":0,"data":[{"track_id":1', "the JSON breaks off (byte 31)"),
        (b'{"code":0,"data":[{"track_id":nope}]}', "the answer is not JSON (byte 31)"),
    ],
)
def test_invalid_json_is_named_with_its_page_and_byte(body: bytes, words: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        page(body)
    assert str(caught.value) == f"favourite tracks at offset 98: {words}"


def test_a_nonzero_code_is_a_refusal_with_its_desc() -> None:
    with pytest.raises(ApiRefused) as caught:
        page(b'{"desc":"no such user","code":17,"data":null}')
    assert caught.value.code == 17
    assert str(caught.value) == "favourite tracks at offset 98: the service answered code 17: no such user"


@pytest.mark.parametrize(
    ("desc", "words"),
    [
        (b"null", ""),
        (b'""', ""),
        (b"5", ": 5"),
        (b'{"a":[1]}', ': {"a":[1]}'),
        (rb'"two\nlines\u001b[31m\u202e\u0000end"', ": two lines[31mend"),
        (rb'"lone \ud800"', ": lone �"),
        (b'"' + b"x" * 10_000 + b'"', ": " + "x" * 200),
    ],
)
def test_desc_of_any_type_is_one_short_printable_line(desc: bytes, words: str) -> None:
    with pytest.raises(ApiRefused) as caught:
        page(b'{"code":1,"data":{},"desc":' + desc + b"}")
    assert str(caught.value) == "favourite tracks at offset 98: the service answered code 1" + words


def test_items_of_a_long_list_share_their_markets() -> None:
    entries = [b'{"track_id":%d,"available_markets":"NG,GH,KE","x":""}' % number for number in (1, 2)]
    body = b'{"code":0,"counts":%d,"data":[' + b",".join(entries) + b"]}"
    short = payloads.page(body % 20_000, 0, 50).items
    long = payloads.page(body % 20_001, 0, 50).items
    deep = payloads.page(body % 2, 20_001, 50).items
    for items in (short, long, deep):
        assert [(item.body, item.digest, item.track_id) for item in items] == [
            (entry, hashlib.blake2b(entry, digest_size=16).digest(), number) for number, entry in enumerate(entries, 1)
        ]
    assert all(isinstance(item.parts, bytes) for item in short)
    assert len({id(item.parts[2]) for item in (*long, *deep)}) == 1


def test_null_entries_of_tracks_by_id_are_omitted() -> None:
    found = payloads.items(b'{"code":0,"data":[{"track_id":1},null,{"track_id":3}]}', "tracks")
    assert [item.track_id for item in found] == [1, 3]


def test_user_info_is_read_as_documented() -> None:
    body = {"user_id": "q8+/a==", "user_name": "Ada", "avatar": {"url": "x"}, "region": "NG", "plan": "Free"}
    answer = json.dumps({"desc": None, "code": 0, "data": body}).encode()
    assert payloads.user(answer, "user info") == User("q8+/a==", "Ada", "NG", "Free")


def test_a_user_needs_nothing_but_an_id() -> None:
    assert payloads.user(b'{"code":0,"data":{"user_id":5,"user_name":"","plan":7}}', "user info") == User("5")
    hostile = payloads.user(rb'{"code":0,"data":{"user_id":"u","user_name":"A\ud800"}}', "user info")
    assert hostile == User("u", "A�")


@pytest.mark.parametrize("data", [b"{}", b'{"user_id":""}', b'{"user_id":true}', b'{"user_id":1e999}', b"[]", b"null"])
def test_data_without_a_user_is_a_payload_error(data: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^user info: "):
        payloads.user(b'{"code":0,"data":' + data + b"}", "user info")


@pytest.mark.parametrize("body", [b'{"code":0}', b"[]", b"", b"<p>", b'{"data":{"user_id":"u"}}'])
def test_an_answer_without_a_user_is_a_payload_error(body: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^user info: "):
        payloads.user(body, "user info")


@pytest.mark.parametrize(
    "body",
    [
        b'{"accessToken":"t+/=","expiresIn":7200}',
        b'{"desc":null,"code":0,"data":{"access_token":"t+/=","expires_in":7200}}',
        b'{"code":0,"data":{"accessToken":"t+/=","expiresIn":"7200"}}',
        b'{"access_token":"t+/=","expires_in":7200.5}',
    ],
)
def test_a_token_is_read_from_both_shapes(body: bytes) -> None:
    assert payloads.token(body, "app token") == Token("t+/=", 7200)


def test_a_user_token_brings_its_refresh_token_and_user() -> None:
    body = b'{"code":0,"data":{"access_token":"a","expires_in":null,"refresh_token":"r","user_id":"u=="}}'
    assert payloads.token(body, "user token") == Token("a", None, "r", "u==")


NO_TOKEN = [
    b"{}", b"[]", b"", b'{"code":0,"data":{}}', b'{"code":0,"data":{"access_token":""}}', b'{"expiresIn":7200}',
    b'{"code":0,"data":{"access_token":5}}', b'{"accessToken":null}', b'{"accessToken":1e999}', b'{"code":0,"data":null}',
]  # fmt: skip


@pytest.mark.parametrize("body", NO_TOKEN)
def test_an_answer_without_a_token_is_a_payload_error(body: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^app token: "):
        payloads.token(body, "app token")


def test_no_repr_shows_a_token() -> None:
    token = payloads.token(b'{"code":0,"data":{"access_token":"hide-me","refresh_token":"me-too"}}', "t")
    assert "hide" not in repr(token) + repr(token.access_token)
    assert "too" not in repr(token) + repr(token.refresh_token)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"code":7,"desc":"no"}', (7, "no")),
        (b'{"error":"invalid_grant","error_description":"gone"}', (None, "gone")),
        (b'{"code":"7"}', (None, "")),
        (b"<html>", (None, "")),
        (b"", (None, "")),
        (b"[" * 5000, (None, "")),
    ],
)
def test_code_and_words_of_an_error_body_are_read(body: bytes, found: tuple[int | None, str]) -> None:
    assert payloads.error_body(body) == found


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_an_api_error(noise: bytes) -> None:
    readers = (page, lambda body: payloads.user(body, "u"), lambda body: payloads.token(body, "t"))
    for body in (noise, b'{"code":0,"data":' + noise + b"}", listing(noise), b'{"code":0,"data":["' + noise + b'"]}'):
        for read in readers:
            with contextlib.suppress(ApiError):
                read(body)


readable = st.characters(exclude_categories=["Cs"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(readable),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(readable), inner, max_size=3),
    max_leaves=8,
)
surrogates = st.characters(min_codepoint=0xD7F0, max_codepoint=0xE00F)
titles = st.text(st.characters() | surrogates | st.sampled_from('\\"u'))


@given(st.lists(st.tuples(st.integers(1, 2**63 - 1), titles, json_values), max_size=4), st.sampled_from([None, 1]))
def test_an_item_of_any_json_keeps_its_bytes_and_id(rows: list[tuple], indent: int | None) -> None:
    bodies = [
        json.dumps({"data": more, "track_id": track_id, "title": title}, indent=indent).encode()
        for track_id, title, more in rows
    ]
    body = b'{"code": 0, "data": [' + b", ".join(bodies) + b"]}"
    items = payloads.page(body, 98, 50).items
    assert [item.body for item in items] == bodies
    assert [item.track_id for item in items] == [track_id for track_id, _, _ in rows]


@given(st.binary())
def test_json_repair_keeps_the_length(noise: bytes) -> None:
    assert len(repair_json(noise)) == len(noise)


@given(json_values)
def test_json_repair_leaves_valid_json_unchanged(value: object) -> None:
    body = msgspec.json.encode(value)
    assert repair_json(body) == body


@given(titles)
def test_repaired_json_can_be_decoded(title: str) -> None:
    escaped = json.dumps({"t": title}).encode()
    assert isinstance(msgspec.json.decode(repair_json(escaped))["t"], str)

"""From an item as received to a track."""

import json
from importlib.resources import files

import pytest

from etl.model.records import Artist
from etl.transform.normalise import InvalidItem, duration_seconds, market_codes, normalise
from tests.support.lists import item, raw

DOCUMENTED_EXAMPLE = files("etl.sandbox").joinpath("documented_example.json").read_bytes()


def test_the_documentations_own_example():
    track = normalise(raw(DOCUMENTED_EXAMPLE, 54230705))
    assert track.title == "Shakira - Try Everything (《疯狂动物城》电影主题曲)"
    assert (track.duration_seconds, track.isrc, track.genres) == (196, None, ("Pop",))
    assert (len(track.markets), len(set(track.markets))) == (211, 211)
    assert {"XO", "OT", "NA"} <= set(track.markets)
    assert track.artists == (Artist(21876369, "xiaoxiao"),)
    assert (track.album_id, track.album_title) == (40035180, "webplayer-cms")
    assert track.notes == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:03:16", 196),
        ("03:16", 196),
        ("3:16", 196),
        ("01:00:00", 3600),
        ("PT04H30M00S", 16200),
        ("PT3M16S", 196),
        ("PT3M16.5S", 196),
        ("P1DT1S", 86401),
        ("00:03:61", None),
        ("196", 196),
        (" 196.4 ", 196),
        ("0", 0),
        ("864001", None),
        ("-196", None),
        ("PT", None),
        ("P", None),
        ("three minutes", None),
        ("-00:03:16", None),
        ("٠٠:٠٣:١٦", 196),
    ],
)
def test_durations(text, seconds):
    assert duration_seconds(text) == seconds


def test_a_number_of_seconds_is_a_duration():
    assert normalise(item(1, duration=196)).duration_seconds == 196


def test_an_unreadable_duration_is_a_note_not_a_reject():
    track = normalise(item(1, duration="soon"))
    assert track.duration_seconds is None
    assert track.notes == ("duration: unreadable",)


@pytest.mark.parametrize("nothing", ["", None])
@pytest.mark.parametrize(
    "name", ["track_title", "isrc", "duration", "album_title", "genres", "available_markets", "web_url"]
)
def test_empty_null_and_missing_are_one(name, nothing):
    without = json.loads(item(1).body)
    without.pop(name, None)
    missing = normalise(raw(json.dumps(without).encode(), 1))
    assert normalise(item(1, **{name: nothing})) == missing


def test_markets_are_split_trimmed_upper_cased_and_kept_in_order():
    assert market_codes(" ng,GH ,,NG, xo,na") == ("NG", "GH", "XO", "NA")


def test_genres_and_artists_come_without_duplicates():
    twice = [{"artist_id": 4, "artist_name": "Main"}, {"artist_id": 4, "artist_name": "Main"}, {"artist_id": 5}]
    track = normalise(item(1, genres="Pop, Pop,Afro", artists=twice))
    assert track.genres == ("Pop", "Afro")
    assert track.artists == (Artist(4, "Main"), Artist(5, None))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"track_number": "15"}, {"track_number": 15}),
        ({"album_id": "40035180"}, {"album_id": 40035180}),
        ({"album_id": 40035180.0}, {"album_id": 40035180, "notes": ()}),
        ({"album_id": 1.5}, {"album_id": None, "notes": ("album_id: unreadable",)}),
        ({"album_id": 2.0**60}, {"album_id": None, "notes": ("album_id: unreadable",)}),
        ({"artists": [{"artist_id": 7.0}]}, {"artists": (Artist(7, None),)}),
        ({"album_title": 1999}, {"album_title": "1999"}),
        ({"artwork": None}, {"artwork_url": None}),
        ({"artwork": {"url": "u", "width": "464"}}, {"artwork_url": "u", "artwork_width": 464}),
        ({"artists": None}, {"artists": ()}),
        ({"artists": [{"artist_id": "7", "artist_name": "A"}]}, {"artists": (Artist(7, "A"),)}),
        ({"track_number": "first"}, {"track_number": None, "notes": ("track_number: unreadable",)}),
        ({"track_number": True}, {"track_number": None}),
        ({"album_id": 0}, {"album_id": None}),
    ],
)
def test_odd_types_are_read_leniently(fields, expected):
    track = normalise(item(1, **fields))
    assert {name: getattr(track, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"track_id": 5, "track_title": {"en": "x"}}', "track_title is an object"),
        (b'{"track_id": 5, "track_title": []}', "track_title is a list"),
        (b'{"track_id": 5, "artists": "x"}', "artists is text"),
        (b'{"track_id": 5, "artwork": []}', "artwork is a list"),
        (b"[5]", "not an object but a list"),
        (b"{", "not readable as JSON"),
    ],
)
def test_what_no_rule_covers_is_a_reject_with_its_reason(body, reason):
    with pytest.raises(InvalidItem, match=reason):
        normalise(raw(body, 5))


def test_an_item_without_an_id_is_a_reject():
    with pytest.raises(InvalidItem, match="no integer track_id"):
        normalise(raw(b"null"))


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud800!", "\ufffd!"),
        ("e\u0301 \u202e<script>", "e\u0301 \u202e<script>"),
        ("=cmd()", "=cmd()"),
    ],
)
def test_a_title_is_kept_but_for_what_no_database_holds(title, kept):
    assert normalise(raw(json.dumps({"track_id": 1, "track_title": title}).encode(), 1)).title == kept


def test_an_item_that_is_only_an_id_has_no_facts():
    assert not normalise(raw(b'{"track_id": 9}', 9)).has_facts
    assert not normalise(raw(b'{"track_id": "9"}', 9)).has_facts  # the slow way, as any odd type takes
    assert not normalise(raw(b'{"track_id": 9, "track_number": 18446744073709551616}', 9)).has_facts
    assert normalise(item(9)).has_facts

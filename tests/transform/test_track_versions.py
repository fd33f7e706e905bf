"""The history of facts."""

import zlib
from datetime import timedelta

import msgspec
from hypothesis import example, given
from hypothesis.strategies import lists, sampled_from

from etl.model.encoding import intern_markets, pack_bodies, pack_ids, snapshot_digest, unpack_bodies, unpack_ids
from etl.model.records import Item
from etl.transform.normalise import normalise
from etl.transform.track_versions import StoredVersionRef, attributes_digest, track_changes, versions
from tests.support.lists import START, item


def track(**fields):
    return normalise(item(1, **fields))


def test_the_order_of_genres_and_markets_is_no_fact():
    assert attributes_digest(track(genres="A,B", available_markets="NG,GH")) == attributes_digest(
        track(genres="B,A", available_markets="GH,NG")
    )


def test_the_digest_of_facts_stays_what_databases_hold():
    """Another one would make every track of every database look changed: whoever changes it brings a migration."""
    assert attributes_digest(track()).hex() == "b3b2450a5486e65f0ca0a80a9de5a697"


def test_every_other_field_is_a_fact():
    other = {
        "track_title": "x", "track_number": 9, "isrc": "x", "duration": "00:01:00", "album_id": 77, "album_title": "x",
        "web_url": "x", "mobile_url": "x", "artwork": {"url": "x"}, "genres": "x", "available_markets": "ZA", "artists": [],
    }  # fmt: skip
    digests = {attributes_digest(track(**{name: value})) for name, value in other.items()}
    assert len(digests | {attributes_digest(track())}) == len(other) + 1


def test_versions_begin_where_the_facts_change():
    a, b = track(), track(track_title="x")
    hours = [START + timedelta(hours=n) for n in range(5)]
    found = versions(zip(hours, [a, a, b, b, a], strict=True))
    assert [(v.track.title, v.valid_from, v.valid_to) for v in found] == [
        (a.title, hours[0], hours[2]),
        ("x", hours[2], hours[4]),
        (a.title, hours[4], None),
    ]


def test_later_of_two_sightings_at_one_instant_wins():
    a, b = track(), track(track_title="x")
    assert [v.track.title for v in versions([(START, a), (START, b)])] == ["x"]
    later = START + timedelta(hours=1)
    assert [v.track.title for v in versions([(START, a), (later, b), (later, a)])] == [a.title]


def test_track_change_is_new_changed_late_or_none():
    a = track()
    later = START + timedelta(hours=1)
    assert track_changes({}, [a], START).new == (a,)
    assert track_changes({1: StoredVersionRef(None, None)}, [a], START).new == (a,)
    assert track_changes({1: StoredVersionRef(b"other", START)}, [a], later).changed == (a,)
    assert track_changes({1: StoredVersionRef(b"other", later)}, [a], START).late == (a,)
    same = track_changes({1: StoredVersionRef(attributes_digest(a), START)}, [a], later)
    assert (same.new, same.changed, same.late) == ((), (), ())


def test_late_sighting_of_an_unchanged_track_is_no_change():
    a = normalise(item(1))
    sighted = START + timedelta(hours=2)
    since = StoredVersionRef(attributes_digest(a), START, sighted)
    for instant, is_late in ((START - timedelta(hours=1), True), (START, False), (START + timedelta(hours=1), False)):
        found = track_changes({1: since}, [a], instant)
        assert (found.new, found.changed, found.late) == ((), (), (a,) if is_late else ())
    assert track_changes({1: StoredVersionRef(b"other", START, sighted)}, [a], START + timedelta(hours=1)).late == (a,)


def test_a_bare_id_changes_no_facts():
    bare = normalise(msgspec.structs.replace(item(1), parts=b'{"track_id": 1}'))
    assert track_changes({1: StoredVersionRef(b"known", START)}, [bare], START).changed == ()


def test_a_list_of_ids_survives_packing():
    for ids in ([], [5], list(range(1, 2_000)), [2**40, 3, 3, 1], [9, 8, 7]):
        assert unpack_ids(pack_ids(ids)) == ids
    assert len(pack_ids(list(range(10_000)))) < 200


def test_bodies_survive_packing():
    bodies = [item(n).body for n in range(20)] + [b"", b"\xff\x00"]
    assert unpack_bodies(pack_bodies(bodies)) == bodies


@example(
    [
        b'{"available_markets":"NG,GH","a":1}',
        b'"available_markets":"',
        b'"available_markets":"NG',
        b'"available_markets":""',
    ]
)
@given(
    lists(
        lists(sampled_from([b'"available_markets":"', b'"available_markets": "', b'"', b"NG,GH", b"\xff\x00"])).map(
            b"".join
        )
    )
)
def test_bodies_survive_packing_with_any_position_of_markets(bodies):
    assert unpack_bodies(pack_bodies(bodies)) == bodies


def test_a_block_that_an_older_favsync_wrote_is_still_read():
    for count in (1, 2, 3, 500):
        bodies = [item(n).body for n in range(count)]
        assert unpack_bodies(zlib.compress(msgspec.msgpack.encode(bodies), 6)) == bodies


def test_a_body_in_parts_is_the_body_and_shares_its_markets():
    markets: dict[bytes, bytes] = {}
    bodies = [b'{"track_id":%d,"available_markets":"NG,GH","genres":""}' % n for n in range(3)]
    parts = [intern_markets(body, markets) for body in bodies]
    assert [Item(part, b"", None).body for part in parts] == bodies
    assert len({id(part[2]) for part in parts}) == 1
    assert intern_markets(b'{"track_id":1}', markets) == b'{"track_id":1}'


def test_lists_of_markets_are_packed_once():
    markets = [",".join(f"{n:02X}" for n in range(start, 256)).encode() for start in range(20)]
    bodies = [b'{"track_id":%d,"available_markets":"%s"}' % (n, markets[n % 20]) for n in range(500)]
    assert len(pack_bodies(bodies)) < len(b"".join(bodies)) / 100


def test_list_digest_depends_on_items_and_order():
    assert snapshot_digest([b"a" * 16, b"b" * 16]) != snapshot_digest([b"b" * 16, b"a" * 16])

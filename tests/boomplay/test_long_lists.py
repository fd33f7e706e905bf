from __future__ import annotations

import hashlib

from etl.boomplay import payloads


def test_items_of_a_long_list_share_their_markets_and_stay_what_they_were() -> None:
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

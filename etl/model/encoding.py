"""Content hashes, and the packed form of lists and bodies.

A snapshot is the ordered list of raw item ids, as differences, compressed: ids follow list order, so most differences are 1
and 10,000 items take a few hundred bytes. Its digest covers the digests of its items, so two reads of the same list are the
same snapshot.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice
from operator import sub

import msgspec

from etl.model.records import Digest

DIGEST_SIZE = 16
DIGESTS_JOINED = 1_000  # `bytes.join` needs 80 bytes for each
EXACT_FLOAT = 2**53  # beyond it a float is no longer one integer
ITEMS_PER_BLOCK = 500
_MARKETS = b'"available_markets":"'  # a body with another spelling is kept in one piece
_Entry = bytes | tuple[bytes, int, bytes]
_decode = msgspec.msgpack.Decoder(tuple[list[bytes], list[_Entry]]).decode
_decode_plain = msgspec.msgpack.Decoder(list[bytes]).decode


def digest_of(body: bytes) -> Digest:
    """Return the content address of one item's bytes."""
    return hashlib.blake2b(body, digest_size=DIGEST_SIZE).digest()


def snapshot_digest(digests: Iterable[Digest]) -> Digest:
    """Return the content address of a list of items, given their digests in order."""
    found, each = hashlib.blake2b(digest_size=DIGEST_SIZE), iter(digests)
    while part := b"".join(islice(each, DIGESTS_JOINED)):
        found.update(part)
    return found.digest()


def pack_ids(raw_item_ids: Sequence[int]) -> bytes:
    """Return the ids as differences (little-endian, 64 bits), compressed."""
    differences = array("q", raw_item_ids[:1])
    differences.extend(map(sub, islice(raw_item_ids, 1, None), raw_item_ids))
    if sys.byteorder == "big":
        differences.byteswap()
    return zlib.compress(differences, 6)


def unpack_ids(items: bytes) -> list[int]:
    """Return the ids that `pack_ids` made ``items`` of."""
    differences = array("q", zlib.decompress(items))
    if sys.byteorder == "big":
        differences.byteswap()
    return list(accumulate(differences))


def pack_bodies(bodies: Sequence[bytes]) -> bytes:
    """Return the bodies of items as one compressed block, the lists of markets in them once each.

    Those lists are two thirds of an item, and a few dozen different ones serve a library: taken out, a block is half the size
    and made in two thirds of the time, since the compressor looks back no further than 30 items.
    """
    markets: dict[bytes, int] = {}
    entries = [_without_markets(body, markets) for body in bodies]
    return zlib.compress(msgspec.msgpack.encode((list(markets), entries)), 1)


def _without_markets(body: bytes, markets: dict[bytes, int]) -> _Entry:
    head, found, rest = body.partition(_MARKETS)
    text, quote, tail = rest.partition(b'"')
    return (head, markets.setdefault(text, len(markets)), tail) if found and quote else body


def intern_markets(body: bytes, markets: dict[bytes, bytes]) -> bytes | tuple[bytes, ...]:
    """Return ``body`` in parts, its list of markets the one in ``markets`` (where it is put, if it is new): less memory."""
    head, found, rest = body.partition(_MARKETS)
    text, quote, tail = rest.partition(b'"')
    return (head, _MARKETS, markets.setdefault(text, text), quote, tail) if found and quote else body


def unpack_bodies(block: bytes) -> list[bytes]:
    """Return the bodies that `pack_bodies` made ``block`` of, or an older favsync did: it kept the bodies as they are."""
    content = zlib.decompress(block)
    try:
        markets, entries = _decode(content)
    except msgspec.ValidationError:
        return _decode_plain(content)
    return [
        entry if isinstance(entry, bytes) else b"".join((entry[0], _MARKETS, markets[entry[1]], b'"', entry[2]))
        for entry in entries
    ]

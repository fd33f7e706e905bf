"""The stored shape of an observed list. Not here: storing it.

A snapshot is the ordered list of raw item ids, as differences, compressed: ids are given out in list order, so that most
differences are 1 and 10,000 items take a few hundred bytes. Its digest is taken over the items' own digests, so that two
readings of the same list are the same snapshot.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec

from etl.core.model import Digest

DIGEST_SIZE = 16
ITEMS_PER_BLOCK = 500


def digest_of(body: bytes) -> Digest:
    """Return the content address of one item's bytes."""
    return hashlib.blake2b(body, digest_size=DIGEST_SIZE).digest()


def snapshot_digest(digests: Iterable[Digest]) -> Digest:
    """Return the content address of a list of items, given their digests in order."""
    return hashlib.blake2b(b"".join(digests), digest_size=DIGEST_SIZE).digest()


def packed(raw_item_ids: Sequence[int]) -> bytes:
    """Return the ids as differences (little-endian, 64 bits), compressed."""
    differences = array("q", raw_item_ids[:1])
    differences.extend(after - before for before, after in pairwise(raw_item_ids))
    if sys.byteorder == "big":
        differences.byteswap()
    return zlib.compress(differences.tobytes(), 6)


def unpacked(items: bytes) -> list[int]:
    """Return the ids that `packed` made ``items`` of."""
    differences = array("q", zlib.decompress(items))
    if sys.byteorder == "big":
        differences.byteswap()
    return list(accumulate(differences))


def packed_bodies(bodies: Sequence[bytes]) -> bytes:
    """Return the bodies of items as one compressed block: items of one list share most of their text."""
    return zlib.compress(msgspec.msgpack.encode(list(bodies)), 1)


def unpacked_bodies(block: bytes) -> list[bytes]:
    """Return the bodies that `packed_bodies` made ``block`` of."""
    return msgspec.msgpack.decode(zlib.decompress(block), type=list[bytes])

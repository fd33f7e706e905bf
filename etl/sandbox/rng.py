"""Repeatable randomness: every random decision of the sandbox is made here.

The same key leads to the same decisions on every machine and in every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

T = TypeVar("T")


def random_for(*key: object) -> Random:
    """Return the generator that belongs to ``key``, for example (seed, request number)."""
    return Random("/".join(map(str, key)))  # noqa: S311  # not for secrets  # nosec B311


class Rng:
    """About forty cheap draws that belong to a key. Setting it up takes a tenth of the time of a `Random`."""

    __slots__ = ("_left",)

    def __init__(self, *key: object) -> None:
        self._left = int.from_bytes(blake2b("/".join(map(str, key)).encode(), digest_size=64).digest())

    def below(self, bound: int) -> int:
        """Draw a number from 0 to ``bound`` - 1."""
        self._left, drawn = divmod(self._left, bound)
        return drawn

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of ``choices``."""
        return choices[self.below(len(choices))]

    def once_in(self, draws: int) -> bool:
        """Draw True about once in ``draws``."""
        return self.below(draws) == 0

    def hits(self, share: float) -> bool:
        """Draw True with the probability ``share``."""
        return share >= 1 or self.below(1_000_000) < share * 1_000_000

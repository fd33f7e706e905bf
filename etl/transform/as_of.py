"""Answers whether a track was a favourite at an instant: yes, no, or unknown.

What is known for sure lies between observations, never after the newest nor before the first:

* *yes* from the end of the first observation that saw it to the start of the last one that did;
* *no* from the end of the first observation that proved it absent to the start of the last one that did.

"Sure" means as sure as observations at intervals can be: a track that was seen twice, and never missed in between, counts as
there all along. Everything else is unknown.

Invariant: a later observation turns an unknown into a yes or a no, and never a yes or a no into anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from etl.model.records import FavouriteInterval


class Presence(StrEnum):
    """Whether a track was a favourite at a given time."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ObservationRange:
    """How far an account's observations reach.

    ``seen_from``: end of the first one of all. ``absent_from``: end of the first one that proves absence. ``absent_until``:
    start of the newest such that is not in doubt (`ForeignList`). ``seen_until``: start of the newest one of all. Each None
    before there is any.
    """

    absent_from: datetime | None = None
    absent_until: datetime | None = None
    seen_until: datetime | None = None
    seen_from: datetime | None = None


def answer(stays: Sequence[FavouriteInterval], instant: datetime, horizon: ObservationRange) -> Presence:
    """Return whether a track was a favourite at ``instant``. ``stays``: all its intervals of one account, in order of time."""
    absent_from = horizon.absent_from
    for stay in stays:
        if instant < stay.valid_from:
            return _absent(instant, absent_from, stay.added_after)
        if stay.valid_to is None or instant < stay.valid_to:
            last_seen_at = stay.removed_after or stay.last_seen_at or horizon.seen_until
            is_sure = last_seen_at is not None and instant <= last_seen_at
            return Presence.YES if is_sure else Presence.UNKNOWN
        absent_from = stay.valid_to
    return _absent(instant, absent_from, horizon.absent_until)


def _absent(instant: datetime, since: datetime | None, until: datetime | None) -> Presence:
    is_sure = since is not None and until is not None and since <= instant <= until
    return Presence.NO if is_sure else Presence.UNKNOWN

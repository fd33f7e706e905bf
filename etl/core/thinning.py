"""Which observations can go without changing anything that the others tell. Not here: deleting them.

An observation can go where it says nothing of its own: it holds the very items of the one before it, changes nothing, and is
no bound of what comes after. Bounds are the last observation before a change, and the last proof of absence before an
addition; they stay, as do the first and the last proof, and the newest one.

Invariant: the fold over what stays gives the same intervals, and the same sightings of items; whoever deletes checks that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from etl.core.model import ChangeSet, Decision


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation, as far as thinning needs it. ``items``: a number that two in a row share if they hold the same items."""

    run_id: int
    observed_at: datetime
    items: int
    proves_absence: bool
    decision: Decision | None


def superfluous(ordered: Sequence[Seen], by_run: Mapping[int, ChangeSet], before: datetime) -> list[int]:
    """Return the runs of observations that can go: older than ``before``, idle, and not the last one of their day (UTC).

    ``ordered``: all observations of an account that stand, in order of time. ``by_run``: what the fold says that each did.
    """
    bounds = _bounds(ordered, by_run)
    at_instant = Counter(seen.observed_at for seen in ordered)
    last_of_day: dict[date, int] = {seen.observed_at.date(): seen.run_id for seen in ordered}
    return [
        seen.run_id
        for previous, seen in pairwise(ordered)
        if seen.observed_at < before
        and seen.run_id not in bounds
        and seen.items == previous.items
        and seen.decision is None
        and at_instant[seen.observed_at] == 1
        and last_of_day[seen.observed_at.date()] != seen.run_id
    ]


def _bounds(ordered: Sequence[Seen], by_run: Mapping[int, ChangeSet]) -> set[int]:
    """Return the runs that change something, or that a change has as its bound."""
    kept = {seen.run_id for seen in (*ordered[:1], *ordered[-2:])}
    proofs = [seen.run_id for seen in ordered if seen.proves_absence and seen.decision is not Decision.REJECTED]
    kept.update((*proofs[:1], *proofs[-1:]))
    last_proof: int | None = None
    for place, seen in enumerate(ordered):
        change = by_run[seen.run_id]
        if change.opened or change.closed or change.marked or change.held:
            kept.update(each.run_id for each in ordered[max(0, place - 1) : place + 1])
            kept.update(() if last_proof is None else (last_proof,))
        if seen.proves_absence and seen.decision is not Decision.REJECTED:
            last_proof = seen.run_id
    return kept

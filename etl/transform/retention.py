"""Which observations can go without changing anything that the others tell.

An observation can go where it says nothing of its own: it holds the very items of the one before it, changes nothing, and is
no bound of what comes after. Bounds are the last observation before a change, and the last proof of absence before it; they
stay, as do the first and the last proof, and the newest two. So do observations that share their instant with another, or
that the next one overlaps in time: what they tell depends on each other.

Invariant: the fold over what stays gives the same intervals, and the same sightings of items; whoever deletes checks that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, pairwise

from etl.model.records import FavouriteChanges, Review


@dataclass(frozen=True, slots=True)
class RetainedSnapshot:
    """An observation, as far as thinning needs it. ``items``: a number that two in a row share if they hold the same items."""

    run_id: int
    started_at: datetime
    observed_at: datetime
    items: int
    proves_absence: bool
    decision: Review | None

    @property
    def is_proof(self) -> bool:
        """Whether a track that it lacks was absent, by its own word and the operator's."""
        return self.proves_absence and self.decision is not Review.REJECTED


def removable(
    ordered: Sequence[RetainedSnapshot], by_run: Mapping[int, FavouriteChanges], before: datetime
) -> list[int]:
    """Return the runs of observations that can go: older than ``before``, idle, and not the last one of their day (UTC).

    ``ordered``: all observations of an account that stand, in order of time. ``by_run``: what the fold says that each did.
    """
    instants = [list(same) for _, same in groupby(ordered, key=lambda seen: seen.observed_at)]
    bounds = _bounds(instants, by_run)
    last_of_day: dict[date, int] = {seen.observed_at.date(): seen.run_id for seen in ordered}
    return [
        seen.run_id
        for previous, (seen, *others) in pairwise(instants)
        if seen.observed_at < before
        and not others
        and seen.run_id not in bounds
        and seen.decision is None
        and seen.items == previous[-1].items
        and last_of_day[seen.observed_at.date()] != seen.run_id
    ]


def _bounds(instants: Sequence[Sequence[RetainedSnapshot]], by_run: Mapping[int, FavouriteChanges]) -> set[int]:
    """Return the runs that change something, or that something has as its bound."""
    proofs = [same for same in instants if any(seen.is_proof for seen in same)]
    kept = [*instants[:1], *instants[-2:], *proofs[:1], *proofs[-1:]]
    latest_proof: Sequence[RetainedSnapshot] = ()
    for previous, same in pairwise([(), *instants]):
        if any(_changes(by_run[seen.run_id]) for seen in same):
            kept += [previous, same, latest_proof]
        if previous and _start(same) < previous[0].observed_at:
            kept.append(previous)
        if any(seen.is_proof for seen in same) and (not latest_proof or _start(same) >= _start(latest_proof)):
            latest_proof = same
    return {seen.run_id for same in (*kept, latest_proof) for seen in same}


def _start(same: Sequence[RetainedSnapshot]) -> datetime:
    """Return when observations of one instant began: an addition is bounded by the latest start of a proof, not the last end."""
    return min(seen.started_at for seen in same)


def _changes(change: FavouriteChanges) -> bool:
    return bool(change.opened or change.closed or change.marked or change.held)

"""Retention policy: decides which snapshots can be deleted without any effect on the history.

A snapshot can go if it adds nothing: it holds the same items as the one before, changes nothing, and bounds nothing. Bounds
are the last snapshot before a change, and the last proof of absence before it. They stay, as do the first and the last proof,
and the newest two. So do snapshots that share their time with another, or that the next one overlaps.

A replay of what stays has the same intervals and the same track events; the caller checks that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, pairwise

from etl.model.records import FavouriteChanges, Review


@dataclass(frozen=True, slots=True)
class RetainedSnapshot:
    """A snapshot as the policy needs it. ``items``: a number that consecutive snapshots with the same items share."""

    run_id: int
    started_at: datetime
    observed_at: datetime
    items: int
    proves_absence: bool
    decision: Review | None

    @property
    def is_proof(self) -> bool:
        """True if it proves absence and the operator did not reject it."""
        return self.proves_absence and self.decision is not Review.REJECTED


def removable(
    ordered: Sequence[RetainedSnapshot], by_run: Mapping[int, FavouriteChanges], before: datetime
) -> list[int]:
    """Return the runs whose snapshots can go: older than ``before``, idle, and not the last one of their day (UTC).

    ``ordered``: all snapshots of an account, in order of time. ``by_run``: what each of them changed, by a replay.
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
    """Return the runs that change something, or that bound a change."""
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
    """Return when the snapshots of one time began: the latest start of a proof bounds an addition, not the last end."""
    return min(seen.started_at for seen in same)


def _changes(change: FavouriteChanges) -> bool:
    return bool(change.opened or change.closed or change.marked or change.held or change.missing)

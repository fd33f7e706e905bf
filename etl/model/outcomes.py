"""How a run ended, in one word."""

from __future__ import annotations

from etl.model.records import FavouriteChanges, Outcome, Review


def outcome_of(*, proven: bool, change: FavouriteChanges, changed: int, decision: str | None = None) -> Outcome:
    """Say how a run that landed an observation ended (docs/settings.md)."""
    if not proven or decision == Review.REJECTED:
        return Outcome.PARTIAL
    if change.held:
        return Outcome.HELD
    return Outcome.SUCCEEDED if change.opened or change.closed or changed else Outcome.UNCHANGED

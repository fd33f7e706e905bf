"""The result of a run, and the outcome that it has."""

from __future__ import annotations

from datetime import datetime

import msgspec

from etl.errors import FavsyncError
from etl.model.records import FavouriteChanges, Outcome, Review


def outcome_of(*, proves_absence: bool, change: FavouriteChanges, changed: int, decision: str | None = None) -> Outcome:
    """Return the outcome of a run that stored a snapshot (docs/settings.md). ``changed``: tracks with new attributes."""
    if not proves_absence or decision == Review.REJECTED:
        return Outcome.PARTIAL
    if change.held:
        return Outcome.HELD
    is_changed = change.opened or change.closed or change.is_missing_changed or changed
    return Outcome.SUCCEEDED if is_changed else Outcome.UNCHANGED


def counted(count: int, one: str, many: str) -> str:
    """Return ``count`` and the words for one thing or for many, for the reason of a run."""
    return f"{count:,} {one if count == 1 else many}"


class RunResult(msgspec.Struct, frozen=True):
    """The result of a run, as `favsync sync --json` prints it (docs/settings.md)."""

    account: str
    trigger: str
    started_at: datetime
    run_id: int | None = None
    outcome: str = Outcome.FAILED
    reason: str | None = None
    proven: bool = False
    favourites: int = 0
    added: int = 0
    removed: int = 0
    held: int = 0
    missing: int = 0
    changed: int = 0
    rejected: int = 0
    pages: int = 0
    requests: int = 0
    retries: int = 0
    observed_at: datetime | None = None
    finished_at: datetime | None = None
    retry_at: datetime | None = None
    plan: dict[str, list[int]] | None = None
    error: FavsyncError | None = None

    @property
    def remedy(self) -> str:
        """What to do about the error, with the account's name in commands; empty if there is nothing to do."""
        return self.error.remedy.replace(" NAME", f" {self.account}") if self.error is not None else ""

    @property
    def exit_code(self) -> int:
        """The exit code of this run alone."""
        if self.error is not None:
            return self.error.exit_code
        return {Outcome.HELD: 7, Outcome.PARTIAL: 6}.get(Outcome(self.outcome), 0)

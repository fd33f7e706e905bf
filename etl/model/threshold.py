"""The removal threshold: removals of more favourites than this wait for approval.

A proof can be right about a wrong list (a service that answers from an empty replica), so a mass removal waits for
``favsync runs approve``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RemovalThreshold:
    """Hold removals of more than ``max(minimum, ratio * open)`` favourites, and of all of them."""

    minimum: int = 10
    ratio: float = 0.25

    def holds(self, removals: int, favourites: int) -> bool:
        """Say whether ``removals`` out of ``favourites`` open ones must wait for the operator."""
        if removals == 0:
            return False
        return removals >= favourites or removals > max(self.minimum, self.ratio * favourites)

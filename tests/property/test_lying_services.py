"""No false removal under services that are wrong for less than the grace. `benchmarks/wrong_services.py` plays more."""

from __future__ import annotations

import pytest

from tests.support.lying_service import KINDS
from tests.support.lying_trial import Tally, Trial


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_lie_removes_nothing(kind: str) -> None:
    tally = Tally()
    for name, hours in (("a", 5), ("b", 23)):
        tally.add(Trial(kind, name, hours).play())
    assert (tally.false, tally.late, tally.unrecorded) == (0, 0, 0), tally.notes


def test_honest_services_get_exact_bounds_and_no_holds() -> None:
    tally = Tally()
    for number in range(4):
        tally.add(Trial("honest", f"honest {number}", 0).play())
    assert tally.recorded > 0
    assert (tally.wrong_bounds, tally.phantoms, tally.late, tally.unrecorded) == (0, 0, 0, 0)

"""Yes, no and unknown at an instant."""

from datetime import timedelta

import pytest

from etl.model.records import FavouriteInterval
from etl.transform.as_of import ObservationRange, Presence, answer
from tests.support.lists import START


def at(hour):
    return START + timedelta(hours=hour)


CLOSED = FavouriteInterval(7, at(2.1), at(1), 2, valid_to=at(5.1), removed_after=at(4), removed_run_id=5)
AGAIN = FavouriteInterval(7, at(8.1), at(7), 8)
HORIZON = ObservationRange(absent_from=at(0.1), absent_until=at(9), seen_until=at(9))


@pytest.mark.parametrize(
    ("hour", "told"),
    [
        (0, "unknown"),  # before anything was observed
        (0.1, "no"),  # the first proof has ended
        (1, "no"),  # the last proof without it begins
        (1.1, "unknown"),
        (2, "unknown"),
        (2.1, "yes"),
        (4, "yes"),
        (4.1, "unknown"),
        (5, "unknown"),
        (5.1, "no"),
        (7, "no"),
        (7.1, "unknown"),
        (8.1, "yes"),
        (9, "yes"),
        (9.1, "unknown"),  # nobody has looked since
    ],
)
def test_what_is_sure_lies_between_observations(hour, told):
    assert answer([CLOSED, AGAIN], at(hour), HORIZON) == told


def test_open_interval_is_certain_until_last_seen():
    held = FavouriteInterval(7, at(2.1), at(1), 2, last_seen_at=at(4))
    assert answer([held], at(4), HORIZON) is Presence.YES
    assert answer([held], at(4.1), HORIZON) is Presence.UNKNOWN


def test_track_never_seen_is_absent_between_snapshots():
    assert answer([], at(5), HORIZON) is Presence.NO
    assert answer([], at(9.1), HORIZON) is Presence.UNKNOWN
    assert answer([], at(0), HORIZON) is Presence.UNKNOWN


def test_nothing_is_known_where_nothing_was_observed():
    assert answer([], at(5), ObservationRange()) is Presence.UNKNOWN


def test_interval_without_known_start_is_unknown_before():
    first = FavouriteInterval(7, at(2.1), None, 2)
    assert answer([first], at(1), HORIZON) is Presence.UNKNOWN
    assert answer([first], at(2.1), HORIZON) is Presence.YES


def test_removed_track_is_unknown_after_the_last_snapshot():
    assert answer([CLOSED], at(9), HORIZON) is Presence.NO
    assert answer([CLOSED], at(9.1), HORIZON) is Presence.UNKNOWN

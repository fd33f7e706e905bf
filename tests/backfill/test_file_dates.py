"""The times in the names of files."""

import pytest

from etl.backfill.file_dates import AmbiguousDate, date_from_name

NAMES = [
    ("2025-11-03.json", "03 00:00:00"), ("favourites_20251103.csv", "03 00:00:00"), ("2025_11_03.json", "03 00:00:00"),
    ("favs-2025-11-03T14:30:05Z.json", "03 14:30:05"), ("2025-11-03T14-30-05.json", "03 14:30:05"),
    ("2025-11-03 14.30.json", "03 14:30:00"), ("20251103T1430Z.json", "03 14:30:00"),
    ("20251103143005.json", "03 14:30:05"), ("2025-11-03T14:30+01:00.json", "03 13:30:00"),
    ("2025-11-03-0049.json", "03 00:00:00"), ("2025-11-03-page-2.json", "03 00:00:00"),
    ("2025-11-03T14:30:00.123456+02:00.json", "03 12:30:00"), ("2025-11-03T14:30:00-05:00.json", "03 19:30:00"),
    ("20251103T143000-0500.json", "03 19:30:00"), ("20251103T143000+0200.json", "03 12:30:00"),
    ("2025-11-03T00:30+05:30.json", "02 19:00:00"), ("2025-11-03 14.30 UTC.json", "03 14:30:00"),
    ("2025-11-03 02.30.15 PM.json", "03 14:30:15"), ("2025-11-03 at 2.30.15 a.m..json", "03 02:30:15"),
    ("2025-11-03_12-05AM.json", "03 00:05:00"), ("2025-11-03 12.05 pm.json", "03 12:05:00"),
    ("2025-11-03 3pm.json", "03 15:00:00"), ("2025-11-03 amsterdam.json", "03 00:00:00"),
    ("2025-11-03 (1).json", "03 00:00:00"), ("2025-11-03-01.json", "03 00:00:00"),
    ("2025-11-03T14-30-05-2.json", "03 14:30:05"), ("2025-11-03 list.json", "03 00:00:00"),
    ("54230705.json", None), ("2025-13-03.json", None), ("page-49.json", None), ("1899-11-03.json", None),
]  # fmt: skip
AMBIGUOUS = [
    "2025-11-03 14.30 EST.json", "2025-11-03 CET.json", "2025-11-03 14.30 (Europe_Berlin).json",
    "2025-11-03 14.30 UTC+2.json", "2025-11-03T14-30-00+2.json", "2025-11-03T14-30-00-05-00.json",
    "2025-11-03T14-30-00-0500.json", "2025-11-03T14-30-00-05.json", "2025-11-03+02:00.json", "2025-11-03 PM.json",
    "2025-11-03 02h30 pm.json", "2025-11-03 14.30 PM.json", "2025-11-03 14.30 AM.json", "2025-11-03T25:00.json",
    "2025-11-03-01-99.json",
]  # fmt: skip


@pytest.mark.parametrize(("name", "time"), NAMES)
def test_a_name_has_a_time_or_none(name, time):
    found = date_from_name([name])
    assert (found and f"{found:%d %H:%M:%S}") == time


def test_the_files_own_name_goes_before_its_folders():
    assert date_from_name(["2025-11-04.json", "2025-11-03"]).day == 4
    assert date_from_name(["page-1.json", "2025-11-03", "exports"]).day == 3


def test_a_name_with_two_times_is_ambiguous():
    with pytest.raises(AmbiguousDate, match="more than one time"):
        date_from_name(["2025-11-03_to_2025-12-03.json"])
    assert date_from_name(["2025-11-03_2025-11-03.json"]).day == 3


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_time_with_several_readings_is_ambiguous(name):
    with pytest.raises(AmbiguousDate):
        date_from_name([name, "2025-11-04"])
